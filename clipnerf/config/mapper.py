"""Configuration of the mappers that turn words into changes of the codes, and of their training.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from clipnerf.config.ranges import (
    Batch,
    Config,
    Count,
    CountOrZero,
    Device,
    LearningRate,
    Pixels,
    Positive,
    PositiveShare,
    Range,
    RaySamples,
    Rule,
    Seed,
    Share,
    ShareBelowOne,
    Weight,
    Width,
)

Which = Literal["shape", "appearance"]


@dataclass(frozen=True)
class MapperConfig(Config):
    """The network from a text embedding to a change of one code."""

    kind: Literal["paper", "universal"] = "paper"
    """'paper': two layers with a ReLU between, fed by the embedding alone (CLIP-NeRF); one code a
    training. 'universal': sees the code as well, for any prompt; one training for both codes."""
    hidden: Width = 256
    """Width of the hidden layers; 256 as in the paper."""


@dataclass(frozen=True)
class MapperLossConfig(Config):
    """Weights of the terms of a mapper's loss; 0 switches a term off.

    `discriminator` and `clip` are the paper's equations 8 and 9; the rest is ours, see
    `clipnerf/mappers/losses.py`.
    """

    clip: Weight = 1.0
    """Paper's lambda_c: weight of 1 - cos(picture, prompt)."""
    discriminator: Weight = 0.1
    """Weight of softplus(-D(picture)). Small, as D is sharper than CLIP is."""
    directional: Weight = 1.0
    """Weight of 1 - cos(change of the picture's embedding, change of the text's)."""
    contrast: Weight = 1.0
    """Weight of the cross-entropy of the prompt among all prompts of the library's group."""
    contrast_temperature: Annotated[float, Range(above=0, most=100)] = 0.07
    """Temperature of that cross-entropy, in units of cosine. Below 0.02 it saturates."""
    prior: Weight = 1.0
    """Weight of the mean square of the change of the code, in units of the code's variance. A code
    moved far along one direction is unlike any that the generator was trained with: at 0.02 the
    changes grew to 4 and colors became garish."""
    palette: Weight = 0.0
    """Weight of the distance of color mean and covariance, edited from unedited; for shape."""
    foreign: Weight = 1.0
    """Weight of the mean square change by prompts of the other mapper's group: wanted is none."""
    compose: Weight = 1.0
    """Weight of the distance of "a red chair with arms" from this mapper's part of it."""


@dataclass(frozen=True)
class AugmentConfig(Config):
    """What is done to a rendered picture before CLIP sees it. Colors are never changed."""

    crop_min: PositiveShare = 0.85
    """Smallest side of a random crop, as a share of the picture's side, in (0, 1]; 1 is off."""
    perspective: ShareBelowOne = 0.1
    """Largest displacement of a corner, as a share of half the side, in [0, 1); 0 is off."""
    background: Share = 0.15
    """Largest darkening of the white background towards a random color, in [0, 1]; 0 is off."""


@dataclass(frozen=True)
class UniversalConfig(Config):
    """Training of the universal mapper, stage by stage; 0 steps leave a stage out.

    Pictures of the generator are rendered and embedded once, and a small network learns their
    embeddings from the codes (a CLIP distilled to this generator). Through it the mapper is trained
    without text, on differences of pictures that differ in one code, then on the library's prompts,
    and at last on rendered pictures again, with CLIP itself. Ablations: `text_free_steps` alone,
    `fine_tune_steps` (and `rendered_steps`) alone, or both.
    """

    shapes: Annotated[int, Range(50, 10_000_000)] = 4000
    """Shapes that are rendered, each from its own camera."""
    appearances: Annotated[int, Range(1, 10_000)] = 3
    """Appearances of each; further ones cost little, as its geometry is computed once."""
    picture_size: Pixels = 48
    """Side of these pictures in pixels; slats are not to be seen at 32."""
    distill_steps: Count = 2500
    """Steps of the network that gives the embeddings of codes and cameras."""
    distill_batch: Batch = 512
    """Pictures a step of it."""
    distill_width: Width = 384
    """Its width."""
    text_free_steps: CountOrZero = 600
    """Steps on directions between pictures that differ in one code; no text."""
    fine_tune_steps: CountOrZero = 1000
    """Steps on the library's prompts, through the distilled CLIP."""
    rendered_steps: CountOrZero = 0
    """Steps on the library's prompts with rendered pictures: `objects`, `views`, `size` and the
    weights `discriminator`, `palette` of a mapper's training are theirs."""
    batch: Batch = 192
    """Codes a step through the distilled CLIP, for each of shape and appearance."""
    views: Annotated[int, Range(1, 10_000)] = 2
    """Cameras a code is seen by; their embeddings are averaged."""
    lr: LearningRate = 2e-3
    """AdamW's largest rate; it rises for a third of a stage and falls to nothing."""
    rendered_rate: LearningRate = 1e-4
    """The same for the rendered steps, whose gradients come from a few pictures: at 2e-3, 80 of
    them undid what the stages before had learned (shapes true 0.46 in the place of 0.83)."""
    noise: Annotated[float, Range(0, 100)] = 0.3
    """Noise on directions between pictures, as a share of their length."""
    goal_shape: Annotated[float, Range(above=0, most=100)] = 3.5
    """Where strength 1 leads, in natural standard deviations along the direction: 2 is as one
    object in fifty, 3 as one in seven hundred."""
    goal_appearance: Annotated[float, Range(above=0, most=100)] = 3.0
    """The same for appearance; rare colors lie far out."""
    least_move: Annotated[float, Range(above=0, most=100)] = 0.5
    """How far strength 1 moves at least, in the same unit, what is already there."""
    preserve_shape: Weight = 1.5
    """Weight of the squared change at right angles to the direction, in whitened coordinates."""
    preserve_appearance: Weight = 0.2
    """The same for appearance: from blue to red, losing the blue is no fault."""
    contrast: Weight = 0.5
    """Weight of the cross-entropy of the prompt among its group, in the steps with text."""
    prior: Weight = 0.02
    """Weight of the squared angle that a code is turned by, rad^2."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        steps = (self.text_free_steps, self.fine_tune_steps, self.rendered_steps)
        yield sum(steps) >= 1, "text_free_steps", "1 or more, or fine_tune_steps or rendered_steps"


@dataclass(frozen=True)
class TrainMapperConfig(Config):
    """Training of one mapper, with generator, discriminator and CLIP frozen.

    With `mapper.kind` 'universal' one training gives both codes' mappers: `which` is not asked,
    and the steps are those of `universal`.
    """

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
    """Run folder; the mapper is written there as mapper_shape, mapper_appearance or
    mapper_universal.safetensors."""
    mapper: MapperConfig = field(default_factory=MapperConfig)
    """The network."""
    universal: UniversalConfig = field(default_factory=UniversalConfig)
    """Stages and weights of the universal mapper's training; not asked for the paper's."""
    loss: MapperLossConfig = field(default_factory=MapperLossConfig)
    """Weights of the loss."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What CLIP's pictures go through."""
    warm_start: CountOrZero = 0
    """Sampled objects from which a first guess is made: for each prompt the mean code of those
    that CLIP calls by it. 0 starts from no change at all, as in the paper."""
    steps: Count = 600
    """Optimizer steps in all; a resumed run may be given more."""
    objects: Annotated[int, Range(1, 10_000)] = 6
    """Objects a step, over all ranks; under torchrun a multiple of the number of ranks."""
    edits: Annotated[int, Range(1, 10_000)] = 1
    """Prompts that each object is edited by. For appearance further ones cost little: the geometry
    of a view is computed once."""
    views: Annotated[int, Range(1, 10_000)] = 2
    """Views a step of each object, from the generator's own cameras."""
    size: Pixels = 32
    """Side of the rendered pictures in pixels; the discriminator's own size suits best."""
    samples: RaySamples | None = None
    """Samples a ray; by default the generator's own."""
    lr: LearningRate = 5e-4
    """Adam's learning rate at the beginning."""
    halve_every: Count = 200
    """Steps after which the learning rate has halved; the decay is smooth."""
    ema_half_life: Annotated[float, Range(0, 1_000_000)] = 20.0
    """Half-life of the averaged weights, which are what is saved, in steps; 0 is off."""
    grad_clip: Positive = 1.0
    """Largest norm of the gradient; larger ones are scaled down."""
    seed: Seed = 0
    """Seed of codes, cameras, prompts and augmentation."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    log_every: Count = 10
    """Steps between lines in stats.jsonl."""
    preview_every: Count = 200
    """Steps between before/after sheets and measurements of the library's prompts."""
    checkpoint_every: Count = 100
    """Steps between checkpoints."""
