"""Frequency encoding of positions, with a window that lets octaves in one after another."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def frequency_features(dim: int, octaves: int) -> int:
    """Number of features :func:`frequency_encoding` returns."""
    return dim * (1 + 2 * octaves)


def frequency_encoding(
    x: Float[Tensor, "*batch dim"], octaves: int, window: float = math.inf
) -> Float[Tensor, "*batch features"]:
    """x, then sin and cos of 2^k * pi/2 * x for k < octaves (NeRF, eq. 4; period 4 at first).

    Args:
        x: positions, about [-1, 1].
        octaves: number of octaves; 0 returns x alone.
        window: octave k is weighted by a raised cosine that opens while window goes from k to
            k + 1 (Nerfies, eq. 8); infinity opens all.

    Returns:
        ``dim * (1 + 2 * octaves)`` features.
    """
    if octaves == 0:
        return x
    steps = torch.arange(octaves, device=x.device, dtype=x.dtype)
    phases = (x[..., None, :] * (torch.exp2(steps) * (math.pi / 2))[:, None]).flatten(-2)
    waves = torch.cat((phases.sin(), phases.cos()), dim=-1)
    if window < octaves:
        opened = (window - steps).clamp(0, 1)
        weight = (0.5 - 0.5 * torch.cos(math.pi * opened)).repeat_interleave(x.shape[-1])
        waves = waves * weight.repeat(2)
    return torch.cat((x, waves), dim=-1)
