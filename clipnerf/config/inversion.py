"""Configuration of inversion (photo to codes and camera), and of the encoder that starts it.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from clipnerf.config.field_types import Device
from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError

Background = Literal["auto", "alpha", "white", "none"]
PICTURE_SIZE_LIMITS = (16, 512)


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class InversionLossConfig:
    """Weights of the terms that a picture is fitted by; 0 switches a term off."""

    l2: float = 100.0
    """Mean squared difference of the pixels."""
    clip: float = 0.3
    """1 - cos of the CLIP embeddings of picture and reconstruction."""
    perceptual: float = 1.0
    """LPIPS, where the package and its weights are there; without them nothing."""
    prior: float = 0.003
    """Squared distance of the styles from their mean, in the generator's own standard deviations:
    keeps an object where the generator is good."""
    detail: float = 0.01
    """The same for what is added to single layers."""
    pose: float = 0.1
    """Squares of roll, distance and shift, in units of 0.1: what a picture does not show stays at
    nothing."""

    def validate(self) -> None:
        """UsageError for a weight that is negative or no number."""
        for weight in fields(self):
            value = getattr(self, weight.name)
            _check(0 <= value < float("inf"), f"loss.{weight.name}", value, "0 or more")


@dataclass(frozen=True)
class InversionConfig:
    """How codes and camera are found."""

    method: Literal["encoder", "paper"] = "encoder"
    """'encoder': starts from the bundle's encoder (or, without one, from random codes and a ring of
    cameras), then one optimisation of pose and codes. 'paper': CLIP-NeRF's alternation of pose,
    shape and appearance with noise that fades (equations 10 to 12)."""
    use_encoder: bool = True
    """Start from the bundle's encoder where there is one."""
    size: int = 64
    """Side of the picture that is fitted, pixels; what the generator was trained at."""
    starts: int = 3
    """Starts that are optimised side by side, the best of those looked at."""
    rough_steps: int = 60
    """Steps of all starts, on every fourth pixel; the best goes on."""
    steps: int = 120
    """Steps of the best start at most, on whole pictures; fewer once it no longer improves."""
    patience: int = 25
    """Steps without an improvement of 0.5 % after which it stops."""
    detail: bool = True
    """Also fit the style of single layers (the W+ space of StyleGAN): closer to the picture."""
    pose: Literal["angles", "rotation"] = "rotation"
    """What moves the camera: azimuth, elevation and roll, or a rotation vector."""
    pose_rate: float = 0.02
    """Largest Adam step of the pose: radians, shares of the picture, logarithm of the distance."""
    code_rate: float = 0.06
    """The same for the codes."""
    detail_rate: float = 0.08
    """The same for detail, in the styles' standard deviations."""
    samples: int = 16
    """Samples a ray while fitting."""
    paper_steps: int = 100
    """Rounds of the paper's alternation: pose, then shape, then appearance."""
    paper_clip: float = 1.0
    """Factor of the paper's weights of the CLIP term, 0.1 for the pose and 0.2 for each code."""
    paper_noise: float = 1.0
    """The paper's noise on the codes at first; it fades to 0 over the steps."""
    seed: int = 0
    """Of random starts and of noise."""
    loss: InversionLossConfig = field(default_factory=InversionLossConfig)
    """Weights of the loss."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        self.loss.validate()
        low, high = PICTURE_SIZE_LIMITS
        _check(low <= self.size <= high, "size", self.size, f"{low} to {high} pixels")
        _check(1 <= self.starts <= 64, "starts", self.starts, "1 to 64")
        for key in ("rough_steps", "steps"):
            _check(0 <= getattr(self, key) <= 100_000, key, getattr(self, key), "0 to 100000")
        for key in ("patience", "paper_steps"):
            _check(1 <= getattr(self, key) <= 100_000, key, getattr(self, key), "1 to 100000")
        for key in ("pose_rate", "code_rate", "detail_rate"):
            _check(0 < getattr(self, key) < float("inf"), key, getattr(self, key), "above 0")
        for key in ("paper_clip", "paper_noise"):
            _check(0 <= getattr(self, key) < float("inf"), key, getattr(self, key), "0 or more")
        _check(2 <= self.samples <= 4096, "samples", self.samples, "2 to 4096")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class InvertConfig:
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
    frame: Literal["auto", "fit", "none"] = "auto"
    """'fit' crops and centres the object to the size that the generator's own have, 'none' leaves
    the middle square, 'auto' fits where the object is much smaller or larger, or not in the
    middle."""
    video: bool = False
    """Also write a video of the optimisation."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    inversion: InversionConfig = field(default_factory=InversionConfig)
    """How codes and camera are found."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(bool(self.photo.strip()), "photo", self.photo, "a picture, e.g. photo.png")
        _check(bool(self.out.strip()), "out", self.out, "the folder to write")
        self.inversion.validate()


@dataclass(frozen=True)
class EncoderConfig:
    """The network from a picture to pose and codes."""

    size: int = 64
    """Side of the pictures it sees, pixels; a multiple of 16."""
    width: int = 24
    """Channels of its first layer."""
    hidden: int = 256
    """Width of the layer before its answers."""
    bins: int = 24
    """Directions among which the azimuth is chosen first: a chair seen from the back may look like
    one seen from the front, and each may be a start."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        ok = self.size % 16 == 0 and 16 <= self.size <= 512
        _check(ok, "encoder.size", self.size, "a multiple of 16, 16 to 512")
        for key in ("width", "hidden"):
            _check(
                1 <= getattr(self, key) <= 4096, f"encoder.{key}", getattr(self, key), "1 to 4096"
            )
        _check(4 <= self.bins <= 360, "encoder.bins", self.bins, "4 to 360")


@dataclass(frozen=True)
class TrainEncoderConfig:
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
    shapes: int = 6000
    """Shapes that are rendered, each from its own camera."""
    appearances: int = 3
    """Appearances of each; further ones cost little, as its geometry is computed once."""
    steps: int = 2400
    """Steps on generated pictures."""
    batch: int = 64
    """Generated pictures a step."""
    data_steps: int = 400
    """Steps on pictures of `data`."""
    data_batch: int = 16
    """Pictures of `data` a step, each rendered back at half the size."""
    lr: float = 2e-3
    """AdamW's largest rate; it rises for a tenth of the steps and falls to nothing."""
    data_rate: float = 3e-4
    """The same for the steps on pictures of `data`."""
    roll_deg: float = 4.0
    """Standard deviation of the camera's roll in generated pictures, degrees."""
    distance: float = 0.08
    """The same of the logarithm of the distance."""
    shift: float = 0.02
    """The same of the shift, share of the picture."""
    seed: int = 0
    """Of first weights, pictures and order."""
    log_every: int = 50
    """Steps between lines of stats.jsonl."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    threads: int = 0
    """Processor threads; 0: torch decides."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        self.encoder.validate()
        for key in (
            "shapes",
            "appearances",
            "batch",
            "data_batch",
            "log_every",
            "checkpoint_every",
        ):
            _check(1 <= getattr(self, key) <= 10_000_000, key, getattr(self, key), "1 or more")
        for key in ("steps", "data_steps", "threads"):
            _check(0 <= getattr(self, key) <= 10_000_000, key, getattr(self, key), "0 or more")
        _check(self.batch >= 2, "batch", self.batch, "2 or more, for the normalisation")
        _check(self.data_batch >= 2, "data_batch", self.data_batch, "2 or more")
        for key in ("lr", "data_rate"):
            _check(0 < getattr(self, key) < 1, key, getattr(self, key), "above 0, below 1")
        for key in ("roll_deg", "distance", "shift"):
            _check(0 <= getattr(self, key) < 1000, key, getattr(self, key), "0 or more")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
