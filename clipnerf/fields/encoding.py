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
    x: Float[Tensor, "*batch dim"], octaves: int
) -> Float[Tensor, "*batch features"]:
    """x, then sin and cos of 2^k * pi/2 * x for k < octaves (NeRF, eq. 4; period 4 at first).

    Args:
        x: positions, about [-1, 1].
        octaves: number of octaves; 0 returns x alone.

    Returns:
        ``dim * (1 + 2 * octaves)`` features.
    """
    if octaves == 0:
        return x
    steps = torch.arange(octaves, device=x.device, dtype=x.dtype)
    phases = (x[..., None, :] * (torch.exp2(steps) * (math.pi / 2))[:, None]).flatten(-2)
    return torch.cat((x, phases.sin(), phases.cos()), dim=-1)


def octave_window(dim: int, octaves: int, opened: Float[Tensor, ""]) -> Float[Tensor, " features"]:
    """Weights of the features of :func:`frequency_encoding` while its octaves open.

    Octave k is weighted by a raised cosine that opens while ``opened`` goes from k to k + 1
    (Nerfies, eq. 8); the position itself has weight 1. A layer's input weights are scaled by them
    once, rather than the features of every point.

    Args:
        dim: dimension of the positions.
        octaves: number of octaves.
        opened: how many octaves are open; a tensor, for its value may live on a GPU.
    """
    steps = torch.arange(octaves, device=opened.device, dtype=opened.dtype)
    share = 0.5 - 0.5 * torch.cos(math.pi * (opened - steps).clamp(0, 1))
    return torch.cat((opened.new_ones(dim), share.repeat_interleave(dim).repeat(2)))
