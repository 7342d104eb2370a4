"""Whether the two codes keep to their own: geometry under appearance, palette under shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

FIRST_SEED = 200_000
PALETTE_PIXELS = 512
"""Object pixels compared a picture."""


@dataclass(frozen=True)
class Disentanglement:
    """Means over objects.

    silhouette_iou: of two appearances of one shape; 1 where appearance cannot reach geometry.
    shape_iou: of two shapes, for comparison: how much a shape code moves the silhouette.
    palette_distance: of two shapes of one appearance; near 0 where shape leaves colors alone.
    appearance_distance: of two appearances, for comparison: how much an appearance recolors.
    objects: pairs that were compared.
    """

    silhouette_iou: float
    shape_iou: float
    palette_distance: float
    appearance_distance: float
    objects: int


def silhouette_iou(
    first: Float[Tensor, "batch 1 height width"],
    second: Float[Tensor, "batch 1 height width"],
    threshold: float = 0.5,
) -> Float[Tensor, " batch"]:
    """Intersection over union of where two opacities exceed ``threshold``; 1 if neither does."""
    a, b = (first > threshold).flatten(1), (second > threshold).flatten(1)
    union = (a | b).sum(1)
    return torch.where(union > 0, (a & b).sum(1) / union.clamp(min=1), 1.0)


def palette_distance(
    first: Float[Tensor, "batch 3 height width"],
    first_opacity: Float[Tensor, "batch 1 height width"],
    second: Float[Tensor, "batch 3 height width"],
    second_opacity: Float[Tensor, "batch 1 height width"],
) -> Float[Tensor, " batch"]:
    """How far the colors of one object are from the nearest colors of the other, both ways.

    Each solid pixel is matched with the nearest color of the other picture, so that a part that
    merely grows costs nothing; RGB Euclidean, 0 to sqrt(3). NaN where an object has no solid pixel.
    """
    distances = []
    for picture, opacity, other, other_opacity in zip(
        first, first_opacity, second, second_opacity, strict=True
    ):
        a, b = _colors(picture, opacity), _colors(other, other_opacity)
        if not len(a) or not len(b):
            distances.append(first.new_tensor(float("nan")))
            continue
        between = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        distances.append((between.amin(0).mean() + between.amin(1).mean()) / 2)
    return torch.stack(distances)


@torch.no_grad()
def disentanglement(
    generator: Generator, objects: int = 32, size: int = 64, samples: int | None = None
) -> Disentanglement:
    """Swaps one code at a time between fixed random objects, seen by fixed cameras."""
    dim = generator.config.field.code_dim
    codes = Codes.from_seeds(range(FIRST_SEED, FIRST_SEED + objects), dim)
    others = Codes.from_seeds(range(FIRST_SEED + objects, FIRST_SEED + 2 * objects), dim)
    azimuth = torch.arange(objects) * 137.5 % 360
    camera = generator.camera(azimuth, torch.full((objects,), 20.0), size)
    base, recolored, reshaped = (
        generator.render(each, camera, samples=samples)
        for each in (
            codes,
            Codes(codes.shape, others.appearance),
            Codes(others.shape, codes.appearance),
        )
    )

    def palette(view) -> float:
        found = palette_distance(base.rgb, base.opacity, view.rgb, view.opacity)
        return float(found.nanmean())

    return Disentanglement(
        silhouette_iou=float(silhouette_iou(base.opacity, recolored.opacity).mean()),
        shape_iou=float(silhouette_iou(base.opacity, reshaped.opacity).mean()),
        palette_distance=palette(reshaped),
        appearance_distance=palette(recolored),
        objects=objects,
    )


def _colors(picture: Tensor, opacity: Tensor) -> Float[Tensor, "pixels 3"]:
    # the edge of an object is a mixture with the background; only what is nearly solid counts
    colors = picture[:, opacity[0] > 0.9].mT
    step = max(-(-len(colors) // PALETTE_PIXELS), 1)
    return colors[::step]
