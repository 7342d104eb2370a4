"""Parts: what is under the pointer, what lights up, and the colors that a part may take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from clipnerf.data.procedural.car_regions import EVALUATED as CAR_PARTS
from clipnerf.data.procedural.chair_regions import EVALUATED as CHAIR_PARTS
from clipnerf.data.procedural.colors import COLORS
from clipnerf.gan.codes import Codes, LocalEdit
from clipnerf.io.weights import load_weights
from clipnerf.segmentation.region_file import FILE_NAME, KIND
from clipnerf.viewer.drawing import View, part_of
from clipnerf.viewer.hearing import heard

if TYPE_CHECKING:
    from clipnerf.editor import Editor

COLOR_NAMES = tuple(COLORS)
"""Words for colors that the bundles' captions know."""
TINT = (0.95, 0.15, 0.55, 0.6)
"""Red, green, blue of what is lit, and how far it covers the part."""
LOOKED_AT = 96
"""Height of the picture in which it is looked up what is under the pointer."""
AROUND = 5
"""Side of the square that is looked at, pixels."""
LEAST = 0.3
"""Share of that square that a part has to cover."""


def phrases(editor: Editor, folder: Path | None) -> tuple[str, ...]:
    """What may be named on an object: as the bundle says, else as its category does."""
    known = editor.parts.grounding
    if known is None:
        return ()
    if folder is not None and (folder / FILE_NAME).is_file():
        said = load_weights(folder / FILE_NAME, KIND).metadata.get("phrases", "")
        found = [phrase.strip() for phrase in said.split(";") if phrase.strip()]
        whole = {known.noun, f"the {known.noun}"}
        kept = [p for p in found if p not in whole and f"of the {known.noun}" not in p]
        if kept:
            return tuple(dict.fromkeys(kept))
    return {"chair": CHAIR_PARTS, "car": CAR_PARTS}.get(known.noun, ())


def under(
    editor: Editor, codes: Codes, view: View, place: tuple[float, float], named: tuple[str, ...]
) -> list[str]:
    """The parts at a place of the view: those that cover it, the largest of the whole first.

    Args:
        place: x and y, 0 to 1, from the upper left.
        named: phrases to choose from.
    """
    whole = view.camera(LOOKED_AT)
    x, y = (round(p * s - AROUND / 2) for p, s in zip(place, (whole.width, LOOKED_AT), strict=True))
    spot = part_of(whole, x, y, AROUND, AROUND).to(editor.device)
    seen = float(editor.render(codes, camera=spot).opacity.mean())
    if seen < LEAST:
        return []
    found = []
    for phrase in named:
        with heard():
            covered = float(editor.region_picture(codes, phrase, camera=spot).mean()) / seen
        if covered >= LEAST:
            found.append((phrase, covered))
    # of what covers the place alike, what was named first is the plainest
    best = max((covered for _, covered in found), default=0.0)
    return [p for p, c in sorted(found, key=lambda pair: pair[1] < best - 0.2)]


def lit(editor: Editor, codes: Codes, phrase: str) -> Codes:
    """The objects with a part tinted; their geometry is the same."""
    with heard():
        region = editor.parts.find(replace(codes, layers=()), phrase)
    batch, device = len(codes), editor.device
    codes = codes.to(device)
    ones = torch.ones(batch, 1, device=device)
    paint = torch.tensor(TINT, device=device).expand(batch, -1)
    layer = LocalEdit(region, None, codes.appearance, ones, f"lit: {phrase}", paint)
    return replace(codes, layers=(*codes.layers, layer))
