"""Configuration of the segmenter (CRIS, text to pixels) and of its training. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from clipnerf.config.clip import ClipAugmentConfig
from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import (
    Batch,
    Config,
    Count,
    Device,
    LearningRate,
    OpenShare,
    Precision,
    Range,
    Rule,
    Seed,
    Share,
    ShareBelowOne,
    Text,
    Threads,
    Width,
)


@dataclass
class SegmenterConfig(Config):
    """The model: sizes, and the switches of CRIS's ablation."""

    input_size: Annotated[int, Range(32, 1024, step=32)] = 128
    """Side of what the backbone sees, pixels; pictures are resized to it. A ResNet reads any
    multiple of 32, and sees more of a 64-pixel picture at twice its size; a ViT reads its own size,
    whatever is said here."""
    levels: list[Annotated[int, Range(0, 1000)]] = field(default_factory=lambda: [1, 2, 3])
    """Three feature maps of the backbone, the finest first: stages of a ResNet (1 to 4; the paper
    takes 2, 3, 4 of 416 pixels), blocks of a ViT (0 is the first)."""
    width: Annotated[int, Range(16, 2048, step=4)] = 96
    """Channels of neck and decoder; the paper's 512."""
    decoder_layers: Annotated[int, Range(0, 12)] = 2
    """Layers of the vision-language decoder; 0 leaves it out. The paper's best is 3."""
    heads: Annotated[int, Range(1, 2048)] = 2
    """Attention heads; the paper's 8 of 64 channels each."""
    feedforward: Width = 256
    """Width inside the decoder's MLP; the paper's 2048."""
    dropout: ShareBelowOne = 0.0
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

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        rises = list(self.levels) == sorted(set(self.levels)) and len(self.levels) == 3
        yield rises, "levels", "three numbers that rise, e.g. [1, 2, 3]"
        yield self.width % self.heads == 0, "heads", f"a divisor of width ({self.width})"


@dataclass
class TrainSegmenterConfig(Config):
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
    size: Annotated[int, Range(16, 1024, note=" pixels")] = 64
    """Side of pictures and masks in training, pixels."""
    steps: Count = 1500
    """Training steps."""
    batch: Annotated[int, Range(2, 1_000_000)] = 16
    """Pictures a step."""
    phrases: Annotated[int, Range(1, 10_000)] = 4
    """Phrases of each picture that a step learns from."""
    absent: ShareBelowOne = 0.4
    """Share of the phrases drawn among those that name nothing in the picture."""
    lr: LearningRate = 1e-3
    """AdamW's step at its highest, of neck, decoder and projector."""
    backbone_lr: Share = 0.6
    """The backbone's share of it (the paper's 0.1); 0 freezes the backbone."""
    weight_decay: Annotated[float, Range(0, below=10)] = 1e-2
    """AdamW's weight decay of matrices."""
    dice: Annotated[float, Range(0, 100)] = 0.5
    """Weight of the Dice loss beside the contrastive one, which the paper has alone."""
    presence: Annotated[float, Range(0, 100)] = 0.2
    """Weight of the loss of calling something there that is not, or the other way round."""
    facing: Annotated[float, Range(0, 100)] = 0.3
    """Weight of the error of the azimuth, of pictures whose azimuth_deg metadata.jsonl gives."""
    auxiliary: Annotated[float, Range(0, 100)] = 1.0
    """Weight of the same losses of a second head, straight on the backbone; 0: none, as in CRIS."""
    auxiliary_phrases: Annotated[int, Range(1, 10_000)] = 8
    """Phrases of each picture that the second head learns from; it costs little."""
    held_out: Count = 200
    """Pictures at the end of the data that are only measured on."""
    seed: Seed = 0
    """Seed of weights, order and augmentation."""
    precision: Precision = "auto"
    """Of the networks; auto: bfloat16 where the processor has it."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    threads: Threads = 0
    """Processor threads; 0 leaves it to torch."""
    log_every: Count = 20
    """Steps between lines of stats.jsonl."""
    checkpoint_every: Count = 250
    """Steps between checkpoints, which are measured."""


@dataclass
class TrainRegionConfig(Config):
    """Distil a segmenter's masks of generated pictures into one field in the generator's space."""

    bundle: str = CHAIRS
    """Bundle with generator and segmenter: frozen."""
    segmenter: str = ""
    """Run folder or file of another segmenter; '' takes the bundle's."""
    phrases: list[Text] = field(default_factory=list)
    """What is to be found, e.g. "the seat", and in other words too; phrases between them are
    understood as far as the segmenter's text tower puts them close."""
    noun: Text = ""
    """The category's, e.g. "chair": a local edit to "red" then asks for "a red chair"."""
    out: str = "runs/region"
    """Run folder; region.safetensors is written there."""
    shapes: Annotated[int, Range(2, 10_000_000)] = 1000
    """Objects that are looked at."""
    views: Annotated[int, Range(1, 10_000)] = 3
    """Pictures of each, every one in colors of its own."""
    phrases_a_view: Annotated[int, Range(1, 10_000)] = 10
    """Phrases that are segmented in each picture, drawn anew."""
    size: Annotated[int, Range(16, 512, note=" pixels")] = 64
    """Side of the pictures, pixels."""
    width: Annotated[int, Range(4, 1024)] = 48
    """Width of the field's layers."""
    vector: Annotated[int, Range(4, 1024)] = 32
    """Numbers of a point that a phrase is compared with."""
    steps: Count = 3000
    """Training steps."""
    batch: Batch = 32
    """Pictures a step."""
    points: Batch = 128
    """Points of each, drawn from 512 that are kept."""
    dice: Annotated[float, Range(0, 100)] = 0.5
    """Weight of the Dice loss beside the cross-entropy: small parts, of which the segmenter is not
    always sure, would be nowhere likelier than not."""
    lr: LearningRate = 3e-3
    """AdamW's largest rate."""
    seed: Seed = 0
    """Of objects, views, weights and order."""
    threads: Threads = 0
    """Processor threads; 0 leaves it to torch."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    log_every: Count = 50
    """Steps between lines of stats.jsonl."""
    checkpoint_every: Count = 500
    """Steps between checkpoints."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        some = bool(self.phrases) and all(text.strip() for text in self.phrases)
        yield some, "phrases", "some, e.g. [the seat, the back]"


@dataclass(frozen=True)
class SegmentConfig(Config):
    """Find the pixels that a phrase names; writes the mask and an overlay."""

    image: str = ""
    """The picture."""
    bundle: str = CHAIRS
    """Bundle with a segmenter, or the run folder of clipnerf train-segmenter."""
    text: list[Text] = field(default_factory=list)
    """The phrase, e.g. "the seat"; several: a mask for each."""
    out: str = "out/mask.png"
    """The mask, white where the phrase is; the overlay lies beside it, NAME-overlay.png. Of several
    phrases each has its own mask, NAME-1.png, NAME-2.png, …"""
    threshold: OpenShare = 0.35
    """Probability above which a pixel counts; the paper's 0.35."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.image), "image", "a picture: clipnerf segment photo.png"
        some = bool(self.text) and all(text.strip() for text in self.text)
        yield some, "text", "what to find, e.g. --text 'the seat'"
        yield self.out.lower().endswith(".png"), "out", "a name that ends in .png"
