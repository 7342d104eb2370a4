"""Losses of the adversarial game. Logits above zero mean real."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.patches import Patches

# The smallest color channel from which matter counts as white.
WHITE_FROM = 0.75
# What the density's softplus is taken of, either side of which it has hardly a gradient.
RAW_LIMIT = 8.0


def generator_loss(fake_logits: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Non-saturating loss: mean softplus(-D(fake)) (Goodfellow et al. 2014)."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(
    real_logits: Float[Tensor, " batch"], fake_logits: Float[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Mean softplus(D(fake)) + softplus(-D(real))."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def r1_penalty(
    discriminator: Discriminator, real: Float[Tensor, "batch 3 size size"], patches: Patches
) -> Float[Tensor, ""]:
    """Mean squared gradient norm at real pictures, halved (Mescheder et al. 2018, eq. 9)."""
    real = real.detach().requires_grad_()
    logits = discriminator(real, patches)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum((1, 2, 3)).mean()


def direction_loss(
    guess: Float[Tensor, "batch 3"], true: Float[Tensor, "batch 3"]
) -> Float[Tensor, ""]:
    """1 - cosine between the guessed direction of the camera and the true one, [0, 2], mean.

    Bounded, whatever the guess: a squared error of what the discriminator's last layer says was
    seen to explode, and to empty the generator with it.
    """
    return (1 - F.cosine_similarity(guess, true, dim=1)).mean()


def volume_priors(
    field: ConditionalField,
    styles: tuple[ShapeStyle, AppearanceStyle],
    points: Float[Tensor, "batch points 3"],
    offsets: Float[Tensor, "batch points 3"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """What is wished of the volume itself, judged at random points in the box.

    Args:
        points: positions, world units.
        offsets: from each point to its neighbor, world units.

    Returns:
        Smoothness: mean absolute difference of log(1 + sigma) at neighbors.
        White matter: mean opacity, over a twentieth of a unit, of what is as white as the
        background. A picture cannot tell white paint from empty space, so emptiness is preferred;
        only density is pushed, never color.
        Saturation: mean square of what the raw density has beyond ``RAW_LIMIT``. Adam follows
        gradients however small they are: without it raw densities were seen at -700, where nothing
        can ever become matter again, and seats kept holes.
    """
    shape, appearance = styles
    both = torch.cat((points, points + offsets), dim=1)
    features = field.features(field.deform(both, shape))
    sigma, raw = field.density_and_raw(features, shape)
    here, there = torch.log1p(sigma).chunk(2, dim=1)
    directions = torch.zeros_like(features[..., :3]) if field.view_direction else None
    with torch.no_grad():
        darkest = field.color(features, appearance, directions).amin(-1)
        whiteness = ((darkest - WHITE_FROM) / (1 - WHITE_FROM)).clamp(min=0)
    matter = (1 - torch.exp(-0.05 * sigma)) * whiteness
    beyond = (raw.abs() - RAW_LIMIT).clamp(min=0)
    return (here - there).abs().mean(), matter.mean(), beyond.square().mean()


def blur(
    pictures: Float[Tensor, "batch channels height width"], sigma: float
) -> Float[Tensor, "batch channels height width"]:
    """Gaussian blur with a standard deviation in pixels; borders are repeated."""
    if sigma < 0.05:
        return pictures
    reach = max(1, math.ceil(2.5 * sigma))
    steps = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma).square())
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    groups = pictures.shape[1]
    wide = F.pad(pictures, (reach, reach, reach, reach), mode="replicate")
    wide = F.conv2d(wide, kernel, groups=groups)
    return F.conv2d(wide, kernel.mT, groups=groups)
