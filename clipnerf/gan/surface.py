"""The surface of an object, seen once and colored many times.

Appearance reaches neither density nor sampling, so that everything but the color of a view can
be computed once, without a gradient, and colored by as many edits as wanted. Of the samples
along the rays only those that send light are kept: a few in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clipnerf.fields.styles import AppearanceStyle
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import place_samples
from clipnerf.rendering.rays import pixel_grid, rays_through
from clipnerf.rendering.volume import render_weights

LEAST_WEIGHT = 1e-3
"""Samples that send less than this share of a ray's light are left out (0.4 of 255 levels)."""


@dataclass(frozen=True)
class Surface:
    """Samples of B views that send light, as many for each as the fullest view has."""

    features: Float[Tensor, "batch points features"]
    """What the color network sees."""
    directions: Float[Tensor, "batch points 3"]
    """Unit viewing directions."""
    weight: Float[Tensor, "batch points"]
    """Share of the pixel's light; 0 where a view has fewer samples."""
    pixel: Int[Tensor, "batch points"]
    """Pixel that a sample belongs to, counted row by row."""
    height: int
    width: int

    @property
    def opacity(self) -> Float[Tensor, "batch 1 height width"]:
        """Share of light stopped by the samples kept."""
        empty = self.weight.new_zeros(len(self.weight), self.height * self.width)
        total = empty.scatter_add(1, self.pixel, self.weight)
        return total.view(-1, 1, self.height, self.width)

    def rows(self, index: Int[Tensor, " rows"]) -> Surface:
        """A selection of views; one may be taken several times."""
        return Surface(
            self.features[index],
            self.directions[index],
            self.weight[index],
            self.pixel[index],
            self.height,
            self.width,
        )

    def color(
        self, generator: Generator, style: AppearanceStyle
    ) -> Float[Tensor, "batch 3 height width"]:
        """The views on white in the given appearances, one for each; differentiable in them."""
        directions = self.directions if generator.field.view_direction else None
        rgb = generator.field.color(self.features, style, directions)
        light = (self.weight[..., None] * (rgb - 1)).mT
        white = light.new_ones(len(light), 3, self.height * self.width)
        pixel = self.pixel[:, None].expand(-1, 3, -1)
        return white.scatter_add(2, pixel, light).view(-1, 3, self.height, self.width)


@torch.no_grad()
def see_surface(generator: Generator, codes: Codes, camera: Camera, samples: int) -> Surface:
    """Geometry of B objects from B cameras.

    Args:
        generator: with disentangled conditioning.
        samples: samples a ray, in the middle of their intervals.
    """
    shape, _ = generator.styles(codes)
    rays = rays_through(
        camera, pixel_grid(camera.width, camera.height, generator.device), generator.box
    )
    batch, pixels = rays.near.shape
    kept = max(int(rays.hit.sum(1).max()), 1)
    rays, order = rays.hits_first(kept)
    t, delta = place_samples(generator.density_grid(shape).along(rays), rays, samples)
    points = rays.origins[:, :, None] + t[..., None] * rays.directions[:, :, None]
    features = generator.field.features(generator.field.deform(points.flatten(1, 2), shape))
    sigma = generator.field.density(features, shape).view(batch, kept, samples)
    weights = render_weights(sigma, delta).flatten(1)
    count = max(int((weights > LEAST_WEIGHT).sum(1).max()), 1)
    weight, index = weights.topk(count, dim=1)
    ray = index // samples
    return Surface(
        features=features.gather(1, index[..., None].expand(-1, -1, features.shape[-1])),
        directions=rays.directions.gather(1, ray[..., None].expand(-1, -1, 3)),
        weight=torch.where(weight > LEAST_WEIGHT, weight, torch.zeros_like(weight)),
        pixel=order.gather(1, ray),
        height=camera.height,
        width=camera.width,
    )
