"""How differently two codes fill the box: a distance of codes by what they do.

Most directions of a code, and of the style behind it, change little that can be seen. An encoder
that was taught to guess the numbers explained a quarter of their variance; it is taught to guess
what is at random points instead, which costs less than rendering.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

STRATA = 16
"""Opacity is that of a step of the box's mean side over so many."""


def field_difference(
    generator: Generator,
    guess: Codes,
    true: Codes,
    points: Float[Tensor, "batch points 3"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean squared differences of opacity, and of color where the true object is.

    Args:
        guess: differentiable.
        points: in [-1, 1], scaled to the box.
    """
    field = generator.field
    points = points * generator.box
    delta = 2 * generator.box.mean() / STRATA
    with torch.no_grad():
        shape, appearance = generator.styles(true)
        features = field.features(field.deform(points, shape))
        opacity = 1 - torch.exp(-field.density(features, shape) * delta)
        rgb = field.color(features, appearance, *_ahead(generator, points))
    shape, appearance = generator.styles(guess)
    moved = field.features(field.deform(points, shape))
    found = 1 - torch.exp(-field.density(moved, shape) * delta)
    of_shape = (found - opacity).square().mean()
    looks = field.color(features, appearance, *_ahead(generator, points))
    squares = (looks - rgb).square().mean(-1)
    return of_shape, (opacity * squares).sum() / opacity.sum().clamp(min=1e-3)


def _ahead(generator: Generator, points: Tensor) -> tuple[Tensor, ...]:
    """A direction of view for fields that see one: inwards."""
    if not generator.field.view_direction:
        return ()
    return (-torch.nn.functional.normalize(points, dim=-1),)
