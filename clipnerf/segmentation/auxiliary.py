"""A second text-to-pixel head, straight on the backbone's maps; in training only.

The way through neck and decoder is long, and is walked once a phrase. Here pixels of a picture are
described once, and compared with any number of phrases by one matrix product: the same loss for
more phrases, on a short way to the backbone (deep supervision; Lee et al., 2015). CRIS has no such
thing. The segmenter's file does not hold it.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.segmentation.neck import block


class PictureHead(nn.Module):
    """Three maps and sentences -> logits at the resolution of the finest map.

    Args:
        channels: of the maps, the finest first.
        embedding: length of a sentence vector.
        width: length of a pixel's vector.
    """

    def __init__(self, channels: Sequence[int], embedding: int, width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.mix = nn.Sequential(block(width, width, 3), nn.Conv2d(width, width, 1))
        self.text = nn.Linear(embedding, width + 1)

    def forward(
        self,
        maps: Sequence[Float[Tensor, "pictures _c _h _w"]],
        sentence: Float[Tensor, "phrases embedding"],
        of: Tensor,
    ) -> Float[Tensor, "phrases 1 h w"]:
        """Logits; ``of`` [phrases] says which picture a phrase speaks of."""
        size = maps[0].shape[-2:]
        joined = self.lateral[0](maps[0])
        for lateral, each in zip(list(self.lateral)[1:], maps[1:], strict=True):
            raised = lateral(each)
            if raised.shape[-2:] != size:
                raised = functional.interpolate(
                    raised, size=size, mode="bilinear", align_corners=False
                )
            joined = joined + raised
        pixels = self.mix(functional.relu(joined))
        z_t = self.text(sentence)
        logits = z_t[:, None, :-1] @ pixels.flatten(2)[of] + z_t[:, None, -1:]
        return logits.float().unflatten(2, size)
