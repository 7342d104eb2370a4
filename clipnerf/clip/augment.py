"""Changes to pictures that leave their captions true: zoom, shift, blur, noise; never color."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.clip import ClipAugmentConfig

_BLURRED = 0.5
_RADIUS = 2


def augment(
    pictures: Float[Tensor, "batch 3 height width"],
    config: ClipAugmentConfig,
    generator: torch.Generator,
) -> Float[Tensor, "batch 3 height width"]:
    """Another, slightly different picture of each; in and out in [0, 1] but for the noise.

    What comes in from outside the frame is white. Every picture draws its own numbers.

    Args:
        generator: of the pictures' device.
    """
    return soften(move(pictures, config, generator), config, generator)


def soften(
    pictures: Float[Tensor, "batch 3 height width"],
    config: ClipAugmentConfig,
    generator: torch.Generator,
) -> Float[Tensor, "batch 3 height width"]:
    """Blur and noise: what is where stays where it is."""
    if config.blur > 0:
        pictures = _blurred(pictures, config.blur * pictures.shape[-1] / 64, generator)
    if config.noise > 0:
        strength = config.noise * _uniform(pictures, (len(pictures), 1, 1, 1), generator)
        normal = torch.randn(pictures.shape, generator=generator, device=pictures.device)
        pictures = pictures + strength * normal
    return pictures


def _uniform(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device)


def move(
    pictures: Float[Tensor, "batch channels height width"],
    config: ClipAugmentConfig,
    generator: torch.Generator,
) -> Float[Tensor, "batch channels height width"]:
    """Zoom, stretch and shift; ones come in from outside the frame."""
    if not (config.zoom or config.stretch or config.shift):
        return pictures
    numbers = 2 * _uniform(pictures, (len(pictures), 4), generator) - 1
    zoom = 1 + config.zoom * numbers[:, 0]
    affine = torch.zeros(len(pictures), 2, 3, device=pictures.device)
    affine[:, 0, 0] = zoom
    affine[:, 1, 1] = zoom * (1 + config.stretch * numbers[:, 1])
    affine[:, :, 2] = config.shift * numbers[:, 2:]
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    # Of the negative, because grid_sample fills with zero and the ground is white.
    return 1 - F.grid_sample(1 - pictures, grid, align_corners=False)


def _blurred(pictures: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    batch = len(pictures)
    sigma = largest * _uniform(pictures, (batch, 1), generator)
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, device=pictures.device).float()
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2 + 1e-4))
    kernel = (kernel / kernel.sum(1, keepdim=True)).view(batch, 1, 1, -1)
    x = pictures.transpose(0, 1)  # each picture is a group of the convolution, with its own kernel
    x = F.conv2d(F.pad(x, (_RADIUS, _RADIUS, 0, 0), mode="replicate"), kernel, groups=batch)
    x = F.conv2d(F.pad(x, (0, 0, _RADIUS, _RADIUS), mode="replicate"), kernel.mT, groups=batch)
    chosen = _uniform(pictures, (batch, 1, 1, 1), generator) < _BLURRED
    return torch.where(chosen, x.transpose(0, 1), pictures)
