"""A picture tower on the lower stages of a pretrained network, which stay as they are.

What a network learned from a million photographs tells small parts apart at once: on drawn cars of
128 pixels the size of wheels, racks and spoilers, for which a ResNet from nothing takes hours.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError
from clipnerf.vision.feature_network import (
    FeatureNetwork,
    fold_batch_norms,
    stages_of,
    untrained,
)

HEADS = 4


class TrunkTower(nn.Module):
    """Frozen feature maps at strides 8 and 16, and a trained head that several queries look over.

    Args:
        name: a network of timm with stages of the strides 2, 4, 8 and 16.
        image_size: side of the pictures, pixels.
        embed_dim: length of the embedding.
        width: channels of the head.
        queries: so many places or parts can be looked at apart.

    Raises:
        UsageError: timm has no such network, or it has no such stages.
    """

    def __init__(
        self, name: str, image_size: int, embed_dim: int, width: int = 128, queries: int = 8
    ) -> None:
        super().__init__()
        self.name = name
        whole = untrained(name).eval()
        strides, stages = stages_of(whole)
        if strides[-2:] != [8, 16] or not hasattr(whole, "prune_intermediate_layers"):
            raise UsageError(
                f"trunk is {shown(name)}, of stages at strides {strides}; allowed: one of timm "
                "with stages at 8 and 16, such as tf_efficientnet_lite0"
            )
        fine, coarse = (whole.feature_info[i]["num_chs"] for i in stages[-2:])
        whole.prune_intermediate_layers(stages, prune_head=True)
        self.trunk: Any = fold_batch_norms(whole).requires_grad_(False)
        self.levels = stages
        self.fine = nn.Conv2d(fine, width, 3, 2, 1)
        self.coarse = nn.Conv2d(coarse, width, 1)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.place = nn.Parameter(0.02 * torch.randn(1, (image_size // 16) ** 2, width))
        self.queries = nn.Parameter(0.1 * torch.randn(1, queries, width))
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.projection = nn.Linear(queries * width, embed_dim)

    def fill(self, weights: str) -> None:
        """Takes over a pretrained network's weights, wherever FeatureNetwork finds them."""
        known = FeatureNetwork(self.name, weights).whole.state_dict()
        self.trunk.load_state_dict({name: known[name] for name in self.trunk.state_dict()})

    def train(self, mode: bool = True) -> TrunkTower:
        """The trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    @property
    def statistics(self) -> dict[str, list[float]]:
        """What pictures are normalized by, in open_clip's words."""
        return {key: list(self.trunk.pretrained_cfg[key]) for key in ("mean", "std")}

    def maps(self, pictures: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """Feature maps at strides 2, 4, 8 and 16 of normalized pictures."""
        return list(
            self.trunk.forward_intermediates(
                pictures, indices=self.levels, intermediates_only=True, stop_early=True
            )
        )

    def forward(
        self, pictures: Float[Tensor, "batch 3 size size"]
    ) -> Float[Tensor, "batch embedding"]:
        """Embeddings, not normalized."""
        *_, fine, coarse = self.maps(pictures)
        seen = self.mix(self.fine(fine) + self.coarse(coarse)).flatten(2).mT + self.place
        queries = self.queries.expand(len(seen), -1, -1)
        found = self.attention(queries, seen, seen, need_weights=False)[0]
        return self.projection(found.flatten(1))
