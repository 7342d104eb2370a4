"""Configuration of the compact CLIP and of its training. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from clipnerf.config.field_types import Device
from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass
class CompactClipConfig:
    """A small open_clip model: CLIP's ResNet for pictures, a transformer for texts.

    The ResNet learned twice as fast a minute as a ViT of the same size on 64-pixel pictures.
    """

    image_size: int = 64
    """Width and height of the pictures it sees, pixels; a multiple of 32."""
    embed_dim: int = 128
    """Length of the embedding that pictures and texts share."""
    vision_width: int = 16
    """Channels after the stem, a multiple of 2; the last stage has 32 times as many."""
    vision_layers: list[int] = field(default_factory=lambda: [1, 1, 1, 1])
    """Residual blocks in each of the four stages."""
    text_width: int = 128
    """Width of the text transformer, a multiple of 32 (its heads are 32 wide)."""
    text_layers: int = 2
    """Layers of the text transformer; one cannot bind a colour to its part."""
    context_length: int = 32
    """Tokens of a text that are read, with the start and the end mark."""
    mean: float = 0.75
    """Subtracted from pictures, [0, 1] units; bright, as most of a picture is white ground."""
    std: float = 0.35
    """Pictures are divided by it afterwards, [0, 1] units."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        size, width = self.image_size, self.vision_width
        _check(32 <= size <= 512 and size % 32 == 0, "model.image_size", size, "32, 64, … 512")
        _check(8 <= self.embed_dim <= 2048, "model.embed_dim", self.embed_dim, "8 to 2048")
        _check(2 <= width <= 256 and width % 2 == 0, "model.vision_width", width, "2, 4, … 256")
        layers = self.vision_layers
        _check(
            len(layers) == 4 and min(layers) >= 1, "model.vision_layers", layers, "4 counts above 0"
        )
        _check(
            32 <= self.text_width <= 2048 and self.text_width % 32 == 0,
            "model.text_width", self.text_width, "32, 64, … 2048",
        )  # fmt: skip
        _check(1 <= self.text_layers <= 48, "model.text_layers", self.text_layers, "1 to 48")
        _check(
            8 <= self.context_length <= 512, "model.context_length", self.context_length, "8 to 512"
        )
        _check(self.std > 0, "model.std", self.std, "above 0")

    def model_cfg(self, vocabulary: int) -> dict[str, Any]:
        """open_clip's model configuration, for ``vocabulary`` tokens."""
        feature_width = 32 * self.vision_width
        return {
            "embed_dim": self.embed_dim,
            "custom_text": True,
            "vision_cfg": {
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
class ClipAugmentConfig:
    """What is done to a picture before it is learned from; never a change of colour.

    Chosen so that pictures of a NeRF, a little soft and noisy, are read like the data.
    """

    zoom: float = 0.1
    """Pictures are scaled by 1 ± this."""
    stretch: float = 0.05
    """Their height is scaled by a further 1 ± this."""
    shift: float = 0.06
    """Pictures are moved by ± this share of half their width."""
    blur: float = 1.0
    """Largest standard deviation of the blur, pixels of 64; half of the pictures get none."""
    noise: float = 0.04
    """Largest standard deviation of the noise, [0, 1] units."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        for key in ("zoom", "stretch", "shift"):
            _check(0 <= getattr(self, key) < 1, f"augment.{key}", getattr(self, key), "[0, 1)")
        for key in ("blur", "noise"):
            _check(getattr(self, key) >= 0, f"augment.{key}", getattr(self, key), "0 or more")


@dataclass
class TrainClipConfig:
    """Fit a compact CLIP to captioned pictures."""

    data: str = ""
    """Folder or zip of pictures with metadata.jsonl; text and texts are learned from."""
    out: str = "runs/clip"
    """Run folder; the same command again resumes it. The model is its clip.safetensors."""
    model: CompactClipConfig = field(default_factory=CompactClipConfig)
    """The model."""
    augment: ClipAugmentConfig = field(default_factory=ClipAugmentConfig)
    """Changes to the pictures."""
    steps: int = 2000
    """Training steps."""
    decay_steps: int = 0
    """The learning rate falls to zero over so many steps (a cosine); 0: over all steps."""
    warmup_steps: int = 50
    """The learning rate rises from zero over so many steps."""
    text_delay_steps: int = 250
    """Texts stand still for so many steps, while pictures learn to tell them apart, and speed up
    over as many. Without it, texts of parts (arms or no arms) become one and stay so."""
    batch: int = 128
    """Pictures a step, over all ranks; also the number of texts each is told from. Under torchrun a
    multiple of the number of ranks."""
    captions: int = 6
    """Captions of each picture that a step learns from, or as many as there are."""
    themed_captions: int = 4
    """So many of them follow a theme that all pictures of the step share, such as arms; at least
    one does not. Pictures with a single caption have no choice, and no theme."""
    template_share: float = 0.2
    """Share of the captions put into a template such as "a photo of ...", to learn its words."""
    unknown_share: float = 0.02
    """Share of the tokens hidden, to learn what a word never seen is to mean: little."""
    lr: float = 2e-3
    """AdamW's step at its highest, for the picture tower."""
    lr_text: float = 6e-4
    """AdamW's step at its highest, for the text tower."""
    weight_decay: float = 0.1
    """AdamW's weight decay of matrices."""
    held_out: float = 0.1
    """Share of the objects (by object_id) that are never learned from, for the accuracies."""
    zero_shot: str = ""
    """YAML file of prompts for each attribute; empty: the captions that tell it best."""
    missing_captions: Literal["stop", "skip"] = "stop"
    """What to do when pictures lack a caption: stop, or leave them out with a warning."""
    skip_broken: bool = False
    """Leave broken pictures out with a warning, instead of stopping at the start."""
    seed: int = 0
    """Seed of weights, split, order and augmentation."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is twice as fast where the processor has it; auto looks."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
    threads: int = 0
    """Processor threads; 0 leaves it to torch."""
    log_every: int = 20
    """Steps between lines of stats.jsonl."""
    checkpoint_every: int = 200
    """Steps between checkpoints: what a kill loses at most."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        self.model.validate()
        self.augment.validate()
        for key in ("steps", "captions", "log_every", "checkpoint_every"):
            _check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        for key in ("decay_steps", "warmup_steps", "text_delay_steps"):
            _check(getattr(self, key) >= 0, key, getattr(self, key), "0 or more")
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 to 1024")
        themed = self.themed_captions
        _check(0 <= themed <= 100, "themed_captions", themed, "0 to 100")
        _check(self.batch >= 2, "batch", self.batch, "2 or more")
        for key in ("template_share", "unknown_share"):
            _check(0 <= getattr(self, key) < 1, key, getattr(self, key), "0 to below 1")
        for key in ("lr", "lr_text"):
            _check(0 < getattr(self, key) < 1, key, getattr(self, key), "above 0, below 1")
        _check(0 <= self.weight_decay < 10, "weight_decay", self.weight_decay, "0 to below 10")
        _check(0 < self.held_out < 1, "held_out", self.held_out, "above 0, below 1")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
