"""Distilling a segmenter into a region field: `clipnerf train-region`.

    frozen generator ── pictures, points ─► frozen segmenter ── masks
                                                   ▼
              points of pictures, phrases ──► region field ──► RUN/region.safetensors

Every picture's verdict falls on points in the generator's canonical space; points of other
pictures, objects and phrases share one field, which so averages over views and objects what the
segmenter says of each. The same command again resumes; four steps equal two and two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.clip.model import Clip
from clipnerf.config.paths import bundle_path
from clipnerf.config.segmentation import TrainRegionConfig
from clipnerf.errors import UsageError
from clipnerf.fields.region import RegionField
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.segmentation.losses import dice
from clipnerf.segmentation.pseudo_labels import POINTS, PseudoLabels, Views
from clipnerf.segmentation.region_file import FILE_NAME, save_region
from clipnerf.segmentation.segmenter import FILE_NAME as SEGMENTER
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.training.loop import Task, run_task, single_process
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.schedule import one_cycle
from clipnerf.training.seeds import seeded, torch_generator

HELD_OUT = 50
"""Objects at the end that are not learned from; a tenth of few."""


def train_region(config: TrainRegionConfig) -> Path:
    """Looks, segments and distils, or resumes; returns the region field's file.

    Raises:
        UsageError: a value out of range, a bundle without segmenter, an entangled generator,
            another run in `out`, or more than one process.
        ClipNerfError: the loss is no longer a number, or the disk failed.
    """
    config.validate()
    with single_process("train-region", config.device, config.threads) as device:
        generator, segmenter = _load(config)
        task = RegionTraining(config, generator.to(device), segmenter.to(device))
        run_task(task, config, "train-region", f"{generator.hash}+{segmenter.hash}")
    return Path(config.out) / FILE_NAME


def plan(config: TrainRegionConfig) -> dict[str, str]:
    """What ``--dry-run`` prints; nothing is rendered or trained."""
    generator, segmenter = _load(config)
    trainer = RegionTraining(config, generator, segmenter)
    views = config.shapes * config.views
    points = views * POINTS
    return {
        "bundle": config.bundle,
        "phrases": ", ".join(config.phrases),
        "pictures": f"{config.shapes} shapes from {config.views} sides, {config.phrases_a_view} "
        "phrases each",
        "model": f"{sum(p.numel() for p in trainer.field.parameters()):,} parameters",
        "steps": f"{config.steps} of {config.batch} pictures and {config.points} points each",
        "memory": f"about {0.8 + points * (12 + config.phrases_a_view) / 1e9:.1f} GB",
        "out": str(Path(config.out) / FILE_NAME),
    }


def _load(config: TrainRegionConfig) -> tuple[Generator, Segmenter]:
    folder = bundle_path(config.bundle)
    generator = Generator.load(folder / "generator.safetensors")
    if generator.field.entangled:
        raise UsageError(
            f"the generator of {config.bundle!r} is entangled: its geometry has no parts apart "
            "from colors; use a disentangled one"
        )
    source = Path(config.segmenter) if config.segmenter else folder
    if source.is_dir() and not (source / SEGMENTER).is_file():
        raise UsageError(
            f"{str(source)!r} holds no {SEGMENTER}; make one with clipnerf train-segmenter, and "
            "give its run folder as --segmenter"
        )
    return generator, Segmenter.load(source, Clip.load(folder))


class RegionTraining(Task):
    """The state of a training, and its steps; a part of the pictures is a step as well."""

    name = "train-region"
    covered = ("bundle", "segmenter")

    def __init__(
        self, config: TrainRegionConfig, generator: Generator, segmenter: Segmenter
    ) -> None:
        self.config, self.generator, self.device = config, generator, generator.device
        self.segmenter_hash = segmenter.hash
        self.seen = PseudoLabels(config, generator, segmenter, Path(config.out) / "pictures")
        self.text = segmenter.sentence(config.phrases)
        field, settings = generator.field, generator.config.field
        with seeded(config.seed, "region weights"):
            self.field = RegionField(
                field.point_features,
                settings.style_dim,
                self.text.shape[1],
                width=config.width,
                vector=config.vector,
            )
        self.field.to(self.device).train()
        self.optimizer = torch.optim.AdamW(
            self.field.parameters(), lr=1.0, weight_decay=1e-3, fused=True
        )
        self.advice = f"start again with a lower lr ({config.lr}) in a new --out"
        self._views: Views | None = None
        self._codes: Codes | None = None

    @property
    def stages(self) -> dict[str, int]:
        """Looking, part by part; learning."""
        return {"looking": self.seen.parts, "learning": self.config.steps}

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """A part of the pictures, or a step of learning and its losses."""
        if stage == "looking":
            self.seen.render_and_segment(number)
            return {}
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * one_cycle(number, config.steps, rise=0.1)
        noise = torch_generator(config.seed, 0, number, "region", self.device)
        views = self._all()
        taught = len(views.shape) - self._held_out()
        rows = torch.randint(taught, (config.batch,), generator=noise, device=self.device)
        logits, belongs = self._compare(rows, noise)
        loss = functional.binary_cross_entropy_with_logits(logits, belongs)
        if config.dice:
            loss = loss + config.dice * dice(
                logits.mT.flatten(0, 1)[:, None, None], belongs.mT.flatten(0, 1)[:, None, None]
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.field.parameters(), 1.0)
        self.optimizer.step()
        return {"loss": loss.detach()}

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """Agreement with the segmenter on held-out objects."""
        return {} if stage == "looking" else self.measure()

    def export(self, folder: Path) -> list[Path]:
        """The region field."""
        file = save_region(
            folder / FILE_NAME,
            self.field.eval(),
            generator_hash=self.generator.hash,
            segmenter_hash=self.segmenter_hash,
            noun=self.config.noun,
            extra={"phrases": "; ".join(self.config.phrases)},
        )
        self.field.train()
        return [file]

    def finish(self) -> None:
        """Removes the kept pictures."""
        self.seen.forget()

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out objects: share of points on whose side of one half field and segmenter are
        agreed, and IoU over all points and phrases together."""
        views = self._all()
        held = self._held_out()
        rows = torch.arange(len(views.shape) - held, len(views.shape), device=self.device)
        noise = torch_generator(self.config.seed, 0, 0, "region held out", self.device)
        logits, belongs = self._compare(rows, noise)
        ours, theirs = logits > 0, belongs > 0.5
        union = (ours | theirs).sum().clamp(min=1)
        return {
            "held-out agreement": float((ours == theirs).float().mean()),
            "held-out IoU": float((ours & theirs).sum() / union),
        }

    def _compare(self, rows: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits of the field, and the verdicts of the segmenter, at some points of the views.

        Both [views, points, phrases].
        """
        views, config = self._all(), self.config
        assert self._codes is not None
        size = len(rows), config.points
        some = torch.randint(POINTS, size, generator=noise, device=self.device)
        points = views.points[rows].gather(1, some[..., None].expand(-1, -1, 3))
        codes = self._codes[views.shape[rows]]
        with torch.no_grad():
            shape = self.generator.styles(codes)[0]
            field = self.generator.field
            features = field.features(field.deform(points, shape))
            style = field.shape_mapping(codes.shape)
        vectors = self.field.vectors(features, style)
        text = self.field.project(self.text)[views.phrases[rows]]
        logits = vectors @ text[..., :-1].mT + text[..., -1][:, None]
        belongs = views.masks[rows].gather(2, some[:, None].expand(-1, views.phrases.shape[1], -1))
        return logits, belongs.mT.float()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds; what was seen lies beside it."""
        return {"field": self.field.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.step = step
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _held_out(self) -> int:
        objects = min(HELD_OUT, max(self.config.shapes // 10, 1))
        return objects * self.config.views

    def _all(self) -> Views:
        if self._views is None:
            some = [self.seen.render_and_segment(part) for part in range(self.seen.parts)]
            drawn = [self.seen.draw(part) for part in range(self.seen.parts)]
            self._views = Views(
                *(
                    torch.cat([getattr(view, name) for view in some]).to(self.device)
                    for name in ("shape", "points", "phrases", "masks")
                )
            )
            codes = Codes.cat([codes for codes, _, _ in drawn])
            self._codes = codes[slice(0, None, self.config.views)].to(self.device)
        return self._views
