"""Rays of training and of whole pictures with gradients: samples where light is stopped, shaded.

Two passes a ray: the first is a grid of densities that all rays of an object share
(``rendering/density_grid.py``), the second evaluates what the grid calls worth it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.step_inputs import CPU_STEP
from clipnerf.rendering.density_grid import DensityGrid, place_samples
from clipnerf.rendering.rays import Rays
from clipnerf.rendering.volume import composite, expected_depth, render_weights

FAINT = 2e-3
"""Opacity of a ray, by the first pass, up to which it counts as empty."""
FAINT_SAMPLES = 4
"""Samples in training of a ray that counts as empty: there has to be a chance for new matter."""
GROUP = 4
"""Objects traced at a time on a CPU."""


def trace(
    field: ConditionalField,
    rays: Rays,
    shape: ShapeStyle,
    appearance: AppearanceStyle,
    grid: DensityGrid,
    *,
    samples: int,
    background: float = 1.0,
    jitter: Float[Tensor, "batch rays samples"] | None = None,
    density_noise: Float[Tensor, "batch rays samples"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays"], Float[Tensor, "batch rays"]]:
    """Color, opacity and depth of rays, all at once.

    Args:
        rays: rays of B objects.
        grid: of the same objects; no gradient passes through the places that it gives.
        samples: samples a ray.
        background: gray level behind the object.
        jitter: places of the samples in their intervals, [0, 1) (training); the middle where
            None.
        density_noise: added to the density, relative to 1 / length of the interval.
        dtype: of the networks; sampling and compositing are float32.
    """
    t, delta = place_samples(grid.along(rays), rays, samples, jitter)
    (seen,) = shade(field, [(rays, t, delta, density_noise)], shape, appearance, background, dtype)
    return seen


def shade(
    field: ConditionalField,
    parts: list[tuple[Rays, Tensor, Tensor, Tensor | None]],
    shape: ShapeStyle,
    appearance: AppearanceStyle,
    background: float,
    dtype: torch.dtype,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Color, opacity and depth of rays from their samples.

    Args:
        parts: rays of the same objects with numbers of samples of their own; each with t, the
            length of each sample's interval, and noise on the density. The field sees them all
            at once.
    """
    counts = [t.shape[1] * t.shape[2] for _, t, _, _ in parts]
    at = [
        rays.origins[:, :, None] + t[..., None] * rays.directions[:, :, None]
        for rays, t, _, _ in parts
    ]
    points = torch.cat([p.flatten(1, 2) for p in at], dim=1)
    features, densities = field.geometry(points, shape, dtype)
    directions = None
    if field.view_direction:
        wide = [
            rays.directions[:, :, None].expand(p.shape).flatten(1, 2)
            for (rays, _, _, _), p in zip(parts, at, strict=True)
        ]
        directions = torch.cat(wide, dim=1)
    colors = field.color(features, appearance, directions, points)
    found = []
    for (rays, t, delta, noise), sigma, rgb in zip(
        parts, densities.split(counts, dim=1), colors.split(counts, dim=1), strict=True
    ):
        sigma = sigma.reshape(t.shape)
        if noise is not None:
            # Annealed noise keeps early densities from saturating (NeRF, appendix A)
            sigma = torch.relu(sigma + noise / delta.clamp(min=1e-6))
        weights = render_weights(sigma, delta)
        color, opacity = composite(weights, rgb.reshape(*t.shape, 3), background)
        # a ray that misses may be traced for another picture's sake, and must not show it
        found.append((color, opacity, expected_depth(weights, t, rays.far) * rays.hit))
    return found


def trace_sparingly(
    field: ConditionalField,
    rays: Rays,
    shape: ShapeStyle,
    appearance: AppearanceStyle,
    grid: DensityGrid,
    *,
    samples: int,
    background: float,
    jitter: Float[Tensor, "batch rays samples"] | None,
    density_noise: Float[Tensor, "batch rays samples"] | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`trace`; rays that the first pass calls empty get fewer samples.

    How many those are is another number for each object, which a GPU would have to wait for. A
    CPU takes few objects at a time, of like numbers.
    """
    weights = grid.along(rays)
    faint = weights.sum(-1) <= FAINT
    few = min(FAINT_SAMPLES, samples)
    rows = faint.sum(1).argsort(stable=True)
    done: list[tuple[Tensor, ...]] = []
    for some in rows.split(GROUP):
        order = faint[some].to(torch.uint8).argsort(dim=1, stable=True)
        solid = int((~faint[some]).sum(1).max())
        solid = min(-(-solid // CPU_STEP) * CPU_STEP, order.shape[1])
        parts = []
        for index, count in ((order[:, :solid], samples), (order[:, solid:], few)):
            if not index.shape[1]:
                continue
            own = rays[some].gather(index)
            wide = index[..., None]
            near = weights[some].gather(1, wide.expand(-1, -1, weights.shape[2]))
            offsets, noise = (
                None if v is None else v[some, :, :count].gather(1, wide.expand(-1, -1, count))
                for v in (jitter, density_noise)
            )
            parts.append((own, *place_samples(near, own, count, offsets), noise))
        styles = shape.rows(some), appearance.rows(some)
        seen = shade(field, parts, *styles, background, dtype)
        back = order.argsort(dim=1)
        joined = [torch.cat(values, dim=1) for values in zip(*seen, strict=True)]
        color = joined[0].gather(1, back[..., None].expand(-1, -1, 3))
        done.append((color, joined[1].gather(1, back), joined[2].gather(1, back)))
    first = rows.argsort()
    color, opacity, depth = (torch.cat(values)[first] for values in zip(*done, strict=True))
    return color, opacity, depth
