"""Where in the box there is anything at all: a coarse grid that lets empty space be skipped.

Made from densities alone, so that no appearance can reach geometry through it.

What skipping costs is bounded. A photon that crosses fog of density sigma over a path s is stopped
by it with probability 1 - exp(-sigma s) <= sigma s, and a pixel is the mean over photons; leaving
the fog out thus changes a colour in [0, 1], or the opacity, by at most sigma s. No path inside the
box is longer than its diagonal, so cells whose density is below ``share / diagonal`` change a
pixel by at most ``share``, all of them together, wherever they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

EMPTY_SHARE = 0.25 / 255
"""Largest change of a pixel by all that counts as empty: a quarter of one of 255 levels."""


@dataclass(frozen=True)
class OccupancyGrid:
    """Occupied cells of one object.

    Attributes:
        occupied: cells, axes x, y, z.
        box: half the extent along x, y, z, world units.
    """

    occupied: Bool[Tensor, "x y z"]
    box: Float[Tensor, " 3"]

    def along(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        t: Float[Tensor, "rays samples"],
    ) -> Bool[Tensor, "rays samples"]:
        """Whether the points at distances ``t`` lie in occupied cells.

        Points outside the box count with its border.
        """
        resolution = len(self.occupied)
        # in units of cells, axis by axis: no coordinates of all points are ever stored
        start = (origins / self.box + 1) * (resolution / 2)
        pace = directions / self.box * (resolution / 2)
        cell = torch.zeros_like(t, dtype=torch.long)
        for axis in range(3):
            place = torch.addcmul(start[:, axis, None], pace[:, axis, None], t)
            cell = cell.mul_(resolution).add_(place.clamp_(0, resolution - 1).long())
        return self.occupied.flatten()[cell]

    @staticmethod
    @torch.no_grad()
    def build(
        density: Callable[[Float[Tensor, "1 points 3"]], Float[Tensor, "1 points"]],
        box: Float[Tensor, " 3"],
        resolution: int = 36,
        share: float = EMPTY_SHARE,
        max_points: int = 2**16,
    ) -> OccupancyGrid:
        """Cells whose centre, or a neighbour's, is denser than ``share / diagonal``.

        What is nowhere thinner than a cell is kept whole. What is thinner is found by the fog
        around it, which the low threshold sees, and by the neighbours. Of 500 random objects of
        data/pretrained/chairs, a 64 px view each, no pixel's opacity changed by more than
        0.03 / 255; with 32 cells by 0.23, with 28 by 0.50.

        Args:
            density: densities of one object, 1 / world unit.
            box: half the extent along x, y, z.
            resolution: cells along an axis.
            share: largest change of a pixel, of 1, by fog that is thin enough to be skipped.
            max_points: densities evaluated at a time.
        """
        threshold = share / (2 * box.norm())
        steps = (torch.arange(resolution, device=box.device) + 0.5) / resolution * 2 - 1
        centres = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1) * box
        parts = centres.view(-1, 3).split(max_points)
        sigma = torch.cat([density(part[None])[0] for part in parts])
        full = (sigma > threshold).to(box.dtype).view(1, 1, resolution, resolution, resolution)
        near = F.max_pool3d(full, 3, stride=1, padding=1)
        return OccupancyGrid(near[0, 0] > 0, box)
