"""Rays through pixels, their part inside a box, and samples along it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clipnerf.rendering.cameras import Camera


@dataclass(frozen=True)
class Rays:
    """Rays in world space; directions have unit length.

    Attributes:
        origins, directions: batch of B pictures with R rays each.
        near, far: distances where a ray enters and leaves the box; equal where it misses.
    """

    origins: Float[Tensor, "batch rays 3"]
    directions: Float[Tensor, "batch rays 3"]
    near: Float[Tensor, "batch rays"]
    far: Float[Tensor, "batch rays"]

    @property
    def hit(self) -> Bool[Tensor, "batch rays"]:
        """Which rays meet the box."""
        return self.far > self.near

    def __getitem__(self, pictures: slice | Tensor) -> Rays:
        """The rays of a selection of pictures."""
        return Rays(
            self.origins[pictures],
            self.directions[pictures],
            self.near[pictures],
            self.far[pictures],
        )

    def piece(self, some: slice) -> Rays:
        """A range of each picture's rays."""
        return Rays(
            self.origins[:, some], self.directions[:, some], self.near[:, some], self.far[:, some]
        )

    def most_hits(self, step: int) -> int:
        """The most rays that meet the box in any picture, rounded up; waits for the device.

        Few sizes suit an allocator, whose heap would fray. At least one more than there are,
        unless that is all.
        """
        hits, total = int(self.hit.sum(1).max()), self.near.shape[1]
        return min((hits // step + 1) * step, total)

    def hits_first(self, kept: int) -> tuple[Rays, Int[Tensor, "batch kept"]]:
        """The first ``kept`` rays of each picture, those that meet the box before all others.

        Returns the rays, and where each was before.
        """
        order = torch.argsort(self.hit, dim=1, descending=True, stable=True)[:, :kept]
        return self.gather(order), order

    def gather(self, index: Tensor) -> Rays:
        """Rays ``index`` [B, n] of each picture."""
        wide = index[..., None].expand(-1, -1, 3)
        return Rays(
            self.origins.gather(1, wide),
            self.directions.gather(1, wide),
            self.near.gather(1, index),
            self.far.gather(1, index),
        )


def pixel_grid(
    width: int, height: int, device: torch.device | None = None
) -> Float[Tensor, "1 pixels 2"]:
    """Centers of all pixels, (x, y) in pixels, row by row."""
    x = torch.arange(width, device=device) + 0.5
    y = torch.arange(height, device=device) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(1, -1, 2)


def rays_through(
    camera: Camera,
    pixels: Float[Tensor, "batch rays 2"],
    box: Float[Tensor, " 3"],
) -> Rays:
    """Rays from each camera through ``pixels`` (x, y), cut to the box |x| <= box.

    ``pixels`` may have a batch of 1 for all cameras.
    """
    batch = len(camera)
    focal = torch.stack((camera.K[:, 0, 0], camera.K[:, 1, 1]), dim=1)[:, None]
    local = (pixels - camera.K[:, None, :2, 2]) / focal
    local = torch.cat((local, torch.ones_like(local[..., :1])), dim=-1)
    directions = torch.nn.functional.normalize(local @ camera.c2w[:, :3, :3].mT, dim=-1)
    origins = camera.c2w[:, None, :3, 3].expand(batch, directions.shape[1], 3)
    near, far = box_interval(origins, directions, box)
    return Rays(origins, directions, near, far)


def box_interval(
    origins: Float[Tensor, "*rays 3"],
    directions: Float[Tensor, "*rays 3"],
    box: Float[Tensor, " 3"],
) -> tuple[Float[Tensor, "*rays"], Float[Tensor, "*rays"]]:
    """Distances at which rays enter and leave the box |x| <= box (slab method).

    A ray that misses has far == near; the part behind the origin is cut off.
    """
    # a zero component would give 0 * inf on a face of the box
    tiny = torch.where(directions < 0, -1e-9, 1e-9)
    inverse = 1 / torch.where(directions.abs() < 1e-9, tiny, directions)
    first, second = (-box - origins) * inverse, (box - origins) * inverse
    near = torch.minimum(first, second).amax(-1).clamp(min=0)
    far = torch.maximum(first, second).amin(-1)
    return near, torch.maximum(far, near)
