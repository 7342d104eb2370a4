"""Positions on which hash-grid backends are compared, and where none of them is smooth."""

import itertools

import torch

from clipnerf.fields.layout import GridLayout

# (dim, levels, features, log2_rows, base, finest); the last ones turn from dense to hashed at
# their first level, at their last, exactly where the table is full, and with tiny tables.
SIZES = [
    (2, 4, 1, 8, 4, 30),
    (2, 3, 8, 5, 2, 9),
    (3, 5, 2, 9, 4, 24),
    (3, 4, 1, 10, 5, 16),
    (3, 3, 4, 8, 3, 11),
    (3, 1, 2, 9, 8, 8),
    (3, 2, 2, 8, 8, 9),
    (3, 2, 2, 12, 8, 15),
    (3, 2, 2, 12, 8, 17),
    (4, 3, 2, 9, 3, 8),
    (4, 2, 8, 6, 2, 5),
]


def points_of_interest(layout: GridLayout) -> torch.Tensor:
    """Random points, all corners of the cube, exact vertices of every level, points outside."""
    draw = torch.Generator().manual_seed(3)
    random = torch.rand(24, layout.dim, generator=draw, dtype=torch.float64)
    corners = itertools.product((0.0, 1.0), repeat=layout.dim)
    faces = random.clone()[:4]
    faces[:, 0] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    parts = [random, torch.tensor(list(corners), dtype=torch.float64), faces, random[:6] * 4 - 1.5]
    for scale, side in zip(layout.scales, layout.resolutions, strict=True):
        vertex = torch.randint(1, side, (4, layout.dim), generator=draw)
        parts.append(((vertex - 0.5) / scale).clamp(0, 1))
    return torch.cat(parts)


def away_from_vertices(x: torch.Tensor, layout: GridLayout, margin: float = 1e-4) -> torch.Tensor:
    """Which points have a slope that rounding cannot turn into the next cell's."""
    smooth = torch.ones(len(x), dtype=torch.bool)
    for scale in layout.scales:
        position = x.double().clamp(0, 1) * scale + 0.5
        smooth &= ((position - position.round()).abs() > margin).all(1)
    return smooth


def random_table(layout: GridLayout, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A table of standard normal numbers."""
    draw = torch.Generator().manual_seed(4)
    return torch.randn(layout.total_rows, layout.features, generator=draw, dtype=dtype)
