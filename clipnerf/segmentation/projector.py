"""The two heads: CRIS's text-to-pixel projector, and a plain convolution for the ablation.

Both raise the features to four times their resolution. The projector then makes a 3 x 3 kernel and
a bias of the sentence, z_t, and lays it over the pixels, z_v: the logit of a pixel is z_t . z_v.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.segmentation.neck import block

KERNEL = 3


class Upsampling(nn.Module):
    """F_c -> z_v at four times the resolution, a quarter of the channels.

    Args:
        fine: channels of the backbone's finest map, whose edges are let in half-way; 0: none are.
        sharp: let in the picture itself at the full resolution.
    """

    def __init__(self, width: int, fine: int, sharp: bool) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.first = block(width, half, 3)
        self.edges = block(fine, half, 1) if fine else None
        self.second = block(half, quarter, 3)
        self.picture = None
        if sharp:
            self.picture = nn.Sequential(
                block(3, quarter, 3), nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
            )
        self.last = nn.Conv2d(quarter, quarter, 1)

    def forward(
        self,
        features: Float[Tensor, "phrases features h w"],
        fine: Float[Tensor, "pictures _c _h _w"],
        pictures: Float[Tensor, "pictures 3 _height _width"],
        of: Tensor,
    ) -> Float[Tensor, "phrases quarter h4 w4"]:
        """z_v; ``of`` says which picture a phrase speaks of."""
        x = self.first(_doubled(features))
        if self.edges is not None:
            edges = self.edges(fine)
            if edges.shape[-2:] != x.shape[-2:]:
                edges = functional.interpolate(
                    edges, size=x.shape[-2:], mode="bilinear", align_corners=False
                )
            x = x + edges[of]
        convolution, *rest = self.second
        x = convolution(_doubled(x))
        if self.picture is not None:
            shrinks = pictures.shape[-1] > x.shape[-1]
            if pictures.shape[-2:] != x.shape[-2:]:
                pictures = functional.interpolate(
                    pictures,
                    size=x.shape[-2:],
                    mode="bilinear",
                    antialias=shrinks,
                    align_corners=False,
                )
            # a convolution of both, side by side, is the sum of two; this is done once a picture
            x = x + self.picture(pictures)[of]
        for layer in rest:
            x = layer(x)
        return self.last(x)


class TextToPixel(nn.Module):
    """z_t . z_v for every pixel, z_t a kernel and a bias made of the sentence."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.channels = channels
        self.text = nn.Linear(embedding, channels * KERNEL * KERNEL + 1)

    def forward(
        self, pixels: Float[Tensor, "batch channels h w"], sentence: Float[Tensor, "batch e"]
    ) -> Float[Tensor, "batch 1 h w"]:
        """Logits."""
        z_t = self.text(sentence)
        kernel = z_t[:, :-1].unflatten(1, (self.channels, KERNEL * KERNEL))
        return _convolved(pixels, kernel) + z_t[:, -1].float().view(-1, 1, 1, 1)


def _convolved(
    pixels: Float[Tensor, "batch channels h w"], kernel: Float[Tensor, "batch channels taps"]
) -> Float[Tensor, "batch 1 h w"]:
    """Each row convolved with its own kernel of 3 x 3.

    A matrix product for all taps, and their sum, each shifted to its place (which is what `fold`
    does, the other way round): a ninth of the time of a convolution in groups.
    """
    taps = kernel.flip(2).mT @ pixels.flatten(2)
    size = (pixels.shape[-2], pixels.shape[-1])
    return functional.fold(taps.float(), size, KERNEL, padding=KERNEL // 2)


class MaskHead(nn.Module):
    """A plain convolution to one channel; the text is in the features only (the ablation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 1, KERNEL, padding=KERNEL // 2)

    def forward(
        self, pixels: Float[Tensor, "batch channels h w"], sentence: Float[Tensor, "batch e"]
    ) -> Float[Tensor, "batch 1 h w"]:
        """Logits."""
        return self.convolution(pixels)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
