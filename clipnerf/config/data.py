"""Configuration of the verbs about data sets: data synthesize, data check.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class SynthesizeConfig:
    """Draw pictures of a procedural category, with captions, poses, masks and paired edits."""

    category: str = "chairs"
    """The category: chairs or cars."""
    count: int = 2000
    """How many pictures."""
    size: int = 64
    """Width and height of a picture, pixels, 8 to 1024."""
    seed: int = 0
    """Seed of objects, cameras and captions; 0 to 4294967295."""
    out: str = ""
    """The folder; by default out/CATEGORY-SIZE. The same command completes an interrupted one."""
    views: int = 1
    """Pictures of each object, from independent random cameras."""
    pairs: int = 0
    """How many of the first pictures get a twin with one attribute changed, and masks of both."""
    masks: bool = False
    """Write the part masks of all pictures."""
    regions: bool = False
    """Write fine label maps, and phrases that refer to pieces of each picture."""
    fov_deg: float = 30.0
    """Field of view, degrees, 10 to 60; generator.camera.fov_deg has to be the same."""
    oversampling: int = 3
    """Rays along each side of a pixel, 1 to 8. 1 for pretrain: a fake has one ray a pixel too."""

    @property
    def folder(self) -> Path:
        """Where the pictures go."""
        return Path(self.out or f"out/{self.category}-{self.size}")

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(self.count >= 1, "count", self.count, "1 or more")
        _check(8 <= self.size <= 1024, "size", self.size, "8 to 1024 pixels")
        _check(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        _check(self.views >= 1, "views", self.views, "1 or more")
        _check(0 <= self.pairs <= self.count, "pairs", self.pairs, "0 to count")
        _check(10 <= self.fov_deg <= 60, "fov_deg", self.fov_deg, "10 to 60 degrees")
        _check(1 <= self.oversampling <= 8, "oversampling", self.oversampling, "1 to 8")


@dataclass(frozen=True)
class CheckConfig:
    """Say what a folder or zip of pictures holds, and what would spoil training."""

    path: str = ""
    """Folder or zip of pictures of one category, optionally with metadata.jsonl."""

    def validate(self) -> None:
        """UsageError for a missing path."""
        _check(bool(self.path), "path", self.path, "a folder or zip: clipnerf data check DIR")
