"""Configuration of export: objects as meshes.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from clipnerf.config.editing import OrbitConfig
from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError

SUFFIXES = (".glb", ".obj", ".ply", ".stl")
RESOLUTION, LEAST, MOST = 128, 16, 512
"""Cells along the longest side of the box: by default, and allowed."""
CRUMBS = 0.005
"""Pieces of less than this share of an object's volume are left out."""


@dataclass(frozen=True)
class ExportConfig:
    """Write objects, edited by words or a picture or as they are, as meshes with colors."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    text: str = ""
    """What the objects are to become, in words, e.g. "a red chair"; empty: as they are."""
    prompts: dict[str, float] = field(default_factory=dict)
    """Several texts at once, each with its weight: "{a red chair: 1, a wide chair: 0.5}"."""
    image: str = ""
    """An exemplar in the place of words: a picture of an object, e.g. photo.png."""
    out: str = "out/object.glb"
    """The mesh: .glb (+Y up, front +Z, meters), .obj (+Y up), .ply or .stl (+Z up, front +X; .stl
    has no colors). Of several objects one file each, e.g. object-seed-0.glb."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Objects, one a seed."""
    codes: str = ""
    """Objects found in photos, in the place of seeds: a codes.safetensors of clipnerf invert."""
    edit: list[str] = field(default_factory=list)
    """Local edits, each a part and what it is to become: --edit "the wheels: black" --edit
    "the body: green"; of one part twice the last counts."""
    region: str = ""
    """Change this part alone to --text, --prompts or --image: a phrase, e.g. "the seat"."""
    region_box: list[float] = field(default_factory=list)
    """In the place of a phrase a box in the world: x0,y0,z0,x1,y1,z1 (front +x, left +y, up +z)."""
    region_mask: str = ""
    """In the place of a phrase a picture, white where to change, painted over the view from
    azimuth 30 and elevation 20, degrees."""
    threshold: float = 0.5
    """How sure it has to be that a point belongs to a phrase, above 0, below 1."""
    shape: float | None = None
    """Strength of the change of shape, -4 to 4; 0 keeps the shape, 1 is as trained. By default a
    universal mapper decides by the words; 1 for the paper's, and for pictures."""
    appearance: float | None = None
    """The same for colors."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""
    resolution: int = RESOLUTION
    """Cells of the marching cubes along the longest side of the box, 16 to 512; time and memory
    grow with its third power."""
    crumbs: float = CRUMBS
    """Loose pieces of less than this share of the object's volume are left out, 0 to 1."""
    scale: float = 1.0
    """Meters a world unit: objects are 1 to 2 world units large. (Slicers take the numbers of an
    .stl for millimeters.)"""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        self.editing.validate()
        known = Path(self.out).suffix.lower() in SUFFIXES
        _check(known, "out", self.out, f"a name that ends in {', '.join(SUFFIXES)}")
        allowed = f"{LEAST} to {MOST} cells"
        _check(LEAST <= self.resolution <= MOST, "resolution", self.resolution, allowed)
        _check(0 <= self.crumbs <= 1, "crumbs", self.crumbs, "0 to 1, a share of the volume")
        _check(1e-6 <= self.scale <= 1e6, "scale", self.scale, "0.000001 to 1000000 meters")

    @property
    def editing(self) -> OrbitConfig:
        """The objects and their edit, as the other verbs know them."""
        shared = {key.name for key in fields(OrbitConfig)} & {key.name for key in fields(self)}
        return OrbitConfig(**{key: getattr(self, key) for key in shared - {"out"}})


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")
