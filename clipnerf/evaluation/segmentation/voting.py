"""Ray-weighted voting: the other way from masks of views to the parts of one object.

An object is seen and segmented from a ring of sides; a point of its surface belongs to a phrase as
far as the views that see the point say so. Exact where views agree, but every new object has to be
rendered and segmented anew: a region field (``distill.py``) answers at once. Kept to compare with.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import Rays, pixel_grid, rays_through
from clipnerf.rendering.volume import RenderOutput
from clipnerf.segmentation.segmenter import Segmenter

SIDES = 8
ELEVATIONS_DEG = (15.0, 40.0)
VISIBLE = 0.1
"""World units: how far behind what a view shows a point may lie and still count as seen."""
SOLID = 0.5
"""Opacity from which a pixel shows a surface; a leg of two pixels is hardly anywhere above 0.9."""
SMOOTH = 0.15
"""World units: a pixel whose depth is further from its neighbors' mean shows an edge, where the
expected depth lies on no surface."""


@torch.no_grad()
def vote(
    generator: Generator, segmenter: Segmenter, codes: Codes, text: str, camera: Camera
) -> Float[Tensor, "1 1 height width"]:
    """How likely each pixel of a view shows the phrase, by the votes of a ring of other views.

    Args:
        codes: one object. camera: one view of it.
    """
    size = camera.width
    azimuth = torch.arange(SIDES) * (360.0 / SIDES)
    elevation = torch.tensor(ELEVATIONS_DEG).repeat(SIDES // 2)
    ring = generator.camera(azimuth, elevation, size)
    many = codes[torch.zeros(SIDES, dtype=torch.long)]
    views = generator.render(many, ring)
    chance = segmenter.segment(views.rgb.clamp(0, 1), [text] * SIDES)
    camera = camera.to(generator.device)
    seen = surface_depth(generator.render(codes, camera), camera, generator.box)
    points = points_of(camera, seen, generator.box)[0]
    place, depth = project(ring, points)
    at = place[:, None]
    shown = functional.grid_sample(views.depth, at, align_corners=False)[:, 0, 0]
    said = functional.grid_sample(chance, at, align_corners=False)[:, 0, 0]
    weight = (depth < shown + VISIBLE).float() * (shown > 0)
    total = (said * weight).sum(0) / weight.sum(0).clamp(min=1e-6)
    return (total * (seen[0] > 0)).view(1, 1, camera.height, size)


def project(
    camera: Camera, points: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, "views points 2"], Float[Tensor, "views points"]]:
    """Where points fall in pictures (-1 to 1, as grid_sample reads them), and their distance."""
    away = points - camera.c2w[:, None, :3, 3]
    local = away @ camera.c2w[:, :3, :3]
    pixel = local @ camera.K.mT
    pixel = pixel[..., :2] / pixel[..., 2:].clamp(min=1e-6)
    size = torch.tensor([camera.width, camera.height], device=points.device)
    return pixel / size * 2 - 1, away.norm(dim=-1)


def surface_depth(
    view: RenderOutput, camera: Camera, box: Float[Tensor, " 3"]
) -> Float[Tensor, "batch pixels"]:
    """Depths where a pixel shows one surface, 0 elsewhere; of what is half transparent, the mean
    depth of what stops light there."""
    opacity = view.opacity
    through = (1 - opacity) * _rays(camera, box).far.view_as(opacity)
    depth = (view.depth - through) / opacity.clamp(min=SOLID)
    solid = (opacity > SOLID).float()
    sums = functional.avg_pool2d(torch.cat((depth * solid, solid), 1), 3, 1, 1)
    mean = sums[:, :1] / sums[:, 1:].clamp(min=1e-6)
    seen = (solid > 0) & ((depth - mean).abs() < SMOOTH)
    return torch.where(seen, depth, torch.zeros_like(depth)).flatten(1)


def points_of(
    camera: Camera, depth: Float[Tensor, "batch pixels"], box: Float[Tensor, " 3"]
) -> Float[Tensor, "batch pixels 3"]:
    """Points at depths along the rays through all pixels, world units."""
    rays = _rays(camera, box)
    return rays.origins + depth[..., None] * rays.directions


def _rays(camera: Camera, box: Float[Tensor, " 3"]) -> Rays:
    return rays_through(camera, pixel_grid(camera.width, camera.height, box.device), box)
