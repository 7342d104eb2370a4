"""Configuration of the segmenter (CRIS, text to pixels) and of its training. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from clipnerf.config.clip import ClipAugmentConfig
from clipnerf.config.field_types import Device
from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass
class SegmenterConfig:
    """The model: sizes, and the switches of CRIS's ablation."""

    input_size: int = 128
    """Side of what the backbone sees, pixels; pictures are resized to it. A ResNet reads any
    multiple of 32, and sees more of a 64-pixel picture at twice its size; a ViT reads its own size,
    whatever is said here."""
    levels: list[int] = field(default_factory=lambda: [1, 2, 3])
    """Three feature maps of the backbone, the finest first: stages of a ResNet (1 to 4; the paper
    takes 2, 3, 4 of 416 pixels), blocks of a ViT (0 is the first)."""
    width: int = 96
    """Channels of neck and decoder; the paper's 512."""
    decoder_layers: int = 2
    """Layers of the vision-language decoder; 0 leaves it out. The paper's best is 3."""
    heads: int = 2
    """Attention heads; the paper's 8 of 64 channels each."""
    feedforward: int = 256
    """Width inside the decoder's MLP; the paper's 2048."""
    dropout: float = 0.0
    """Share of activations dropped in the decoder."""
    contrastive: bool = True
    """Text-to-pixel head: pixels times text. False: a plain convolutional mask head."""
    skip: bool = True
    """Bring the finest map's edges into the upsampling, which CRIS does not."""
    sharp: bool = True
    """Bring the picture itself in as well, at the full resolution."""
    facing: bool = True
    """Read which way the object faces, and tell the pixels where they are from there: for "left"
    and "front". CRIS does not."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        size = self.input_size
        _check(32 <= size <= 1024 and size % 32 == 0, "model.input_size", size, "32, 64, … 1024")
        _check(
            len(self.levels) == 3 and list(self.levels) == sorted(set(self.levels))
            and self.levels[0] >= 0,
            "model.levels", self.levels, "three numbers that rise, e.g. [1, 2, 3]",
        )  # fmt: skip
        _check(
            16 <= self.width <= 2048 and self.width % 4 == 0, "model.width", self.width,
            "16, 20, … 2048",
        )  # fmt: skip
        _check(0 <= self.decoder_layers <= 12, "model.decoder_layers", self.decoder_layers, "0-12")
        _check(
            self.heads >= 1 and self.width % self.heads == 0, "model.heads", self.heads,
            f"a divisor of width ({self.width})",
        )  # fmt: skip
        _check(1 <= self.feedforward <= 16384, "model.feedforward", self.feedforward, "1 to 16384")
        _check(0 <= self.dropout < 1, "model.dropout", self.dropout, "0 to below 1")


@dataclass
class TrainSegmenterConfig:
    """Fit a segmenter (CRIS) to pictures, phrases and masks."""

    data: str = ""
    """Pictures with regions in metadata.jsonl (clipnerf data synthesize … --regions), or a folder
    in the layout of RefCOCO."""
    clip: str = CHAIRS
    """The backbone: a bundle, a compact CLIP, or any that train-mapper takes."""
    out: str = "runs/segmenter"
    """Run folder; the same command again resumes it. The model is its segmenter.safetensors."""
    model: SegmenterConfig = field(default_factory=SegmenterConfig)
    """The model."""
    augment: ClipAugmentConfig = field(
        default_factory=lambda: ClipAugmentConfig(zoom=0.15, shift=0.1)
    )
    """Changes to the pictures, the masks moved alike."""
    size: int = 64
    """Side of pictures and masks in training, pixels."""
    steps: int = 1500
    """Training steps."""
    batch: int = 16
    """Pictures a step."""
    phrases: int = 4
    """Phrases of each picture that a step learns from."""
    absent: float = 0.4
    """Share of the phrases drawn among those that name nothing in the picture."""
    lr: float = 1e-3
    """AdamW's step at its highest, of neck, decoder and projector."""
    backbone_lr: float = 0.6
    """The backbone's share of it (the paper's 0.1); 0 freezes the backbone."""
    weight_decay: float = 1e-2
    """AdamW's weight decay of matrices."""
    dice: float = 0.5
    """Weight of the Dice loss beside the contrastive one, which the paper has alone."""
    presence: float = 0.2
    """Weight of the loss of calling something there that is not, or the other way round."""
    facing: float = 0.3
    """Weight of the error of the azimuth, of pictures whose azimuth_deg metadata.jsonl gives."""
    auxiliary: float = 1.0
    """Weight of the same losses of a second head, straight on the backbone; 0: none, as in CRIS."""
    auxiliary_phrases: int = 8
    """Phrases of each picture that the second head learns from; it costs little."""
    held_out: int = 200
    """Pictures at the end of the data that are only measured on."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the networks; auto: bfloat16 where the processor has it."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    threads: int = 0
    """Processor threads; 0 leaves it to torch."""
    log_every: int = 20
    """Steps between lines of stats.jsonl."""
    checkpoint_every: int = 250
    """Steps between checkpoints, which are measured."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        self.model.validate()
        self.augment.validate()
        _check(16 <= self.size <= 1024, "size", self.size, "16 to 1024 pixels")
        for key in (
            "steps",
            "phrases",
            "auxiliary_phrases",
            "log_every",
            "checkpoint_every",
            "held_out",
        ):
            _check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        _check(self.batch >= 2, "batch", self.batch, "2 or more")
        _check(0 <= self.absent < 1, "absent", self.absent, "0 to below 1")
        _check(0 < self.lr < 1, "lr", self.lr, "above 0, below 1")
        _check(0 <= self.backbone_lr <= 1, "backbone_lr", self.backbone_lr, "0 to 1")
        _check(0 <= self.weight_decay < 10, "weight_decay", self.weight_decay, "0 to below 10")
        for key in ("dice", "presence", "facing", "auxiliary"):
            _check(0 <= getattr(self, key) <= 100, key, getattr(self, key), "0 to 100")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 to 1024")


@dataclass
class TrainRegionConfig:
    """Distil a segmenter's masks of generated pictures into one field in the generator's space."""

    bundle: str = CHAIRS
    """Bundle with generator and segmenter: frozen."""
    segmenter: str = ""
    """Run folder or file of another segmenter; '' takes the bundle's."""
    phrases: list[str] = field(default_factory=list)
    """What is to be found, e.g. "the seat", and in other words too; phrases between them are
    understood as far as the segmenter's text tower puts them close."""
    noun: str = ""
    """The category's, e.g. "chair": a local edit to "red" then asks for "a red chair"."""
    out: str = "runs/region"
    """Run folder; region.safetensors is written there."""
    shapes: int = 1000
    """Objects that are looked at."""
    views: int = 3
    """Pictures of each, every one in colours of its own."""
    phrases_a_view: int = 10
    """Phrases that are segmented in each picture, drawn anew."""
    size: int = 64
    """Side of the pictures, pixels."""
    width: int = 48
    """Width of the field's layers."""
    vector: int = 32
    """Numbers of a point that a phrase is compared with."""
    steps: int = 3000
    """Training steps."""
    batch: int = 32
    """Pictures a step."""
    points: int = 128
    """Points of each, drawn from 512 that are kept."""
    dice: float = 0.5
    """Weight of the Dice loss beside the cross-entropy: small parts, of which the segmenter is not
    always sure, would be nowhere likelier than not."""
    lr: float = 3e-3
    """AdamW's largest rate."""
    seed: int = 0
    """Of objects, views, weights and order."""
    threads: int = 0
    """Processor threads; 0 leaves it to torch."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    log_every: int = 50
    """Steps between lines of stats.jsonl."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(bool(self.phrases), "phrases", self.phrases, "some, e.g. [the seat, the back]")
        for text in self.phrases:
            _check(bool(text.strip()), "phrases", text, "words, e.g. 'the seat'")
        _check(2 <= self.shapes <= 10_000_000, "shapes", self.shapes, "2 or more")
        for key in ("views", "phrases_a_view", "steps", "batch", "points", "log_every",
                    "checkpoint_every"):  # fmt: skip
            _check(1 <= getattr(self, key) <= 10_000_000, key, getattr(self, key), "1 or more")
        _check(16 <= self.size <= 512, "size", self.size, "16 to 512 pixels")
        _check(0 <= self.dice <= 100, "dice", self.dice, "0 to 100")
        for key in ("width", "vector"):
            _check(4 <= getattr(self, key) <= 1024, key, getattr(self, key), "4 to 1024")
        _check(0 < self.lr < 1, "lr", self.lr, "above 0, below 1")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 to 1024")


@dataclass(frozen=True)
class SegmentConfig:
    """Find the pixels that a phrase names; writes the mask and an overlay."""

    image: str = ""
    """The picture."""
    bundle: str = CHAIRS
    """Bundle with a segmenter, or the run folder of clipnerf train-segmenter."""
    text: list[str] = field(default_factory=list)
    """The phrase, e.g. "the seat"; several: a mask for each."""
    out: str = "out/mask.png"
    """The mask, white where the phrase is; the overlay lies beside it, NAME-overlay.png. Of several
    phrases each has its own mask, NAME-1.png, NAME-2.png, …"""
    threshold: float = 0.35
    """Probability above which a pixel counts; the paper's 0.35."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(bool(self.image), "image", self.image, "a picture: clipnerf segment photo.png")
        _check(bool(self.text), "text", self.text, "what to find, e.g. --text 'the seat'")
        for text in self.text:
            _check(bool(text.strip()), "text", text, "what to find, e.g. 'the seat'")
        _check(self.out.lower().endswith(".png"), "out", self.out, "a name that ends in .png")
        _check(0 < self.threshold < 1, "threshold", self.threshold, "above 0, below 1")
