"""Stage 1: the conditional NeRF learns from unposed pictures, against a discriminator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.gan.health import HealthMonitor
from clipnerf.gan.previews import preview_sheet
from clipnerf.gan.trainer import Trainer
from clipnerf.training import distributed
from clipnerf.training.loop import Task, run_task
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
        data.to(device)
        task = Pretraining(config, data, Trainer(config, device), measuring)
        try:
            choice = task.trainer.generator.field.grid.choice
        except ValueError as error:
            raise UsageError(str(error)) from error
        if distributed.is_main():
            print(f"field: {choice}", file=sys.stderr, flush=True)
        run_task(
            task,
            config,
            "pretrain",
            data.fingerprint,
            validate_every=config.preview_every,
            prepare=task.prepare,
        )
    return Path(config.out)


class Pretraining(Task):
    """The adversarial game as a task of the loop."""

    name, unit, early = "pretrain", "img", True
    advice = (
        "lower loss.lr_generator and loss.lr_discriminator or raise loss.r1_gamma, in a new --out"
    )
    covered = ("data.path",)
    shown = ("loss_g", "loss_d", "loss_f", "logit_gap", "given_back", "opacity")

    def __init__(
        self,
        config: PretrainConfig,
        data: PictureDataset,
        trainer: Trainer,
        measuring: Measuring | None = None,
    ) -> None:
        self.config, self.data, self.trainer = config, data, trainer
        self.each = config.batch
        self.health = HealthMonitor()
        self._directions = data.directions() if config.data.poses else None
        self._measuring = measuring
        self._measure: Measure | None = None
        self._feed: Iterator[tuple[Tensor, Tensor | None]] | None = None
        self._seen: dict[str, Tensor] = {}

    @property
    def step(self) -> int:  # type: ignore[override]
        """Steps done."""
        return self.trainer.step

    @step.setter
    def step(self, step: int) -> None:
        self.trainer.step = step

    @property
    def stages(self) -> dict[str, int]:
        """One."""
        return {"pretrain": self.config.steps}

    def start(self) -> None:
        """Begins with another run's networks, where that is asked for."""
        if self.config.start_from:
            self.trainer.start_from(Path(self.config.start_from))

    def prepare(self) -> None:
        """Opens what measures the generator."""
        if self._measuring is not None:
            self._measure = self._measuring(self.config, self.data)

    def advance(self, stage: str, number: int) -> dict[str, Tensor | float]:
        """A step of both players."""
        if self._feed is None:
            self._feed = self._pictures()
        real, directions = next(self._feed)
        self._seen = result = self.trainer.train_step(real, directions=directions)
        names = (
            "loss_g",
            "loss_d",
            "loss_f",
            "r1",
            "logit_gap",
            "pose",
            "given_back",
            "divergence",
            "unlike_prior",
        )
        losses = {name: result[name] for name in names if name in result}
        kimg = (number + 1) * self.config.batch / 1000
        return {"kimg": kimg, **losses, "opacity": result["opacity"].mean()}

    def watch(self, scalars: Mapping[str, float]) -> list[str]:
        """Stops a training that has failed; warns where one opponent is too strong."""
        step, seen = self.step, self._seen
        self.health.pictures(step, scalars["kimg"], seen["real"], seen["fake"], seen["opacity"])
        if "loss_f" not in scalars:
            return []
        warning = self.health.features(step, scalars["loss_f"])
        return [] if warning is None else [warning]

    def state(self) -> dict[str, Any]:
        """Networks, average, optimizers, and how long symptoms have lasted."""
        return self.trainer.state() | {"alarms": self.health.state()}

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Takes up a checkpoint."""
        self.trainer.load(step, {k: v for k, v in state.items() if k != "alarms"})
        self.health.load(state["alarms"])

    def weights(self) -> Mapping[str, Tensor]:
        """The generator's."""
        return self.trainer.generator.state_dict()

    def validate(
        self, stage: str, run: RunFolder, say: Callable[[str], None]
    ) -> Mapping[str, float]:
        """A sheet of the running average; its figures, where something measures."""
        average = self.trainer.average
        run.picture(self.step, "preview", preview_sheet(average, shown_size(self.config)))
        if self._measure is None:
            return {}
        report = self._measure.measure(average)
        for line in report.lines():
            say(line)
        return report.scalars()

    def export(self, folder: Path) -> list[Path]:
        """The running average, the discriminators."""
        return self.trainer.save(folder)

    def _pictures(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        share = distributed.share(self.config.batch, "batch")
        order = (share, self.config.seed, self.step)
        ranks = {"rank": distributed.rank(), "world_size": distributed.world_size()}
        # the same pictures, by number
        for real, rows in zip(
            self.data.batches(*order, **ranks), self.data.plan(*order, **ranks), strict=True
        ):
            yield real, None if self._directions is None else self._directions[rows]


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
    if config.autoencoder.weight > 0:
        points *= 2  # fakes and what is given back, at once
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
