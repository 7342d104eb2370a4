"""RegionField: how far a point of an object belongs to what a phrase names.

    z_v = MLP(features at p', w_s)      a vector a point, in the generator's canonical space
    z_t, b = projector(text)            a vector and a bias a phrase
    logit = z_v . z_t + b

CRIS's text-to-pixel product (Wang et al., CVPR 2022), lifted to 3-D: of points where CRIS has
pixels. Points are seen as the color head sees them, at their place in the canonical space, and the
shape style tells which parts the object has; an appearance code reaches nothing here.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from clipnerf.fields.modulated import Affine, ModulatedLinear


class RegionField(nn.Module):
    """Parts of the objects of one category, by phrases.

    Args:
        in_features: numbers of a point, as ``ConditionalField.features`` gives them.
        style_dim: of the generator's shape style.
        text_dim: of the embedding of a phrase.
        width: of the two hidden layers.
        vector: numbers of z_v and z_t.
    """

    def __init__(
        self, in_features: int, style_dim: int, text_dim: int, *, width: int = 48, vector: int = 32
    ) -> None:
        super().__init__()
        self.sizes = {
            "in_features": in_features,
            "style_dim": style_dim,
            "text_dim": text_dim,
            "width": width,
            "vector": vector,
        }
        self.layers = nn.ModuleList(
            [
                ModulatedLinear(in_features, width, style_dim),
                ModulatedLinear(width, width, style_dim),
                ModulatedLinear(width, vector, gain=1.0),
            ]
        )
        self.text = nn.Linear(text_dim, vector + 1)

    def vectors(
        self,
        features: Float[Tensor, "batch points features"],
        style: Float[Tensor, "batch style"],
    ) -> Float[Tensor, "batch points vector"]:
        """z_v of points; ``style`` is ``field.shape_mapping(z_s)``."""
        x = features.float()
        *hidden, last = (layer.fold(style) for layer in self._layers)
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)

    def project(self, text: Float[Tensor, "phrases text"]) -> Float[Tensor, "phrases projected"]:
        """z_t and the bias of each phrase, ``vector`` + 1 numbers."""
        return self.text(text)

    def logits(
        self,
        features: Float[Tensor, "batch points features"],
        style: Float[Tensor, "batch style"],
        projected: Float[Tensor, "batch projected"],
    ) -> Float[Tensor, "batch points"]:
        """The phrase's logit at every point; a phrase an object."""
        vectors = self.vectors(features, style)
        return (vectors @ projected[:, :-1, None]).squeeze(-1) + projected[:, -1:]

    def fold(
        self, style: Float[Tensor, "batch style"], projected: Float[Tensor, "batch projected"]
    ) -> tuple[Affine, ...]:
        """All of it as one small network for each object: its last layer gives the logit."""
        *hidden, last = (layer.fold(style) for layer in self._layers)
        z_t, bias = projected[:, :-1, None], projected[:, -1:, None]
        return (*hidden, Affine(last.weight @ z_t, last.bias @ z_t + bias))

    @property
    def _layers(self) -> list[ModulatedLinear]:
        return [layer for layer in self.layers if isinstance(layer, ModulatedLinear)]


def folded_logits(
    features: Float[Tensor, "batch points features"], layers: tuple[Affine, ...]
) -> Float[Tensor, "batch points"]:
    """Logits of what :meth:`RegionField.fold` made."""
    x = features.float()
    for layer in layers[:-1]:
        x = F.relu(layer(x), inplace=True)
    return layers[-1](x).squeeze(-1)


def exact_ramp(
    logits: Float[Tensor, "*points"], threshold: float | Tensor, width: float = 0.5
) -> Float[Tensor, "*points"]:
    """0 to 1 around a threshold; exactly 0 below and exactly 1 above a band.

    So that outside a region nothing changes at all, bit for bit.

    Args:
        threshold: a probability in (0, 1), or a tensor that broadcasts.
        width: half the band, in logits.
    """
    middle = torch.logit(torch.as_tensor(threshold, dtype=logits.dtype, device=logits.device))
    return ((logits - middle) / (2 * width) + 0.5).clamp(0, 1)
