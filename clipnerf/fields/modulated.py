"""Layers whose weights a code modulates: FiLM folded into the matrix product.

FiLM (Perez et al. 2018) scales and shifts each channel by factors read from a code. The factors
are the same for every point of an object, so they are folded into that object's weights once, and
the millions of points pay one batched matrix product and no element-wise pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Affine:
    """Weights of one layer for each of B objects: y = x @ weight + bias."""

    weight: Float[Tensor, "batch inputs outputs"]
    bias: Float[Tensor, "batch 1 outputs"]

    def __call__(self, x: Float[Tensor, "batch points inputs"]) -> Tensor:
        return torch.baddbmm(self.bias.to(x.dtype), x, self.weight.to(x.dtype))

    def rows(self, index: Tensor) -> Affine:
        """The weights of a selection of objects."""
        return Affine(self.weight[index], self.bias[index])


class CodeMapping(nn.Module):
    """Code [B, D] -> style [B, width]: normalized to the shell of a standard normal, two layers.

    The normalization keeps a moved code where the generator was trained: only its direction
    counts.
    """

    def __init__(self, code_dim: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(code_dim, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                nn.init.zeros_(layer.bias)

    def forward(self, code: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
        return self.layers(code * torch.rsqrt(code.square().mean(1, keepdim=True) + 1e-8))


class ModulatedLinear(nn.Module):
    """A linear layer with FiLM by a style: ((x W + b) * (1 + gamma(w)) + beta(w)).

    ``fold`` returns each object's weights. With ``style_dim`` 0 the layer is plain.
    """

    def __init__(
        self, inputs: int, outputs: int, style_dim: int = 0, gain: float = math.sqrt(2)
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * (gain / math.sqrt(inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.film = nn.Linear(style_dim, 2 * outputs) if style_dim else None
        if self.film is not None:
            nn.init.normal_(self.film.weight, std=0.25 / math.sqrt(style_dim))
            nn.init.zeros_(self.film.bias)

    def fold(
        self, style: Float[Tensor, "batch style"], strength: float | Float[Tensor, ""] = 1.0
    ) -> Affine:
        """Weights of each object; ``strength`` in [0, 1] fades the modulation in."""
        if self.film is None:
            batch = len(style)
            return Affine(
                self.weight.expand(batch, -1, -1), self.bias.expand(batch, -1).unsqueeze(1)
            )
        gamma, beta = (self.film(style) * strength).unsqueeze(1).chunk(2, dim=-1)
        return Affine(self.weight * (1 + gamma), self.bias * (1 + gamma) + beta)
