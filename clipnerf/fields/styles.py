"""What codes say about a field, folded into weights; and the networks made of such weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.fields.masks import ColorLayer, ShapeLayer
from clipnerf.fields.modulated import Affine, ModulatedLinear


@dataclass(frozen=True)
class ShapeStyle:
    """What z_s says about geometry, folded into weights; batch of B objects.

    layers: local edits, each over what lies below it.
    """

    deform: tuple[Affine, ...]
    density: tuple[Affine, ...]
    layers: tuple[ShapeLayer, ...] = ()

    def rows(self, index: Tensor) -> ShapeStyle:
        """A selection of objects."""
        return ShapeStyle(
            tuple(a.rows(index) for a in self.deform),
            tuple(a.rows(index) for a in self.density),
            tuple(layer.rows(index) for layer in self.layers),
        )


@dataclass(frozen=True)
class AppearanceStyle:
    """What z_a says about color, folded into weights; batch of B objects.

    layers: local edits, each over what lies below it.
    """

    color: tuple[Affine, ...]
    layers: tuple[ColorLayer, ...] = ()

    def rows(self, index: Tensor) -> AppearanceStyle:
        """A selection of objects."""
        return AppearanceStyle(
            tuple(a.rows(index) for a in self.color),
            tuple(layer.rows(index) for layer in self.layers),
        )


def fold(
    layers: nn.ModuleList,
    style: Float[Tensor, "batch style"],
    strength: float | Tensor = 1.0,
    detail: Float[Tensor, "batch layers style"] | None = None,
) -> tuple[Affine, ...]:
    """Weights of all layers; the first of them get a style of their own where there is detail."""
    styles = [style] * len(layers)
    if detail is not None:
        for row in range(detail.shape[1]):
            styles[row] = style + detail[:, row]
    return tuple(
        cast(ModulatedLinear, layer).fold(own, strength)
        for layer, own in zip(layers, styles, strict=True)
    )


def modulated(layers: nn.ModuleList) -> int:
    """How many layers a style reaches."""
    return sum(cast(ModulatedLinear, layer).film is not None for layer in layers)


def plain_mlp(x: Tensor, layers: Sequence[Affine]) -> Tensor:
    """Layers with ReLU between them, in PyTorch."""
    for layer in layers[:-1]:
        x = F.relu(layer(x), inplace=True)
    return layers[-1](x) if layers else x


def plain_rgb(seen: Tensor, layers: Sequence[Affine]) -> Tensor:
    """The same with a sigmoid at the end."""
    return torch.sigmoid(wide(plain_mlp(seen, layers)))


def wide(x: Tensor) -> Tensor:
    """At least in float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
