"""Configuration of the verbs about data sets: data synthesize, data check.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from clipnerf.config.ranges import Config, Count, CountOrZero, Range, Rule, Seed


@dataclass(frozen=True)
class SynthesizeConfig(Config):
    """Draw pictures of a procedural category, with captions, poses, masks and paired edits."""

    category: str = "chairs"
    """The category: chairs or cars."""
    count: Count = 2000
    """How many pictures."""
    size: Annotated[int, Range(8, 1024, note=" pixels")] = 64
    """Width and height of a picture, pixels."""
    seed: Seed = 0
    """Seed of objects, cameras and captions."""
    out: str = ""
    """The folder; by default out/CATEGORY-SIZE. The same command completes an interrupted one."""
    views: Annotated[int, Range(1, 10_000)] = 1
    """Pictures of each object, from independent random cameras."""
    pairs: CountOrZero = 0
    """How many of the first pictures get a twin with one attribute changed, and masks of both."""
    masks: bool = False
    """Write the part masks of all pictures."""
    regions: bool = False
    """Write fine label maps, and phrases that refer to pieces of each picture."""
    fov_deg: Annotated[float, Range(10, 60, note=" degrees")] = 30.0
    """Field of view, degrees; generator.camera.fov_deg has to be the same."""
    oversampling: Annotated[int, Range(1, 8)] = 3
    """Rays along each side of a pixel. 1 for pretrain: a fake has one ray a pixel too."""

    @property
    def folder(self) -> Path:
        """Where the pictures go."""
        return Path(self.out or f"out/{self.category}-{self.size}")

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield self.pairs <= self.count, "pairs", f"0 to count ({self.count})"


@dataclass(frozen=True)
class CheckConfig(Config):
    """Say what a folder or zip of pictures holds, and what would spoil training."""

    path: str = ""
    """Folder or zip of pictures of one category, optionally with metadata.jsonl."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.path), "path", "a folder or zip: clipnerf data check DIR"
