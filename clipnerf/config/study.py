"""Configuration of the studies of CLIP itself.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass

from clipnerf.config.verbs import CHAIRS
from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class ViewConsistencyConfig:
    """Whether CLIP sees one object in its views: the paper's motivating study."""

    bundle: str = CHAIRS
    """Folder of a bundle: its generator draws the pictures, its CLIP looks at them."""
    data: str = ""
    """Folder or zip of pictures to take instead; each needs object_id, azimuth_deg and
    elevation_deg in metadata.jsonl."""
    clip: str = ""
    """CLIP: a compact model's file, an open_clip ARCH:tag, ARCH:/path/to/weights, or a folder; by
    default the bundle's."""
    objects: int = 0
    """Objects; 0 takes 32 of a generator, all of a folder. A folder's are drawn at random."""
    views: int = 0
    """Views of each object; 0 takes 24 of a generator, all of a folder. A folder's are drawn at
    random, the same for all its objects as far as it has them."""
    out: str = "out/view-consistency"
    """Folder for the figures (JSON) and the plot (PNG)."""
    size: int = 0
    """Width and height of a picture, pixels; 0 is what the CLIP reads, rendered at most 128."""
    same_view_deg: float = 1.0
    """Two pictures are of the same view if their directions differ by at most so many degrees."""
    seed: int = 0
    """The first object's seed; also the seed of what is drawn from a folder, and of the
    bootstrap."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(bool(self.out.strip()), "out", self.out, "the folder to write to")
        for key in ("objects", "views"):
            value = getattr(self, key)
            _check(value == 0 or 2 <= value <= 4096, key, value, "2 to 4096, or 0 for the default")
        _check(
            self.size == 0 or 8 <= self.size <= 2048, "size", self.size, "8 to 2048 pixels, or 0"
        )
        _check(
            0 <= self.same_view_deg <= 30, "same_view_deg", self.same_view_deg, "0 to 30 degrees"
        )
        _check(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        _check(self.device in (None, "cpu", "cuda"), "device", self.device, "cpu or cuda")
