"""CRIS's cross-modal neck: three feature maps and the sentence become features of pixels, F_v.

    F_m4 = Up(relu(W_v F_v4) * relu(W_s F_s))     the deepest map, gated by the sentence
    F_m3 = [relu(W F_m4), relu(W F_v3)]
    F_m2 = [relu(W F_m3), relu(W Avg(F_v2))]
    F_v  = CoordConv([F_m2, F_m3, F_m4])           two coordinate channels joined, and mixed

All at the resolution of the middle map. (Maps of a ViT are of one resolution; nothing is resized.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def block(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """Convolution, batch normalization, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def coordinates(like: Float[Tensor, "batch channels height width"]) -> Tensor:
    """Two channels: x from -1 on the left to 1, y from -1 at the top to 1 (CoordConv)."""
    height, width = like.shape[-2:]
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return grid.expand(len(like), -1, -1, -1)


class Neck(nn.Module):
    """Maps [P pictures] and sentences [N phrases] -> F_v [N width h w].

    Args:
        channels: of the three maps, the finest first.
        embedding: length of a sentence vector.
        width: of the result.
        told: further channels that the last convolutions are given, beside the coordinates.
    """

    def __init__(self, channels: Sequence[int], embedding: int, width: int, told: int = 0) -> None:
        super().__init__()
        fine, middle, deep = channels
        self.deep = nn.Sequential(nn.Conv2d(deep, width, 1, bias=False), nn.BatchNorm2d(width))
        self.sentence = nn.Sequential(nn.Linear(embedding, width), nn.ReLU(inplace=True))
        self.gated = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.middle, self.fine = block(middle, width, 3), block(fine, width, 3)
        self.join_middle, self.join_fine = block(2 * width, width), block(2 * width, width)
        self.aggregate = block(3 * width, width)
        self.mix = nn.Sequential(block(width + 2 + told, width, 3), block(width, width, 3))

    def forward(
        self,
        maps: Sequence[Float[Tensor, "pictures _c _h _w"]],
        sentence: Float[Tensor, "phrases embedding"],
        of: Tensor,
        told: Callable[[Tensor], Tensor] | None = None,
    ) -> Float[Tensor, "phrases features height width"]:
        """F_v of each phrase; ``of`` [phrases] says which picture a phrase speaks of, ``told``
        makes the further channels for a map."""
        fine, middle, deep = maps
        size = (middle.shape[-2], middle.shape[-1])
        # what no phrase touches is computed once a picture
        deep, middle = self.deep(deep), self.middle(middle)[of]
        fine = functional.adaptive_avg_pool2d(self.fine(fine), size)[of]
        gate = self.sentence(sentence)[:, :, None, None]
        gated = self.gated(functional.relu(deep)[of] * gate)
        if tuple(gated.shape[-2:]) != size:
            gated = functional.interpolate(gated, size=size, mode="bilinear", align_corners=False)
        middle = self.join_middle(torch.cat((middle, gated), dim=1))
        fine = self.join_fine(torch.cat((fine, middle), dim=1))
        joined = self.aggregate(torch.cat((fine, middle, gated), dim=1))
        more = [told(joined)] if told is not None else []
        return self.mix(torch.cat((joined, coordinates(joined), *more), dim=1))
