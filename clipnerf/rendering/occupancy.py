"""Where in the box there is anything at all: a coarse grid that lets empty space be skipped.

Made from densities alone, so that no appearance can reach geometry through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class OccupancyGrid:
    """Occupied cells of one object.

    Attributes:
        occupied: cells, axes x, y, z.
        box: half the extent along x, y, z, world units.
    """

    occupied: Bool[Tensor, "x y z"]
    box: Float[Tensor, " 3"]

    def contains(self, points: Float[Tensor, "points 3"]) -> Bool[Tensor, " points"]:
        """Whether points lie in occupied cells; points outside the box count with its border."""
        resolution = len(self.occupied)
        cell = ((points / self.box * 0.5 + 0.5) * resolution).long().clamp_(0, resolution - 1)
        flat = (cell[:, 0] * resolution + cell[:, 1]) * resolution + cell[:, 2]
        return self.occupied.flatten()[flat]

    @staticmethod
    @torch.no_grad()
    def build(
        density: Callable[[Float[Tensor, "1 points 3"]], Float[Tensor, "1 points"]],
        box: Float[Tensor, " 3"],
        resolution: int = 40,
        threshold: float = 0.01,
    ) -> OccupancyGrid:
        """Density at the cells' centres above a threshold, and all neighbours of such cells.

        Args:
            density: densities of one object, 1 / world unit.
            box: half the extent along x, y, z.
            resolution: cells along an axis.
            threshold: density below which a cell is empty; light that crosses a unit of it loses
                about this share.
        """
        steps = (torch.arange(resolution, device=box.device) + 0.5) / resolution * 2 - 1
        centres = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1) * box
        sigma = torch.cat([density(part[None])[0] for part in centres.view(-1, 3).split(2**16)])
        full = (sigma > threshold).to(box.dtype).view(1, 1, resolution, resolution, resolution)
        near = F.max_pool3d(full, 3, stride=1, padding=1)
        return OccupancyGrid(near[0, 0] > 0, box)
