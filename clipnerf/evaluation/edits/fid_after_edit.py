"""Do edited pictures still look like the data? Frechet distance before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.evaluation.edits.attributes import Edits
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.metrics.distributions import frechet_distance
from clipnerf.gan.codes import Codes

SEED = 0
"""Of which prompt each object gets."""


@dataclass(frozen=True)
class DistanceAfterEdits:
    """Frechet distances to the same real pictures. ratio: after over before."""

    before: float
    after: float
    ratio: float
    pictures: int
    reals: int


def edit_each(edits: Edits, codes: Codes, wishes: Sequence[Wish]) -> Codes:
    """Every object edited by one of the wishes, drawn for it at random."""
    drawn = np.random.RandomState(SEED).randint(0, len(wishes), len(codes))
    shape, appearance = codes.shape.clone(), codes.appearance.clone()
    for number, wish in enumerate(wishes):
        rows = torch.from_numpy(np.flatnonzero(drawn == number)).to(codes.shape.device)
        if len(rows):
            edited = edits.edit(
                codes[rows], wish.prompt, shape=wish.shape, appearance=wish.appearance
            )
            shape[rows] = edited.shape.to(shape.device)
            appearance[rows] = edited.appearance.to(appearance.device)
    return Codes(shape, appearance)


def distance_after_edits(
    real: Float[Tensor, "reals features"],
    before: Float[Tensor, "pictures features"],
    after: Float[Tensor, "pictures features"],
) -> DistanceAfterEdits:
    """From the features of real, generated and edited pictures; as many before as after."""
    first, second = frechet_distance(real, before), frechet_distance(real, after)
    ratio = second / first if first > 0 else float("nan")
    return DistanceAfterEdits(first, second, ratio, len(after), len(real))
