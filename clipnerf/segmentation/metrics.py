"""Figures of referring segmentation, as CRIS reports them: IoU and Pr@50 to Pr@90.

And what its sets cannot ask: how often a phrase that names nothing is "found" all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clipnerf.segmentation.losses import TOP_SHARE

THRESHOLD = 0.35
"""Probability above which a pixel counts, the paper's."""
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
PRESENT = 0.75
"""Mean probability of the strongest pixels (``losses.TOP_SHARE``) from which a phrase names
something. The loss of presence teaches them 0.5; of 300 drawn chairs 0.75 found half as many absent
phrases, and as many present ones."""


def found(
    chance: Float[Tensor, "batch 1 h w"], threshold: float = THRESHOLD
) -> Bool[Tensor, "batch 1 h w"]:
    """The mask; all of it is nothing where the strongest pixels are not sure."""
    count = max(round(TOP_SHARE * chance[0].numel()), 1)
    sure = chance.flatten(1).topk(count, dim=1).values.mean(1) > PRESENT
    return (chance > threshold) & sure[:, None, None, None]


def intersection_over_union(
    masks: Bool[Tensor, "batch 1 h w"], true: Bool[Tensor, "batch 1 h w"]
) -> Float[Tensor, " batch"]:
    """IoU of each; 1 where both are empty."""
    masks, true = masks.flatten(1), true.flatten(1)
    union = (masks | true).sum(1)
    both = (masks & true).sum(1)
    return torch.where(
        union > 0, both / union.clamp(min=1), torch.ones_like(both, dtype=torch.float32)
    )


@dataclass(frozen=True)
class Figures:
    """Of phrases that name something, and of phrases that name nothing.

    Attributes:
        iou: mean over phrases that are there.
        precision: X -> share of them with IoU above X.
        wrongly_found: share of absent phrases with any mask; NaN without such phrases.
        present, absent: how many.
    """

    iou: float
    precision: dict[float, float]
    wrongly_found: float
    present: int
    absent: int

    def line(self) -> str:
        """For a terminal or a table."""
        shares = " ".join(f"Pr@{int(100 * x)} {p:.3f}" for x, p in self.precision.items())
        return (
            f"IoU {self.iou:.3f}  {shares}  absent found {self.wrongly_found:.3f}  "
            f"({self.present} present, {self.absent} absent)"
        )

    def scalars(self) -> dict[str, float]:
        """For a log."""
        return {
            "iou": self.iou,
            **{f"pr_{int(100 * x)}": p for x, p in self.precision.items()},
            **({"absent_found": self.wrongly_found} if self.absent else {}),
        }


def figures(iou: Tensor, anything: Tensor, absent: Sequence[bool] | Tensor) -> Figures:
    """Sums up.

    Args:
        iou: of every phrase.
        anything: whether its mask holds a pixel.
        absent: whether it names nothing.
    """
    absent = torch.as_tensor(absent, dtype=torch.bool)
    there = iou[~absent]
    return Figures(
        iou=float(there.mean()) if len(there) else float("nan"),
        precision={
            x: float((there > x).float().mean()) if len(there) else float("nan") for x in PRECISIONS
        },
        wrongly_found=float(anything[absent].float().mean()) if absent.any() else float("nan"),
        present=int((~absent).sum()),
        absent=int(absent.sum()),
    )
