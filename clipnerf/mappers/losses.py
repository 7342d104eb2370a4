"""Losses of a mapper.

Equations 8 and 9 of CLIP-NeRF: L = f(D(I')) + lambda_c * D_CLIP(I', t), I' the picture rendered
from the edited codes. The paper's f is unbounded below for a frozen discriminator; ours is
softplus(-D), the generator's own loss.

What the paper has not, and why:
- `direction_distance` asks for the change that the words name, whatever the object was
  (StyleGAN-NADA); 1 - cos alone is often best served by a small, adversarial change.
- `contrast_loss` asks that the prompt be nearer than the library's others. In a compact CLIP all
  pictures of a category lie close together, and what tells red from orange is a small part of
  1 - cos.
- `palette_distance` keeps the colors while a shape mapper works: z_s may move colors through
  the learned displacement.
- `code_prior` keeps the edited code where the generator has been trained.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def realism_loss(logits: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """f(D(I')) = softplus(-D(I')), the mean over pictures."""
    return functional.softplus(-logits).mean()


def clip_distance(
    picture: Float[Tensor, "batch embed"], text: Float[Tensor, "batch embed"]
) -> Float[Tensor, " batch"]:
    """D_CLIP = 1 - cos, in [0, 2]; embeddings of any length other than 0."""
    return 1 - functional.cosine_similarity(picture, text, dim=-1)


def direction_distance(
    picture_before: Float[Tensor, "batch embed"],
    picture_after: Float[Tensor, "batch embed"],
    text_before: Float[Tensor, "#batch embed"],
    text_after: Float[Tensor, "batch embed"],
) -> Float[Tensor, " batch"]:
    """1 - cos(change of the picture, change of the text), in [0, 2].

    A picture that has not changed has no direction: the distance is 1 there. The small constant
    keeps the gradient finite at that point, which is where training starts.
    """
    change = picture_after - picture_before
    wanted = functional.normalize(text_after - text_before, dim=-1)
    length = torch.sqrt(change.square().sum(-1) + 1e-4)
    return 1 - (change * wanted).sum(-1) / length


def contrast_loss(
    picture: Float[Tensor, "batch embed"],
    texts: Float[Tensor, "prompts embed"],
    target: Int[Tensor, " batch"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of the wanted prompt among all, from cosines over the temperature."""
    cosines = functional.normalize(picture, dim=-1) @ functional.normalize(texts, dim=-1).T
    return functional.cross_entropy(cosines / temperature, target)


def code_prior(change: Float[Tensor, "batch code"]) -> Float[Tensor, ""]:
    """Mean square of the change; 1 is the variance of the code itself."""
    return change.square().mean()


def palette_distance(
    rgb: Float[Tensor, "batch 3 height width"],
    opacity: Float[Tensor, "batch 1 height width"],
    rgb_before: Float[Tensor, "batch 3 height width"],
    opacity_before: Float[Tensor, "batch 1 height width"],
) -> Float[Tensor, " batch"]:
    """Squared distance of the mean and the covariance of the object's colors.

    Pixels count by their opacity, and their color on white counts: both pictures have the same
    background. It knows nothing of places, so that the shape is free to change.
    """
    mean, covariance = _color_moments(rgb, opacity)
    mean_before, covariance_before = _color_moments(rgb_before, opacity_before)
    of_mean = (mean - mean_before).square().sum(-1)
    return of_mean + (covariance - covariance_before).square().sum((-1, -2))


def _color_moments(
    rgb: Float[Tensor, "batch 3 height width"], opacity: Float[Tensor, "batch 1 height width"]
) -> tuple[Float[Tensor, "batch 3"], Float[Tensor, "batch 3 3"]]:
    colors = rgb.flatten(2)
    share = opacity.flatten(2)
    share = share / share.sum(-1, keepdim=True).clamp_min(1e-3)
    mean = (colors * share).sum(-1)
    centered = colors - mean[..., None]
    return mean, (centered * share) @ centered.transpose(1, 2)
