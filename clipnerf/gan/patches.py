"""Patches: where a discriminator looks. Reals and fakes are sampled on the same points.

A patch of P x P points covers the share ``scale`` of the picture's width, its corner at
``offset`` (both relative to the picture, x then y); GRAF, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Patches:
    """A batch of square patches.

    Attributes:
        scale: share of the picture's width, (0, 1].
        offset: upper left corner (x, y), each in [0, 1 - scale].
    """

    scale: Float[Tensor, " batch"]
    offset: Float[Tensor, "batch 2"]

    def __len__(self) -> int:
        return len(self.scale)

    def points(self, size: int, lattice: int | None = None) -> Float[Tensor, "batch points 2"]:
        """Sampling points (x, y) relative to the picture, [0, 1], row by row.

        Args:
            size: points along a side.
            lattice: move each point to the nearest pixel's centre of pictures of so many pixels; a
                ray through it then sees what that pixel shows, and no pixels are mixed.
        """
        steps = (torch.arange(size, device=self.scale.device) + 0.5) / size
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).view(1, -1, 2)
        points = self.offset[:, None] + grid * self.scale[:, None, None]
        if lattice is None:
            return points
        return ((points * lattice).floor().clamp(0, lattice - 1) + 0.5) / lattice

    def crop(
        self, pictures: Float[Tensor, "batch channels height width"], size: int
    ) -> Float[Tensor, "batch channels size size"]:
        """Pictures at the patches' points, bilinear."""
        points = self.points(size).view(len(self), size, size, 2) * 2 - 1
        return F.grid_sample(
            pictures, points, mode="bilinear", padding_mode="border", align_corners=False
        )

    def pick(
        self, pictures: Float[Tensor, "batch channels pixels pixels"], size: int
    ) -> Float[Tensor, "batch channels size size"]:
        """The pixels nearest to the patches' points: those of ``points(size, pixels)``, unmixed."""
        pixels = pictures.shape[-1]
        column, row = (self.points(size, pixels) * pixels).long().unbind(-1)
        index = (row * pixels + column)[:, None].expand(-1, pictures.shape[1], -1)
        return pictures.flatten(2).gather(2, index).unflatten(2, (size, size))

    def to(self, device: torch.device | str) -> Patches:
        """The same patches on a device."""
        return Patches(self.scale.to(device), self.offset.to(device))

    @staticmethod
    def whole(batch: int, device: torch.device | str | None = None) -> Patches:
        """The whole picture, ``batch`` times."""
        return Patches(torch.ones(batch, device=device), torch.zeros(batch, 2, device=device))

    @staticmethod
    def sample(
        batch: int, smallest: float, concentration: float, generator: torch.Generator
    ) -> Patches:
        """Random patches: scale = smallest + (1 - smallest) * Beta(1, b), uniform offsets.

        Args:
            batch: number of patches.
            smallest: smallest scale, (0, 1].
            concentration: b; near 0 nearly all patches are whole pictures, at 1 scales are uniform.
            generator: source of randomness; its device is the patches' device.
        """
        device = generator.device
        u = torch.rand(batch, 3, generator=generator, device=device)
        # Beta(1, b) is 1 - U^(1/b); Beta(1, 0) is the point mass at 1
        beta = 1 - u[:, 0] ** (1 / max(concentration, 1e-9))
        scale = smallest + (1 - smallest) * beta
        return Patches(scale, u[:, 1:] * (1 - scale)[:, None])
