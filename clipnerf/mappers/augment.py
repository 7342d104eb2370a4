"""What a rendered picture goes through before CLIP sees it, so that no single pixel can please it.

Crop and perspective are one warp; the background is tinted through the opacity. Colors of the
object are never changed: color is what the words are about.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from clipnerf.config.mapper import AugmentConfig


@dataclass(frozen=True)
class Augmentation:
    """One draw for a batch; applied to the picture before and after an edit alike."""

    homography: Float[Tensor, "batch 3 3"]
    """From the augmented picture's coordinates in [-1, 1]^2 to the rendered one's."""
    background: Float[Tensor, "batch 3 1 1"]
    """Color behind the object, in [0, 1]."""

    def rows(self, index: Int[Tensor, " rows"]) -> Augmentation:
        """A selection; one may be taken several times."""
        return Augmentation(self.homography[index], self.background[index])

    def __call__(
        self,
        rgb: Float[Tensor, "batch 3 height width"],
        opacity: Float[Tensor, "batch 1 height width"],
    ) -> Float[Tensor, "batch 3 height width"]:
        """Pictures of the same size; what comes from outside the frame is background.

        Args:
            rgb: rendered on white, in [0, 1].
        """
        batch, _, height, width = rgb.shape
        x = (torch.arange(width, device=rgb.device) + 0.5) * 2 / width - 1
        y = (torch.arange(height, device=rgb.device) + 0.5) * 2 / height - 1
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        points = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], -1).reshape(1, -1, 3)
        mapped = points.expand(batch, -1, -1) @ self.homography.transpose(1, 2)
        grid = (mapped[..., :2] / mapped[..., 2:]).reshape(batch, height, width, 2)
        # 1 - rgb is zero on white, and so is what grid_sample puts outside the frame.
        layers = torch.cat([1 - rgb, opacity], 1)
        warped = functional.grid_sample(layers, grid, padding_mode="zeros", align_corners=False)
        on_white, cover = 1 - warped[:, :3], warped[:, 3:]
        return on_white - (1 - cover) * (1 - self.background)


def draw_augmentation(
    batch: int, config: AugmentConfig, rng: torch.Generator, device: torch.device | str = "cpu"
) -> Augmentation:
    """A random crop, perspective and background for each picture of a batch."""
    uniform = torch.rand(batch, 3, generator=rng)
    side = 1 - (1 - config.crop_min) * uniform[:, :1]
    centre = (uniform[:, 1:] * 2 - 1) * (1 - side)
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    jitter = (torch.rand(batch, 4, 2, generator=rng) * 2 - 1) * config.perspective
    corners = (square + jitter) * side[:, None] + centre[:, None]
    tint = torch.rand(batch, 3, generator=rng) * torch.rand(batch, 1, generator=rng)
    background = 1 - config.background * tint
    return Augmentation(
        _homography(square, corners).to(device), background[:, :, None, None].to(device)
    )


def _homography(
    source: Float[Tensor, "4 2"], target: Float[Tensor, "batch 4 2"]
) -> Float[Tensor, "batch 3 3"]:
    """The projective map that takes the four source points to the target points."""
    x, y = source[:, 0], source[:, 1]
    u, v = target[..., 0], target[..., 1]
    x, y = x.expand_as(u), y.expand_as(u)
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    for_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    for_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    entries = torch.linalg.solve(torch.cat([for_u, for_v], 1), torch.cat([u, v], 1))
    return torch.cat([entries, one[:, :1]], 1).reshape(-1, 3, 3)
