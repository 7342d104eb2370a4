"""How alike two pictures look: the distance of their features in a pretrained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.clip.trunk import TrunkTower
from clipnerf.vision.feature_network import FeatureNetwork, absence
from clipnerf.vision.pretrained import load_lpips, lpips_absence

NETWORK = "tf_efficientnet_lite0"
Maps = Callable[[Tensor], Sequence[Tensor]]


@runtime_checkable
class Perceives(Protocol):
    """A distance of pictures; LPIPS as its package has it is one."""

    def __call__(
        self, first: Tensor, second: Tensor, normalize: bool = True
    ) -> Float[Tensor, " batch *ones"]:
        """Distances of pictures in [0, 1] (``normalize``), [batch, 3, height, width]."""
        ...


class FeatureDistance:
    """The squared distance of two pictures' unit feature vectors at each place, averaged over the
    places of a map, then over the maps; 0 to 4. LPIPS (Zhang et al. 2018) without its calibration.

    Args:
        maps: gives feature maps [batch, channels, height, width] of pictures in [0, 1].
        name: whose, for reports.
    """

    def __init__(self, maps: Maps, name: str = "features") -> None:
        self.maps, self.name = maps, name

    def __call__(
        self,
        first: Float[Tensor, "batch 3 height width"],
        second: Float[Tensor, "batch 3 height width"],
        normalize: bool = True,
    ) -> Float[Tensor, " batch"]:
        """Differentiable in ``first``; ``second`` is what is looked for."""
        with torch.no_grad():
            wanted = self.maps(second)
        pairs = zip(self.maps(first), wanted, strict=True)
        each = [
            (functional.normalize(a) - functional.normalize(b)).square().sum(1) for a, b in pairs
        ]
        return torch.stack([distance.flatten(1).mean(1) for distance in each]).mean(0)


def perception(clip: Any, device: torch.device) -> Perceives | None:
    """The perceptual term of inversion: by the trunk of the bundle's CLIP, alike on every machine;
    without one by the feature network, or else by LPIPS; None where nothing is at hand."""
    visual = getattr(getattr(clip, "model", None), "visual", None)
    if isinstance(visual, TrunkTower):
        return FeatureDistance(
            lambda pictures: visual.maps(clip.preprocess(pictures, False)), "the trunk of the CLIP"
        )
    if absence(NETWORK) is None:
        network = FeatureNetwork(NETWORK).to(device)
        return FeatureDistance(lambda p: network.pyramid(p, p.shape[-1] // 16 * 16), NETWORK)
    return load_lpips(device) if lpips_absence() is None else None


def named(perceptual: Perceives | None) -> str:
    """Who perceives, for reports."""
    return "none" if perceptual is None else getattr(perceptual, "name", "LPIPS")
