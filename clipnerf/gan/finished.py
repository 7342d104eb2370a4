"""Finished pictures: no gradients, so empty space and hidden colours are skipped."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.field import AppearanceStyle, ConditionalField, ShapeStyle
from clipnerf.rendering.occupancy import OccupancyGrid
from clipnerf.rendering.rays import Rays, sample_along
from clipnerf.rendering.volume import composite, expected_depth, render_weights

# A sample that sends less of a ray's light than this needs no colour: 48 of them are 1/255 at most.
SMALLEST_WEIGHT = 8e-5


def occupancy_of(
    field: ConditionalField,
    shape: ShapeStyle,
    box: Float[Tensor, " 3"],
    dtype: torch.dtype = torch.float32,
) -> OccupancyGrid:
    """Occupied cells of one object (a style of batch 1)."""

    def density(points: Tensor) -> Tensor:
        return field.density(field.features(field.deform(points, shape, dtype), dtype), shape)

    return OccupancyGrid.build(density, box)


@torch.no_grad()
def trace_sparse(
    field: ConditionalField,
    rays: Rays,
    shape: ShapeStyle,
    appearance: AppearanceStyle,
    occupancy: OccupancyGrid,
    *,
    samples: int,
    background: float,
    dtype: torch.dtype,
) -> tuple[Float[Tensor, "1 rays 3"], Float[Tensor, "1 rays"], Float[Tensor, "1 rays"]]:
    """Colour, opacity and depth of rays of one object; as ``Generator.trace`` without noise.

    Densities are evaluated in occupied cells, colours where they are seen.
    """
    count = rays.near.shape[1]
    t, delta = sample_along(rays, samples)
    points = (rays.origins[:, :, None] + t[..., None] * rays.directions[:, :, None]).view(-1, 3)
    where = occupancy.contains(points).nonzero().squeeze(1)
    sigma = points.new_zeros(len(points))
    rgb = points.new_full((len(points), 3), background)
    if len(where):
        features = field.features(field.deform(points[where][None], shape, dtype), dtype)
        sigma[where] = field.density(features, shape)[0]
        weights = render_weights(sigma.view(1, count, samples), delta)
        seen = weights.view(-1)[where] > SMALLEST_WEIGHT
        visible = where[seen]
        directions = None
        if field.view_direction:
            directions = rays.directions[0, visible // samples][None]
        rgb[visible] = field.color(features[:, seen], appearance, directions)[0]
    else:
        weights = sigma.view(1, count, samples)
    color, opacity = composite(weights, rgb.view(1, count, samples, 3), background)
    # rays that miss are traced to fill up a batch, and must not show it
    return color, opacity, expected_depth(weights, t, rays.far) * rays.hit
