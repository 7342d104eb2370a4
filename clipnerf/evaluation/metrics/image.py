"""How alike two pictures are, pixel by pixel: structural similarity.

PSNR is beside what it measures, in ``clipnerf/inversion/objective.py``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def ssim(
    first: Float[Tensor, "batch channels height width"],
    second: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, " batch"]:
    """Mean structural similarity of pictures in [0, 1] (Wang et al. 2004), at most 1.

    As the paper has it: a Gaussian window of 11 pixels with sigma 1.5, only where it fits whole;
    the mean over channels.

    Raises:
        ValueError: pictures smaller than the window.
    """
    if min(first.shape[-2:]) < WINDOW:
        raise ValueError(
            f"pictures of {first.shape[-1]} x {first.shape[-2]}; at least {WINDOW} a side"
        )
    x, y = first.double(), second.double()
    channels = x.shape[1]
    place = torch.arange(WINDOW, dtype=torch.float64, device=x.device) - WINDOW // 2
    bell = torch.exp(-(place**2) / (2 * SIGMA**2))
    window = torch.outer(bell / bell.sum(), bell / bell.sum()).expand(channels, 1, -1, -1)

    def blurred(values: Tensor) -> Tensor:
        return functional.conv2d(values, window, groups=channels)

    mean_x, mean_y = blurred(x), blurred(y)
    of_x, of_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    both = blurred(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (of_x + of_y + c2)
    return (top / bottom).mean((1, 2, 3))
