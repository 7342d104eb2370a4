"""CRIS's text-to-pixel contrastive loss; beside it Dice, and whether there is anything at all."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TOP_SHARE = 1 / 1024
"""Of the pixels: the strongest, which say whether anything is there (4 of 64 x 64). No more than
the smallest parts have, or these could never be found."""


def text_to_pixel(
    logits: Float[Tensor, "batch 1 h w"], masks: Float[Tensor, "batch 1 h w"]
) -> Float[Tensor, ""]:
    """-log s(z_t . z_v) on pixels of the region, -log(1 - s(z_t . z_v)) elsewhere, mean of all.

    (CRIS, equations 8 and 9.) For the plain mask head the same sum is a binary cross-entropy.
    """
    return functional.binary_cross_entropy_with_logits(logits, masks)


def dice(
    logits: Float[Tensor, "batch 1 h w"], masks: Float[Tensor, "batch 1 h w"]
) -> Float[Tensor, ""]:
    """1 - 2 |p m| / (|p| + |m|), each phrase alike, however small its region is.

    Phrases that name nothing have no overlap to gain; the other loss teaches them.
    """
    chance = logits.sigmoid().flatten(1)
    masks = masks.flatten(1)
    there = (masks.sum(1) > 0).float()
    overlap = 2 * (chance * masks).sum(1) + 1
    total = chance.sum(1) + masks.sum(1) + 1
    return ((1 - overlap / total) * there).sum() / there.sum().clamp(min=1)


def presence(
    logits: Float[Tensor, "batch 1 h w"], masks: Float[Tensor, "batch 1 h w"]
) -> Float[Tensor, ""]:
    """Cross-entropy of "the phrase names something", read off the strongest pixels.

    "The green seat" of a red chair costs the mean over all pixels next to nothing, as a seat is a
    tenth of the picture or less; here every phrase counts alike.
    """
    count = max(round(TOP_SHARE * masks[0].numel()), 1)
    strongest = logits.flatten(1).topk(count, dim=1).values.mean(1)
    there = (masks.flatten(1).sum(1) > 0).float()
    return functional.binary_cross_entropy_with_logits(strongest, there)
