"""Configuration of inversion (photo to codes and camera), and of the encoder that starts it.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import (
    Config,
    Count,
    CountOrZero,
    Device,
    LearningRate,
    Range,
    RaySamples,
    Rule,
    Seed,
    Threads,
    Weight,
)

Background = Literal["auto", "alpha", "white", "none"]
Framing = Literal["auto", "fit", "none"]


@dataclass(frozen=True)
class InversionLossConfig(Config):
    """Weights of the terms that a picture is fitted by; 0 switches a term off."""

    l2: Weight = 100.0
    """Mean squared difference of the pixels."""
    clip: Weight = 0.3
    """1 - cos of the CLIP embeddings of picture and reconstruction."""
    perceptual: Weight = 1.0
    """Distance of the features of picture and reconstruction: in the trunk of the bundle's CLIP, or
    else the feature network, or else LPIPS, whichever is at hand; without any nothing."""
    prior: Weight = 0.003
    """Squared distance of the styles from their mean, in the generator's own standard deviations:
    keeps an object where the generator is good."""
    detail: Weight = 0.01
    """The same for what is added to single layers."""
    pose: Weight = 0.1
    """Squares of roll, distance and shift, in units of 0.1: what a picture does not show stays at
    nothing."""


@dataclass(frozen=True)
class InversionConfig(Config):
    """How codes and camera are found."""

    method: Literal["encoder", "paper"] = "encoder"
    """'encoder': starts from the bundle's encoder (or, without one, from random codes and a ring of
    cameras), then one optimization of pose and codes. 'paper': CLIP-NeRF's alternation of pose,
    shape and appearance with noise that fades (equations 10 to 12)."""
    use_encoder: bool = True
    """Start from the bundle's encoder where there is one."""
    size: Annotated[int, Range(16, 512, note=" pixels")] = 64
    """Side of the picture that is fitted, pixels; what the generator was trained at."""
    starts: Annotated[int, Range(1, 64)] = 3
    """Starts that are optimized side by side, the best of those looked at."""
    rough_steps: Annotated[int, Range(0, 100_000)] = 60
    """Steps of all starts, on every fourth pixel; the best goes on."""
    steps: Annotated[int, Range(0, 100_000)] = 120
    """Steps of the best start at most, on whole pictures; fewer once it no longer improves."""
    patience: Annotated[int, Range(1, 100_000)] = 25
    """Steps without an improvement of 0.5 % after which it stops."""
    detail: bool = True
    """Also fit the style of single layers (the W+ space of StyleGAN): closer to the picture."""
    pose: Literal["angles", "rotation"] = "rotation"
    """What moves the camera: azimuth, elevation and roll, or a rotation vector."""
    pose_rate: Annotated[float, Range(above=0, most=100)] = 0.02
    """Largest Adam step of the pose: radians, shares of the picture, logarithm of the distance."""
    code_rate: Annotated[float, Range(above=0, most=100)] = 0.06
    """The same for the codes."""
    detail_rate: Annotated[float, Range(above=0, most=100)] = 0.08
    """The same for detail, in the styles' standard deviations."""
    samples: RaySamples = 16
    """Samples a ray while fitting."""
    paper_steps: Annotated[int, Range(1, 100_000)] = 100
    """Rounds of the paper's alternation: pose, then shape, then appearance."""
    paper_clip: Weight = 1.0
    """Factor of the paper's weights of the CLIP term, 0.1 for the pose and 0.2 for each code."""
    paper_noise: Weight = 1.0
    """The paper's noise on the codes at first; it fades to 0 over the steps."""
    seed: Seed = 0
    """Of random starts and of noise."""
    loss: InversionLossConfig = field(default_factory=InversionLossConfig)
    """Weights of the loss."""


@dataclass(frozen=True)
class InvertConfig(Config):
    """Find pose, shape code and appearance code of the object in a picture."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP, encoder."""
    photo: str = ""
    """The picture: one object of the category, on white, with alpha, or with --mask."""
    out: str = "out/invert"
    """Folder for codes.safetensors and the sheet."""
    background: Background = "auto"
    """What the object stands before: 'alpha' takes the picture's transparency, 'white' whitens what
    is nearly white, 'none' leaves the picture as it is, 'auto' takes alpha where there is any, else
    white."""
    mask: str = ""
    """A picture of the same size, white where the object is; in the place of a background."""
    frame: Framing = "auto"
    """'fit' crops and centers the object to the size that the generator's own have, 'none' leaves
    the middle square, 'auto' fits where the object is much smaller or larger, or not in the
    middle."""
    video: bool = False
    """Also write a video of the optimization."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    inversion: InversionConfig = field(default_factory=InversionConfig)
    """How codes and camera are found."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.photo.strip()), "photo", "a picture, e.g. photo.png"
        yield bool(self.out.strip()), "out", "the folder to write"


@dataclass(frozen=True)
class EncoderConfig(Config):
    """The network from a picture to pose and codes."""

    size: Annotated[int, Range(16, 512, step=16)] = 64
    """Side of the pictures it sees, pixels; a multiple of 16."""
    width: Annotated[int, Range(1, 4096)] = 24
    """Channels of its first layer."""
    hidden: Annotated[int, Range(1, 4096)] = 256
    """Width of the layer before its answers."""
    bins: Annotated[int, Range(4, 360)] = 24
    """Directions among which the azimuth is chosen first: a chair seen from the back may look like
    one seen from the front, and each may be a start."""


@dataclass(frozen=True)
class TrainEncoderConfig(Config):
    """Train the encoder of a bundle: on its own pictures, whose codes are known, and on yours."""

    generator: str = CHAIRS
    """Folder of a bundle, or a generator.safetensors: frozen."""
    data: str = ""
    """Pictures of the category, a folder or zip, without poses: after learning from generated ones,
    it learns to be rendered back into these. '' leaves that out."""
    out: str = "runs/encoder"
    """Run folder; encoder.safetensors is written there."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The network."""
    shapes: Count = 6000
    """Shapes that are rendered, each from its own camera."""
    appearances: Annotated[int, Range(1, 10_000)] = 3
    """Appearances of each; further ones cost little, as its geometry is computed once."""
    steps: CountOrZero = 2400
    """Steps on generated pictures."""
    batch: Annotated[int, Range(2, 1_000_000)] = 64
    """Generated pictures a step."""
    data_steps: CountOrZero = 400
    """Steps on pictures of `data`."""
    data_batch: Annotated[int, Range(2, 1_000_000)] = 16
    """Pictures of `data` a step, each rendered back at half the size."""
    lr: LearningRate = 2e-3
    """AdamW's largest rate; it rises for a tenth of the steps and falls to nothing."""
    data_rate: LearningRate = 3e-4
    """The same for the steps on pictures of `data`."""
    roll_deg: Annotated[float, Range(0, 180, note=" degrees")] = 4.0
    """Standard deviation of the camera's roll in generated pictures, degrees."""
    distance: Annotated[float, Range(0, 10)] = 0.08
    """The same of the logarithm of the distance."""
    shift: Annotated[float, Range(0, 10)] = 0.02
    """The same of the shift, share of the picture."""
    seed: Seed = 0
    """Of first weights, pictures and order."""
    log_every: Count = 50
    """Steps between lines of stats.jsonl."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""
    threads: Threads = 0
    """Processor threads; 0: torch decides."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
