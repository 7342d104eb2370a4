"""Stage 1: the conditional NeRF learns from unposed pictures, against a discriminator."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.recognizer import Recognizer
from clipnerf.evaluation.variety import Variety
from clipnerf.gan.alarms import Alarms
from clipnerf.gan.previews import preview_sheet
from clipnerf.gan.trainer import Trainer
from clipnerf.runs import ddp
from clipnerf.runs.folder import RunFolder
from clipnerf.runs.progress import Progress
from clipnerf.runs.resume import opened_on_main
from clipnerf.runs.weights import weights_hash
from clipnerf.vision.feature_network import absence


def pretrain(config: PretrainConfig) -> Path:
    """Train, or resume, a conditional NeRF; returns the run folder.

    Writes generator.safetensors (the running average) and discriminator.safetensors beside the
    run's logs. The same call again resumes. Under torchrun, every rank takes its share of a batch.

    Raises:
        UsageError: unusable data or configuration.
        ClipNerfError: the training failed (NaN, empty pictures, collapse), a disk is full, or
            another rank is lost.
    """
    with ddp.joined(config.device) as device:
        config.validate()
        if config.threads:
            torch.set_num_threads(config.threads)
        ddp.share(config.batch, "batch")
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
            ddp.check_same("pictures", data.fingerprint)
            if run is not None:
                print(f"hash grid: {choice}", file=sys.stderr, flush=True)
            _train(config, data, trainer, run, found)
    return Path(config.out)


def _train(
    config: PretrainConfig,
    data: PictureDataset,
    trainer: Trainer,
    run: RunFolder | None,
    found: tuple[int, dict] | None,
) -> None:
    alarms = Alarms()
    if found is not None:
        step, state = found
        alarms.load(state.pop("alarms"))
        trainer.load(step, state)
    elif config.start_from:
        trainer.start_from(Path(config.start_from))
    ddp.check_same("weights", weights_hash(dict(trainer.generator.state_dict())))
    variety = None if run is None else variety_of(config, data)
    total, done = config.steps * config.batch, trainer.step * config.batch
    since, seen = time.perf_counter(), trainer.step
    share, ranks = ddp.share(config.batch, "batch"), (ddp.rank(), ddp.world_size())
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
            if step % config.status_every == 0 or last:
                names = ("loss_g", "loss_d", "loss_f", "r1", "logit_gap", "pose")
                losses = {k: result[k] for k in names if k in result}
                shown = ddp.average_scalars(losses | {"opacity": result["opacity"].mean()})
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
                if variety is not None:
                    report = variety.measure(trainer.average)
                    run.log(step, kimg=trainer.kimg, **report.scalars())
                    for line in report.lines():
                        progress.write(line)
                since, seen = time.perf_counter(), step


def variety_of(config: PretrainConfig, data: PictureDataset) -> Variety | None:
    """What measures the generator at every preview; None if nothing to look with is configured."""
    if not (config.metrics_clip or config.metrics_recognizer):
        return None
    clip = None
    if config.metrics_clip:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(config.metrics_clip)
    path = config.metrics_recognizer
    recognizer = Recognizer.load(path) if path else None
    return Variety(data, clip, recognizer, config.metrics_samples, shown_size(config))


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
    own = ddp.share(config.batch, "batch")
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
