"""Which way the object faces, and where a pixel is from there: CoordConv in the object's frame.

"The left front leg" lies left or right, near or far, by the side that one looks from; two fifths of
what is said of parts is of this kind. A vector f = (cos, sin) of the azimuth is read off the whole
of the deepest map. The pixels are told f, and their coordinates times f, so that "left" and "front"
become linear. f is a mean: where two directions look alike it is short. CRIS has no such thing.

In training the azimuths of pictures that come with one teach f; without any the masks do, as far as
they can.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.segmentation.neck import block, coordinates

CHANNELS = 6
"""What pixels are told: f, x f and y f."""
_GRID = 4


class Facing(nn.Module):
    """The deepest map -> (cos, sin) of the azimuth of each picture, not of unit length.

    Args:
        channels: of the map.
        width: of the layers.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.look = nn.Sequential(block(channels, width), block(width, width, 3))
        self.narrow = nn.Conv2d(width, 32, 1)
        self.read = nn.Sequential(
            nn.Linear(32 * _GRID * _GRID, width), nn.ReLU(inplace=True), nn.Linear(width, 2)
        )

    def forward(
        self, deep: Float[Tensor, "pictures channels _h _w"]
    ) -> Float[Tensor, "pictures 2"]:
        """f."""
        small = functional.adaptive_avg_pool2d(self.narrow(self.look(deep)), _GRID)
        return self.read(small.flatten(1)).float()


def placed(
    f: Float[Tensor, "phrases 2"], like: Float[Tensor, "phrases _c height width"]
) -> Float[Tensor, "phrases 6 height width"]:
    """The channels: f everywhere, and the coordinates of each pixel times f."""
    f = f.to(like.dtype)[:, :, None, None]
    x, y = coordinates(like).split(1, dim=1)
    return torch.cat((f.expand(-1, -1, *like.shape[-2:]), x * f, y * f), dim=1)


def facing_loss(
    f: Float[Tensor, "pictures 2"], azimuth: Float[Tensor, " pictures"]
) -> Float[Tensor, ""]:
    """Squared distance to (cos, sin), mean over the pictures whose azimuth (radians) is a number;
    0 where none has one."""
    known = ~azimuth.isnan()
    angle = azimuth.nan_to_num()
    true = torch.stack((angle.cos(), angle.sin()), dim=1)
    distance = (f - true).square().sum(1) * known
    return distance.sum() / known.sum().clamp(min=1)
