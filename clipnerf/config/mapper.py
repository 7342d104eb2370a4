"""Configuration of the mappers that turn words into changes of the codes, and of their training.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from clipnerf.errors import UsageError

Which = Literal["shape", "appearance"]


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value}; allowed: {allowed}")


@dataclass(frozen=True)
class MapperConfig:
    """The network from a text embedding to a change of one code."""

    kind: str = "paper"
    """'paper': two layers with a ReLU between, fed by the embedding alone (CLIP-NeRF)."""
    hidden: int = 256
    """Width of the hidden layer; 256 as in the paper."""


@dataclass(frozen=True)
class MapperLossConfig:
    """Weights of the terms of a mapper's loss; 0 switches a term off.

    `discriminator` and `clip` are the paper's equations 8 and 9; the rest is ours, see
    `clipnerf/editing/losses.py`.
    """

    clip: float = 1.0
    """Paper's lambda_c: weight of 1 - cos(picture, prompt)."""
    discriminator: float = 0.1
    """Weight of softplus(-D(picture)). Small, as D is sharper than CLIP is."""
    directional: float = 1.0
    """Weight of 1 - cos(change of the picture's embedding, change of the text's)."""
    contrast: float = 1.0
    """Weight of the cross-entropy of the prompt among all prompts of the library's group."""
    contrast_temperature: float = 0.07
    """Temperature of that cross-entropy, in units of cosine. Below 0.02 it saturates."""
    prior: float = 1.0
    """Weight of the mean square of the change of the code, in units of the code's variance. A code
    moved far along one direction is unlike any that the generator was trained with: at 0.02 the
    changes grew to 4 and colours became garish."""
    palette: float = 0.0
    """Weight of the distance of colour mean and covariance, edited from unedited; for shape."""
    foreign: float = 1.0
    """Weight of the mean square change by prompts of the other mapper's group: wanted is none."""
    compose: float = 1.0
    """Weight of the distance of "a red chair with arms" from this mapper's part of it."""

    def validate(self) -> None:
        """UsageError for a weight that is negative or no number."""
        for weight in fields(self):
            value = getattr(self, weight.name)
            _check(0 <= value < float("inf"), f"loss.{weight.name}", value, "0 or more")
        _check(
            self.contrast_temperature > 0,
            "loss.contrast_temperature",
            self.contrast_temperature,
            "above 0",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to a rendered picture before CLIP sees it. Colours are never changed."""

    crop_min: float = 0.85
    """Smallest side of a random crop, as a share of the picture's side, in (0, 1]; 1 is off."""
    perspective: float = 0.1
    """Largest displacement of a corner, as a share of half the side, in [0, 1); 0 is off."""
    background: float = 0.15
    """Largest darkening of the white background towards a random colour, in [0, 1]; 0 is off."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(0 < self.crop_min <= 1, "augment.crop_min", self.crop_min, "above 0, at most 1")
        _check(0 <= self.perspective < 1, "augment.perspective", self.perspective, "0 to below 1")
        _check(0 <= self.background <= 1, "augment.background", self.background, "0 to 1")


@dataclass(frozen=True)
class TrainMapperConfig:
    """Training of one mapper, with generator, discriminator and CLIP frozen."""

    which: Which = "appearance"
    """Which code the mapper changes: shape (z_s) or appearance (z_a). They are trained apart."""
    generator: str = "data/pretrained/chairs/generator.safetensors"
    """The generator's weights, a .safetensors file or a folder that holds generator.safetensors."""
    discriminator: str | None = None
    """The discriminator's weights; by default discriminator.safetensors beside the generator."""
    clip: str = "data/pretrained/chairs/clip.safetensors"
    """CLIP: a compact model's file, an open_clip ARCH:tag, ARCH:/path/to/weights, or a folder."""
    library: str = "configs/library-chairs.yaml"
    """YAML file with the prompts: groups shape and appearance, and a neutral prompt."""
    out: str = "runs/mapper"
    """Run folder; the mapper is written there as mapper_shape or mapper_appearance.safetensors."""
    mapper: MapperConfig = field(default_factory=MapperConfig)
    """The network."""
    loss: MapperLossConfig = field(default_factory=MapperLossConfig)
    """Weights of the loss."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What CLIP's pictures go through."""
    warm_start: int = 0
    """Sampled objects from which a first guess is made: for each prompt the mean code of those
    that CLIP calls by it. 0 starts from no change at all, as in the paper."""
    steps: int = 600
    """Optimiser steps in all; a resumed run may be given more."""
    objects: int = 6
    """Objects a step, over all ranks; under torchrun a multiple of the number of ranks."""
    edits: int = 1
    """Prompts that each object is edited by. For appearance further ones cost little: the geometry
    of a view is computed once."""
    views: int = 2
    """Views a step of each object, from the generator's own cameras."""
    size: int = 32
    """Side of the rendered pictures in pixels; the discriminator's own size suits best."""
    samples: int | None = None
    """Samples a ray; by default the generator's own."""
    learning_rate: float = 5e-4
    """Adam's learning rate at the beginning."""
    halve_every: int = 200
    """Steps after which the learning rate has halved; the decay is smooth."""
    ema_half_life: float = 20.0
    """Half-life of the averaged weights, which are what is saved, in steps; 0 is off."""
    grad_clip: float = 1.0
    """Largest norm of the gradient; larger ones are scaled down."""
    seed: int = 0
    """Seed of codes, cameras, prompts and augmentation."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    log_every: int = 10
    """Steps between lines in stats.jsonl."""
    preview_every: int = 200
    """Steps between before/after sheets and measurements of the library's prompts."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(self.which in ("shape", "appearance"), "which", self.which, "shape or appearance")
        for key in ("steps", "objects", "edits", "views", "halve_every"):
            _check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        for key in ("log_every", "preview_every", "checkpoint_every"):
            _check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        _check(self.warm_start >= 0, "warm_start", self.warm_start, "0 or more objects")
        _check(self.size >= 8, "size", self.size, "8 or more pixels")
        _check(self.samples is None or self.samples >= 2, "samples", self.samples, "2 or more")
        _check(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        _check(self.grad_clip > 0, "grad_clip", self.grad_clip, "above 0")
        _check(self.ema_half_life >= 0, "ema_half_life", self.ema_half_life, "0 or more")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        self.loss.validate()
        self.augment.validate()
