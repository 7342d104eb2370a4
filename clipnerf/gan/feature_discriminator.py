"""A second discriminator, on the features of a frozen pretrained network.

Projected GAN (Sauer et al. 2021): maps of several scales, mixed by random layers that are never
trained, so that no single channel can be relied on; on each scale a small trained head. It sees at
once what a patch discriminator learns late, whether a thing is whole. It stands beside the patch
discriminator, which sees finer edges.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from clipnerf.config.pretrain import FeatureConfig
from clipnerf.errors import UsageError
from clipnerf.gan.discriminator import refuse_stranger
from clipnerf.gan.patches import Patches
from clipnerf.io.weights import load_weights, rebuilding, save_weights
from clipnerf.vision.feature_network import FeatureNetwork


class FeatureDiscriminator(nn.Module):
    """Heads over random mixtures of frozen features.

    The frozen network is no part of the state: a checkpoint names it, and stays small.

    Args:
        config: network, input size, widths.
        network: the frozen network; loaded from the configuration where None.
    """

    def __init__(self, config: FeatureConfig, network: FeatureNetwork | None = None) -> None:
        super().__init__()
        self.config = config
        network = network or FeatureNetwork(config.network, config.weights)
        # in a tuple, where nn.Module does not look: it must not be saved, trained or averaged
        self._network = (network,)
        width = config.mix_width
        self.across = nn.ModuleList(_frozen(nn.Conv2d(c, width, 1)) for c in network.channels)
        self.down = nn.ModuleList(
            _frozen(nn.Conv2d(width, width, 3, padding=1)) for _ in network.channels[1:]
        )
        strides = network.strides
        self.heads = nn.ModuleList(
            _head(width + 2, config.head_width, config.size // stride) for stride in strides
        )

    @property
    def network(self) -> FeatureNetwork:
        """The frozen network."""
        return self._network[0]

    def _apply(self, fn: Any, recurse: bool = True) -> FeatureDiscriminator:
        self.network._apply(fn)  # moves with the heads
        return super()._apply(fn, recurse)

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> None:
        """Write heads and mixtures, in half precision, and the configuration."""
        tensors = {name: t.to(torch.float16) for name, t in self.state_dict().items()}
        config = dataclasses.asdict(self.config)
        save_weights(path, tensors, kind="feature_discriminator", config=config, extra=extra)

    def take_up(self, path: str | Path, generator_hash: str) -> None:
        """Heads and mixtures of a file; UsageError if they belong to another network, size or
        generator."""
        weights = load_weights(path, "feature_discriminator")
        refuse_stranger(path, weights, generator_hash)
        for key in ("network", "size", "mix_width", "head_width"):
            found, wanted = weights.config.get(key), getattr(self.config, key)
            if found != wanted:
                raise UsageError(
                    f"features.{key} is {wanted!r}, but {path} was trained with {found!r}; "
                    "use the same, or leave the file out"
                )
        with rebuilding(path):
            self.load_state_dict(weights.tensors)

    def features(self, pictures: Float[Tensor, "batch 3 size size"]) -> list[Tensor]:
        """Mixed maps of patches in [0, 1], finest first; gradients reach the pictures."""
        maps = self.network.pyramid(pictures, self.config.size)
        mixed = [across(m) for across, m in zip(self.across, maps, strict=True)]
        for fine in range(len(mixed) - 2, -1, -1):
            coarse = F.interpolate(mixed[fine + 1], mixed[fine].shape[-2:], mode="nearest")
            mixed[fine] = mixed[fine] + self.down[fine](coarse)
        return mixed

    def forward(self, features: list[Tensor], patches: Patches) -> Float[Tensor, "batch scales"]:
        """A logit a scale, float32: above zero means real.

        Args:
            features: of :meth:`features`; detached where the heads learn.
            patches: where in the picture the patches lie, which the heads are told.
        """
        logits = []
        for head, seen in zip(self.heads, features, strict=True):
            size = seen.shape[-1]
            where = patches.points(size).mT.reshape(len(seen), 2, size, size)
            logits.append(head(torch.cat((seen, where * 2 - 1), dim=1)).flatten(1))
        return torch.cat(logits, dim=1).float()


def hinge_loss(
    real: Float[Tensor, "batch scales"], fake: Float[Tensor, "batch scales"]
) -> Float[Tensor, ""]:
    """Mean of relu(1 - D(real)) + relu(1 + D(fake)): 2 for heads that know nothing, 0 for heads
    that are sure of everything."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _frozen(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(layer.weight, a=1.0)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer.requires_grad_(False)


def _head(inputs: int, width: int, size: int) -> nn.Sequential:
    """Halvings down to 4 x 4, then one logit; spectral norm keeps the hinge's slope bounded."""
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(size // 4))):
        layers += [spectral_norm(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        inputs = width
    layers.append(spectral_norm(nn.Conv2d(inputs, 1, min(size, 4))))
    return nn.Sequential(*layers)
