"""Stage 1: the conditional NeRF learns from unposed pictures, against a discriminator."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.gan.health import Alarms
from clipnerf.gan.previews import preview_sheet
from clipnerf.gan.trainer import Trainer
from clipnerf.io.weights import weights_hash
from clipnerf.training import distributed
from clipnerf.training.loop import opened_on_main
from clipnerf.training.progress import Progress
from clipnerf.training.run_folder import RunFolder
from clipnerf.vision.feature_network import absence


@runtime_checkable
class Measured(Protocol):
    """What a measurement of a generator found."""

    def scalars(self) -> dict[str, float]:
        """Numbers for curves."""
        ...

    def lines(self) -> list[str]:
        """For a terminal."""
        ...


@runtime_checkable
class Measure(Protocol):
    """Measures a generator, whose weights and random state are left as they are."""

    def measure(self, generator: Generator) -> Measured:
        """The figures."""
        ...


Measuring = Callable[[PretrainConfig, PictureDataset], Measure | None]
"""Makes the measure of a training; None where nothing to look with is configured."""


def pretrain(config: PretrainConfig, measuring: Measuring | None = None) -> Path:
    """Train, or resume, a conditional NeRF; returns the run folder.

    Writes generator.safetensors (the running average) and discriminator.safetensors beside the
    run's logs. The same call again resumes. Under torchrun, every rank takes its share of a batch.

    Args:
        measuring: makes what measures the generator at every preview.
    Raises:
        UsageError: unusable data or configuration.
        ClipNerfError: the training failed (NaN, empty pictures, collapse), a disk is full, or
            another rank is lost.
    """
    if measuring is None and (config.metrics_clip or config.metrics_recognizer):
        raise UsageError(
            "metrics_clip or metrics_recognizer is given, and nothing to measure with; allowed: "
            "neither, or the verb's own function, clipnerf.commands.pretrain.pretrain"
        )
    with distributed.joined(config.device) as device:
        config.validate()
        if config.threads:
            torch.set_num_threads(config.threads)
        distributed.share(config.batch, "batch")
        data = PictureDataset(
            config.data.path, config.data.size, skip_broken=config.data.skip_broken
        )
        if config.data.poses:
            data.directions()  # said at the start if they are missing
        data.to(device)
        trainer = Trainer(config, device)
        try:
            choice = trainer.generator.field.grid.choice
        except ValueError as error:
            raise UsageError(str(error)) from error
        with opened_on_main(
            config.out,
            command="pretrain",
            config=config,
            seed=config.seed,
            dataset_fingerprint=data.fingerprint,
        ) as (run, found):
            distributed.check_same("pictures", data.fingerprint)
            if run is not None:
                print(f"field: {choice}", file=sys.stderr, flush=True)
            _train(config, data, trainer, run, found, measuring)
    return Path(config.out)


def _train(
    config: PretrainConfig,
    data: PictureDataset,
    trainer: Trainer,
    run: RunFolder | None,
    found: tuple[int, dict] | None,
    measuring: Measuring | None,
) -> None:
    alarms = Alarms()
    if found is not None:
        step, state = found
        alarms.load(state.pop("alarms"))
        trainer.load(step, state)
    elif config.start_from:
        trainer.start_from(Path(config.start_from))
    distributed.check_same("weights", weights_hash(dict(trainer.generator.state_dict())))
    measure = None if run is None or measuring is None else measuring(config, data)
    total, done = config.steps * config.batch, trainer.step * config.batch
    since, seen = time.perf_counter(), trainer.step
    share = distributed.share(config.batch, "batch")
    ranks = (distributed.rank(), distributed.world_size())
    order = (share, config.seed, trainer.step)
    batches = data.batches(*order, rank=ranks[0], world_size=ranks[1])
    # the same pictures, by number
    plan = data.plan(*order, rank=ranks[0], world_size=ranks[1])
    directions = data.directions() if config.data.poses else None
    with Progress(total, done, "pretrain") as progress:
        while trainer.step < config.steps:
            where = None if directions is None else directions[next(plan)]
            result = trainer.train_step(next(batches), directions=where)
            step = trainer.step
            last = step == config.steps
            shown: dict[str, float] = {}
            if step % config.log_every == 0 or last:
                names = ("loss_g", "loss_d", "loss_f", "r1", "logit_gap", "pose")
                losses = {k: result[k] for k in names if k in result}
                shown = distributed.average_scalars(losses | {"opacity": result["opacity"].mean()})
                alarms.finite(step, loss_g=shown["loss_g"], loss_d=shown["loss_d"])
                warning = alarms.features(step, shown["loss_f"]) if "loss_f" in shown else None
                if run is not None and warning is not None:
                    progress.write(warning)
                if run is not None:
                    alarms.pictures(
                        step, trainer.kimg, result["real"], result["fake"], result["opacity"]
                    )
                now = time.perf_counter()
                rate = (step - seen) * config.batch / max(now - since, 1e-9)
                since, seen = now, step
                if run is not None:
                    run.log(step, kimg=trainer.kimg, images_per_second=rate, **shown)
            progress.update(config.batch, **shown)
            if run is None:
                continue
            if step % config.checkpoint_every == 0 or last:
                # never a bad checkpoint in the place of a good one
                alarms.finite(step, **trainer.magnitudes())
                run.save_state(step, trainer.state() | {"alarms": alarms.state()})
                trainer.save(run.path)
            if step % config.preview_every == 0 or last:
                run.picture(step, "preview", preview_sheet(trainer.average, shown_size(config)))
                if measure is not None:
                    report = measure.measure(trainer.average)
                    run.log(step, kimg=trainer.kimg, **report.scalars())
                    for line in report.lines():
                        progress.write(line)
                since, seen = time.perf_counter(), step


def shown_size(config: PretrainConfig) -> int:
    """Pixels of previews and measurements; the pictures themselves are kept finer."""
    return min(config.preview_size, config.data.size)


def plan(config: PretrainConfig) -> dict[str, str]:
    """What ``--dry-run`` prints: data, model, steps, memory, place; nothing is trained."""
    config.validate()
    data = PictureDataset(config.data.path, config.data.size, skip_broken=config.data.skip_broken)
    # without the feature network, whose weights may have to come first
    alone = replace(config, features=replace(config.features, weight=0.0))
    trainer = Trainer(alone, torch.device("cpu"))
    numbers = [
        sum(p.numel() for p in m.parameters()) for m in (trainer.generator, trainer.discriminator)
    ]
    total = config.steps * config.batch
    own = distributed.share(config.batch, "batch")
    points = own * config.discriminator.patch**2 * config.generator.samples
    # measured: about 1.5 kB of saved activations a point, and 64 bytes a parameter over all copies
    memory = 0.6e9 + points * 1500 + sum(numbers) * 64 + len(data) * 3 * config.data.size**2
    features = "none"
    if config.features.weight > 0:
        features = absence(config.features.network, config.features.weights) or "at hand"
        features = f"{config.features.network}: {features}"
    return {
        "data": f"{config.data.path}: {len(data)} pictures at {config.data.size} px",
        "generator": f"{numbers[0]:,} parameters, {config.generator.field.conditioning}",
        "discriminator": f"{numbers[1]:,} parameters, {config.discriminator.patch} px patches",
        "features": features,
        "steps": f"{config.steps} of {config.batch} pictures, {total / 1000:g} kimg",
        "memory": f"about {memory / 1e9:.1f} GB a process",
        "out": str(Path(config.out).resolve()),
    }
