"""Volume rendering: from densities and colors along rays to pixels (NeRF, eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.rendering.shown import MOST, row_png


@dataclass(frozen=True)
class RenderOutput:
    """Rendered pictures.

    Attributes:
        rgb: colors in [0, 1] over the background.
        opacity: share of light stopped by the object, [0, 1].
        depth: expected distance from the camera where a ray ends, world units; a ray that goes
            through ends where it leaves the box, one that misses the box at 0.
    """

    rgb: Float[Tensor, "batch 3 height width"]
    opacity: Float[Tensor, "batch 1 height width"]
    depth: Float[Tensor, "batch 1 height width"]

    @staticmethod
    def cat(outputs: list[RenderOutput]) -> RenderOutput:
        """Several batches as one."""
        return RenderOutput(
            torch.cat([o.rgb for o in outputs]),
            torch.cat([o.opacity for o in outputs]),
            torch.cat([o.depth for o in outputs]),
        )

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the first pictures in a row."""
        return row_png(RenderOutput._levels(self.rgb[:MOST])) if self.rgb.numel() else None

    def pictures(self) -> list[UInt8[np.ndarray, "height width 3"]]:
        """The colors as arrays, 0 to 255."""
        return list(self._levels(self.rgb))

    @staticmethod
    def _levels(rgb: Float[Tensor, "batch 3 height width"]) -> UInt8[np.ndarray, "b h w 3"]:
        levels = rgb.detach().float().clamp(0, 1).mul(255).round().byte()
        return levels.permute(0, 2, 3, 1).cpu().numpy()


def render_weights(
    sigma: Float[Tensor, "*rays samples"],
    delta: Float[Tensor, "*rays"] | Float[Tensor, "*rays samples"],
) -> Float[Tensor, "*rays samples"]:
    """Share of a ray's light that each sample sends: exp(-before) - exp(-after).

    As a difference of transmittances the weights sum to 1 - exp(-sum sigma * delta), at most 1, and
    stay finite for any density.

    Args:
        sigma: densities, 1 / world unit, 0 or more.
        delta: length of the interval that each sample stands for, or of all on a ray, world units.
    """
    each = delta if delta.shape == sigma.shape else delta[..., None]
    after = torch.cumsum(sigma * each, dim=-1)
    passing = torch.exp(-after)
    before = torch.cat((torch.ones_like(passing[..., :1]), passing[..., :-1]), dim=-1)
    return before - passing


def composite(
    weights: Float[Tensor, "*rays samples"],
    rgb: Float[Tensor, "*rays samples 3"],
    background: float,
) -> tuple[Float[Tensor, "*rays 3"], Float[Tensor, "*rays"]]:
    """Color over a gray background in [0, 1], and opacity."""
    opacity = weights.sum(-1)
    color = (weights[..., None, :] @ rgb).squeeze(-2)
    return color + background * (1 - opacity)[..., None], opacity


def expected_depth(
    weights: Float[Tensor, "*rays samples"],
    t: Float[Tensor, "*rays samples"],
    far: Float[Tensor, "*rays"],
) -> Float[Tensor, "*rays"]:
    """Expected distance where a ray ends; what is not stopped ends at ``far``."""
    return (weights * t).sum(-1) + (1 - weights.sum(-1)) * far
