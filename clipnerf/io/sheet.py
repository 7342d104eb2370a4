"""Contact sheets: many small pictures on one, each with a label; tints over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from clipnerf.config.ranges import check
from clipnerf.errors import UsageError
from clipnerf.io.atomic import atomic_write
from clipnerf.rendering.shown import row_png

GAP = 4
LABEL_LINES = 2
_TINT = torch.tensor([0.95, 0.15, 0.55])
_SHARE = 0.55
"""Of the tint, over what was found."""


class Sheet(np.ndarray):
    """A picture [height, width, 3], 0 to 255, that a notebook shows as one."""

    def _repr_png_(self) -> bytes | None:
        plain = np.asarray(self)
        known = plain.ndim == 3 and plain.shape[2] == 3 and plain.dtype == np.uint8 and plain.size
        return row_png(plain[None]) if known else None


def to_uint8(pictures: Float[Tensor, "batch 3 height width"]) -> list[np.ndarray]:
    """Pictures in [0, 1] as uint8 arrays [height, width, 3], rounded to the nearest level."""
    levels = pictures.detach().float().clamp(0, 1).mul(255).round()
    return list(levels.byte().permute(0, 2, 3, 1).cpu().numpy())


def contact_sheet(
    pictures: Float[Tensor, "batch 3 height width"] | Sequence[np.ndarray],
    columns: int,
    labels: Sequence[str] | None = None,
) -> UInt8[Sheet, "sheet_height sheet_width 3"]:
    """Pictures of one size in rows of `columns`, on white, each with its label beneath.

    Args:
        pictures: float [0, 1] NCHW, or uint8 arrays [height, width, 3].
        columns: pictures a row, at least 1.
        labels: one a picture (may be empty); long ones are wrapped, then cut with an ellipsis.
    """
    tiles = to_uint8(pictures) if isinstance(pictures, Tensor) else list(pictures)
    if not tiles:
        raise UsageError("a contact sheet of 0 pictures was asked for; give at least one")
    if columns < 1:
        raise UsageError(f"columns is {columns}; a contact sheet has at least 1")
    if labels is not None and len(labels) != len(tiles):
        raise UsageError(f"{len(labels)} labels for {len(tiles)} pictures; give one for each")
    height, width = tiles[0].shape[:2]
    font = ImageFont.load_default(size=_font_size(width))
    texts = [_wrap(label, font, width) for label in labels] if labels is not None else []
    line = int(np.ceil(font.getbbox("Ag|")[3])) + 1
    label_height = line * max((len(lines) for lines in texts), default=0)
    rows = -(-len(tiles) // columns)
    cell_height, cell_width = height + label_height + GAP, width + GAP
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        if tile.shape[:2] != (height, width):
            raise UsageError(
                f"picture {index} is {tile.shape[1]} x {tile.shape[0]}, the first "
                f"{width} x {height}; a contact sheet takes pictures of one size"
            )
        left = GAP + (index % columns) * cell_width
        top = GAP + (index // columns) * cell_height
        sheet.paste(Image.fromarray(np.ascontiguousarray(tile)), (left, top))
        for number, text in enumerate(texts[index] if texts else []):
            shift = max(0.0, (width - font.getlength(text)) / 2)
            draw.text((left + shift, top + height + number * line), text, "black", font)
    return np.asarray(sheet).view(Sheet)


def overlay(
    picture: Float[Tensor, "*batch 3 height width"], mask: Float[Tensor, "*batch 1 height width"]
) -> Float[Tensor, "*batch 3 height width"]:
    """The picture with a tint where the mask is."""
    tint = _TINT.to(picture).view(3, 1, 1)
    return picture + _SHARE * mask * (tint - picture)


def save_png(path: str | Path, picture: UInt8[np.ndarray, "height width 3"]) -> Path:
    """Writes a PNG under a temporary name, then renames it."""
    path = check_png_path(path)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        Image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
    return path


def check_png_path(path: str | Path) -> Path:
    """The path, if it names a png; UsageError otherwise."""
    check("picture path", path, str)
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"picture path is '{path}'; only .png is written; end the name in .png")
    return path


def _font_size(width: int) -> int:
    return 9 if width < 96 else 12


def _wrap(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The label in at most LABEL_LINES lines that fit the width."""
    lines: list[str] = []
    for word in (word[:width] for word in label.split()):  # no letter is less than a pixel wide
        if len(lines) > LABEL_LINES:
            break
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    if len(lines) > LABEL_LINES:
        lines = [*lines[: LABEL_LINES - 1], lines[LABEL_LINES - 1] + "…"]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1].rstrip("…")
    return line + "…"
