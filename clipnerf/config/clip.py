"""Configuration of the compact CLIP and of its training. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from clipnerf.config.ranges import (
    Config,
    Count,
    CountOrZero,
    Device,
    LearningRate,
    OpenShare,
    PositiveShare,
    Precision,
    Range,
    Rule,
    Seed,
    Share,
    ShareBelowOne,
    Threads,
)


@dataclass
class CompactClipConfig(Config):
    """A small open_clip model: CLIP's ResNet for pictures, a transformer for texts.

    The ResNet learned twice as fast a minute as a ViT of the same size on 64-pixel pictures.
    """

    image_size: Annotated[int, Range(32, 512, step=32)] = 64
    """Width and height of the pictures it sees, pixels; a multiple of 32."""
    trunk: str = ""
    """A network of timm, such as tf_efficientnet_lite0, whose lower stages are the picture tower's,
    frozen; vision_width and vision_layers, mean and std then have no part. Empty: a ResNet that is
    trained from nothing."""
    trunk_weights: str = "auto"
    """Where its weights come from: auto (the extra features, else timm's download), random, or a
    file."""
    embed_dim: Annotated[int, Range(8, 2048)] = 128
    """Length of the embedding that pictures and texts share."""
    vision_width: Annotated[int, Range(2, 256, step=2)] = 16
    """Channels after the stem, a multiple of 2; the last stage has 32 times as many."""
    vision_layers: list[Annotated[int, Range(1, 48)]] = field(default_factory=lambda: [1, 1, 1, 1])
    """Residual blocks in each of the four stages."""
    text_width: Annotated[int, Range(32, 2048, step=32)] = 128
    """Width of the text transformer, a multiple of 32 (its heads are 32 wide)."""
    text_layers: Annotated[int, Range(1, 48)] = 2
    """Layers of the text transformer; one cannot bind a color to its part."""
    context_length: Annotated[int, Range(8, 512)] = 32
    """Tokens of a text that are read, with the start and the end mark."""
    mean: Share = 0.75
    """Subtracted from pictures, [0, 1] units; bright, as most of a picture is white ground."""
    std: PositiveShare = 0.35
    """Pictures are divided by it afterwards, [0, 1] units."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield len(self.vision_layers) == 4, "vision_layers", "4 counts above 0"

    def model_cfg(self, vocabulary: int) -> dict[str, Any]:
        """open_clip's model configuration, for ``vocabulary`` tokens."""
        feature_width = 32 * self.vision_width
        return {
            "embed_dim": self.embed_dim,
            "custom_text": True,
            "vision_cfg": {"image_size": self.image_size, "trunk": self.trunk}
            if self.trunk
            else {
                "image_size": self.image_size,
                "layers": list(self.vision_layers),
                "width": self.vision_width,
                "head_width": min(64, feature_width),
            },
            "text_cfg": {
                "context_length": self.context_length,
                "vocab_size": vocabulary,
                "width": self.text_width,
                "heads": self.text_width // 32,
                "layers": self.text_layers,
            },
        }

    def preprocess_cfg(self) -> dict[str, Any]:
        """open_clip's preprocessing configuration."""
        return {
            "size": self.image_size,
            "mode": "RGB",
            "mean": [self.mean] * 3,
            "std": [self.std] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            "fill_color": 255,
        }


@dataclass
class ClipAugmentConfig(Config):
    """What is done to a picture before it is learned from; never a change of color.

    Chosen so that pictures of a NeRF, a little soft and noisy, are read like the data.
    """

    zoom: ShareBelowOne = 0.1
    """Pictures are scaled by 1 ± this."""
    stretch: ShareBelowOne = 0.05
    """Their height is scaled by a further 1 ± this."""
    shift: ShareBelowOne = 0.06
    """Pictures are moved by ± this share of half their width."""
    blur: Annotated[float, Range(0, 32)] = 1.0
    """Largest standard deviation of the blur, pixels of 64; half of the pictures get none."""
    noise: Share = 0.04
    """Largest standard deviation of the noise, [0, 1] units."""


@dataclass
class TrainClipConfig(Config):
    """Fit a compact CLIP to captioned pictures."""

    data: str = ""
    """Folder or zip of pictures with metadata.jsonl; text and texts are learned from."""
    out: str = "runs/clip"
    """Run folder; the same command again resumes it. The model is its clip.safetensors."""
    model: CompactClipConfig = field(default_factory=CompactClipConfig)
    """The model."""
    augment: ClipAugmentConfig = field(default_factory=ClipAugmentConfig)
    """Changes to the pictures."""
    steps: Count = 2000
    """Training steps."""
    decay_steps: CountOrZero = 0
    """The learning rate falls to zero over so many steps (a cosine); 0: over all steps."""
    warmup_steps: CountOrZero = 50
    """The learning rate rises from zero over so many steps."""
    text_delay_steps: CountOrZero = 250
    """Texts stand still for so many steps, while pictures learn to tell them apart, and speed up
    over as many. Without it, texts of parts (arms or no arms) become one and stay so."""
    batch: Annotated[int, Range(2, 1_000_000)] = 128
    """Pictures a step, over all ranks; also the number of texts each is told from. Under torchrun a
    multiple of the number of ranks."""
    captions: Annotated[int, Range(1, 1000)] = 6
    """Captions of each picture that a step learns from, or as many as there are."""
    themed_captions: Annotated[int, Range(0, 100)] = 4
    """So many of them follow a theme that all pictures of the step share, such as arms; at least
    one does not. Pictures with a single caption have no choice, and no theme."""
    contrasts: Annotated[int, Range(0, 100)] = 4
    """Pairs of a true and a false caption of each picture that a step learns from, where
    metadata.jsonl has "contrasts": [[true, false], ...]. They bind colors to parts (NegCLIP)."""
    contrast_weight: Annotated[float, Range(0, 100)] = 1.0
    """Weight of softplus(logit of the false caption - logit of the true one)."""
    template_share: ShareBelowOne = 0.2
    """Share of the captions put into a template such as "a photo of ...", to learn its words."""
    unknown_share: ShareBelowOne = 0.02
    """Share of the tokens hidden, to learn what a word never seen is to mean: little."""
    lr: LearningRate = 2e-3
    """AdamW's step at its highest, for the picture tower."""
    lr_text: LearningRate = 6e-4
    """AdamW's step at its highest, for the text tower."""
    weight_decay: Annotated[float, Range(0, below=10)] = 0.1
    """AdamW's weight decay of matrices."""
    held_out: OpenShare = 0.1
    """Share of the objects (by object_id) that are never learned from, for the accuracies."""
    zero_shot: str = ""
    """YAML file of prompts for each attribute; empty: the captions that tell it best."""
    missing_captions: Literal["stop", "skip"] = "stop"
    """What to do when pictures lack a caption: stop, or leave them out with a warning."""
    skip_broken: bool = False
    """Leave broken pictures out with a warning, instead of stopping at the start."""
    seed: Seed = 0
    """Seed of weights, split, order and augmentation."""
    precision: Precision = "auto"
    """bfloat16 is twice as fast where the processor has it; auto looks."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    threads: Threads = 0
    """Processor threads; 0 leaves it to torch."""
    log_every: Count = 20
    """Steps between lines of stats.jsonl."""
    checkpoint_every: Count = 200
    """Steps between checkpoints: what a kill loses at most."""
