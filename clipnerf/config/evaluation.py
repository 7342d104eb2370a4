"""Configuration of the recogniser: the network that reads attributes off pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clipnerf.errors import UsageError


@dataclass(frozen=True)
class RecognizerConfig:
    """What a recogniser reads, and its size; travels with its weights."""

    attributes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Attribute to the values it can have, as in metadata.jsonl; the order is the network's."""
    size: int = 64
    """Width and height it looks at, pixels; other pictures are resized. A multiple of 16."""
    width: int = 28
    """Channels of the first layer; the last ones have three times as many."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        if self.size < 16 or self.size % 16:
            raise UsageError(f"recognizer.size is {self.size}; allowed: a multiple of 16")
        if self.width < 4:
            raise UsageError(f"recognizer.width is {self.width}; allowed: 4 or more")
        if not self.attributes:
            raise UsageError(
                "recognizer.attributes is empty; a recogniser needs pictures with attributes in "
                "metadata.jsonl, such as those of: clipnerf data synthesize chairs"
            )


@dataclass(frozen=True)
class TrainRecognizerConfig:
    """How a recogniser is trained."""

    steps: int = 1700
    """Steps of one batch; 1,700 of 128 are 18 times 12,000 pictures."""
    batch: int = 128
    """Pictures a step."""
    lr: float = 3e-3
    """Largest learning rate of AdamW; it rises for a tenth of the steps and falls to zero."""
    weight_decay: float = 0.02
    """AdamW's weight decay."""
    seed: int = 0
    """Seed of the first weights, the order and the augmentation."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        for key in ("steps", "batch"):
            if getattr(self, key) < 1:
                raise UsageError(
                    f"train_recognizer.{key} is {getattr(self, key)}; allowed: 1 or more"
                )
        if not self.lr > 0:
            raise UsageError(f"train_recognizer.lr is {self.lr}; allowed: above 0")
