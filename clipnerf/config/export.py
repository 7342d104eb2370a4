"""Configuration of export: objects as meshes.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated

from clipnerf.config.editing import EditedConfig
from clipnerf.config.ranges import Range, Rule, Seed, Share

SUFFIXES = (".glb", ".obj", ".ply", ".stl")
RESOLUTION, LEAST, MOST = 128, 16, 512
"""Cells along the longest side of the box: by default, and allowed."""
CRUMBS = 0.005
"""Pieces of less than this share of an object's volume are left out."""
Texture = Annotated[int, Range(64, 4096, or_zero=True, note=" texels")]


@dataclass(frozen=True)
class ExportConfig(EditedConfig):
    """Write objects, edited by words or a picture or as they are, as meshes with colors."""

    out: str = "out/object.glb"
    """The mesh: .glb (+Y up, front +Z, meters), .obj (+Y up), .ply or .stl (+Z up, front +X; .stl
    has no colors). Of several objects one file each, e.g. object-seed-0.glb."""
    _: KW_ONLY
    seeds: list[Seed] = field(default_factory=lambda: [0])
    """Objects, one a seed."""
    resolution: Annotated[int, Range(LEAST, MOST, note=" cells")] = RESOLUTION
    """Cells of the marching cubes along the longest side of the box; time and memory grow with its
    third power."""
    texture: Texture = 0
    """Width of a picture that is laid on the surface of a .glb; 0: colors at the vertices. It keeps
    what is fine where --resolution is low; 64 and 1024 are a good pair."""
    crumbs: Share = CRUMBS
    """Loose pieces of less than this share of the object's volume are left out."""
    scale: Annotated[float, Range(1e-6, 1e6, note=" meters")] = 1.0
    """Meters a world unit: objects are 1 to 2 world units large. (Slicers take the numbers of an
    .stl for millimeters.)"""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield from super().rules()
        known = Path(self.out).suffix.lower() in SUFFIXES
        yield known, "out", f"a name that ends in {', '.join(SUFFIXES)}"
        textured = not self.texture or Path(self.out).suffix.lower() == ".glb"
        yield textured, "texture", "0 for other files than .glb, which hold colors at vertices"
