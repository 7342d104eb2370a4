"""Preview sheets of a generator: pictures, depth, and the swap grid of shapes and appearances."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.io.sheet import to_uint8


def grid(
    pictures: Float[Tensor, "count 3 height width"], columns: int
) -> Float[Tensor, "3 rows cols"]:
    """Pictures side by side, row by row; the last row is filled with white."""
    missing = -len(pictures) % columns
    white = pictures.new_ones(missing, *pictures.shape[1:])
    full = torch.cat((pictures, white))
    rows, (height, width) = len(full) // columns, full.shape[2:]
    table = full.view(rows, columns, 3, height, width)
    return table.permute(2, 0, 3, 1, 4).reshape(3, rows * height, columns * width)


@torch.no_grad()
def preview_sheet(
    generator: Generator, size: int, columns: int = 8
) -> UInt8[np.ndarray, "height width 3"]:
    """Fixed objects at fixed views: four rows of objects, one of depth, one turning, a swap grid.

    Rows: 32 objects from varied cameras; depth of the first eight; the first object turned
    around; then four rows of four shapes under eight appearances.
    """
    codes = Codes.from_seeds(range(4 * columns), generator.config.field.code_dim)
    spread = torch.arange(len(codes)) * 137.5 % 360
    height = 10 + torch.arange(len(codes)) * 7.0 % 30

    def show(codes: Codes, azimuth: Tensor, elevation: Tensor) -> tuple[Tensor, Tensor]:
        view = generator.render(codes, generator.camera(azimuth, elevation, size), precision="auto")
        depth = view.depth + (1 - view.opacity) * 10
        near = generator.config.camera.radius - 1
        return view.rgb.cpu(), ((depth - near) / 2).clamp(0, 1).expand(-1, 3, -1, -1).cpu()

    parts = []
    depth = None
    for start in range(0, len(codes), columns):
        rows = slice(start, start + columns)
        rgb, row_depth = show(codes[rows], spread[rows], height[rows])
        parts.append(rgb)
        depth = row_depth if depth is None else depth
    assert depth is not None
    parts.append(depth)
    around = torch.arange(columns) * (360 / columns)
    parts.append(show(codes[[0] * columns], around, torch.full((columns,), 20.0))[0])
    for row in range(4):
        swapped = Codes(codes.shape[[row] * columns], codes.appearance[8 : 8 + columns])
        parts.append(show(swapped, torch.full((columns,), 35.0), torch.full((columns,), 20.0))[0])
    return to_uint8(grid(torch.cat(parts), columns)[None])[0]
