"""Geometry of a multiresolution hash grid: one definition that every backend shares.

The layout is that of tiny-cuda-nn (Müller et al., "Instant Neural Graphics Primitives with a
Multiresolution Hash Encoding", 2022), so that a table moves between backends unchanged:

- scale_l = exp2(l * log2(b)) * N_min - 1, every step rounded to float32; res_l = ceil(scale_l) + 1
- rows_l = min(roundup8(res_l ** D), 2 ** T)
- position = scale_l * x + 0.5, then floor and fraction; x is the fastest axis
- dense index sum_d g_d * res_l ** d while it fits into rows_l, else the XOR of g_d * prime_d in
  32 unsigned bits; then modulo rows_l
- parameters level-major, [row, F]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PRIMES = (1, 2654435761, 805459861, 3674653429)


@dataclass(frozen=True)
class GridLayout:
    """Sizes of a hash grid.

    Args:
        dim: dimension D of the positions, 2 to 4.
        levels: number of levels L, 1 or more.
        features: features F of an entry: 1, 2, 4 or 8.
        log2_rows: T; no level has more than 2 ** T rows.
        base_resolution: N_min, grid resolution of the coarsest level.
        finest_resolution: grid resolution of the finest level; with ``levels`` it gives b.

    Raises:
        ValueError: naming the size that is out of range.
    """

    dim: int = 3
    levels: int = 8
    features: int = 2
    log2_rows: int = 14
    base_resolution: int = 8
    finest_resolution: int = 128

    def __post_init__(self) -> None:
        if self.dim not in (2, 3, 4):
            raise ValueError(f"hash grid: dim is {self.dim}; 2, 3 or 4 are possible")
        if self.levels < 1:
            raise ValueError(f"hash grid: levels is {self.levels}; at least 1 is needed")
        if self.features not in (1, 2, 4, 8):
            raise ValueError(f"hash grid: features is {self.features}; 1, 2, 4 or 8 are possible")
        if not 3 <= self.log2_rows <= 24:
            raise ValueError(f"hash grid: log2_rows is {self.log2_rows}; 3 to 24 are possible")
        if self.base_resolution < 2:
            raise ValueError(f"hash grid: base_resolution is {self.base_resolution}; 2 or more")
        if self.finest_resolution < self.base_resolution:
            raise ValueError(
                f"hash grid: finest_resolution is {self.finest_resolution}, below "
                f"base_resolution {self.base_resolution}"
            )

    @property
    def per_level_scale(self) -> float:
        """b, the growth of the resolution from level to level; 1 for a single level."""
        if self.levels == 1:
            return 1.0
        ratio = self.finest_resolution / self.base_resolution
        return math.exp(math.log(ratio) / (self.levels - 1))

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """scale_l of each level; b, its logarithm and every step after are rounded to float32.

        Powers and logarithms are taken in double precision first, so that no library's float32
        version of them can move a level by a bit.
        """
        log2_b = np.float32(math.log2(np.float32(self.per_level_scale)))
        base, one = np.float32(self.base_resolution), np.float32(1)
        powers = [np.float32(2.0 ** float(np.float32(k) * log2_b)) for k in range(self.levels)]
        return tuple(float(power * base - one) for power in powers)

    @cached_property
    def resolutions(self) -> tuple[int, ...]:
        """res_l of each level: grid vertices along an axis."""
        return tuple(math.ceil(scale) + 1 for scale in self.scales)

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """Rows of each level's table."""
        return tuple(
            min((res**self.dim + 7) // 8 * 8, 2**self.log2_rows) for res in self.resolutions
        )

    @cached_property
    def hashed(self) -> tuple[bool, ...]:
        """Whether a level is hashed (True) or dense (False)."""
        return tuple(
            res**self.dim > rows for res, rows in zip(self.resolutions, self.rows, strict=True)
        )

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level in the common table, and the total as a last entry."""
        return tuple(np.cumsum((0, *self.rows)).tolist())

    @property
    def total_rows(self) -> int:
        """Rows of all levels together."""
        return self.offsets[-1]

    @property
    def out_features(self) -> int:
        """Features a point gets: levels * features."""
        return self.levels * self.features
