"""Does more strength lead further along the words? Spearman's correlation says how steadily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from clipnerf.evaluation.edits.attributes import Edits
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.views_of_objects import VIEWS, OnProgress, nobody, shoot_all
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

Numbers = Sequence[float | int] | np.ndarray
STRENGTHS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)

DECIMALS = 4
"""Of the ways that are compared: those of pictures drawn in other batches differ by less."""


@dataclass(frozen=True)
class Steadiness:
    """Spearman's correlation of the strength and the way along the prompt's direction.

    objects: mean over objects of each one's own correlation.
    mean_curve: of the mean of all objects.
    A curve that does not move at all counts as 0.
    """

    objects: float
    mean_curve: float


def spearman(x: Numbers, y: Numbers) -> float:
    """Correlation of ranks, equal values sharing theirs; 0 where a side is constant."""
    a, b = _ranks(np.asarray(x, float)), _ranks(np.asarray(y, float))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def steadiness(curves: Float[Tensor, "strengths objects"]) -> Steadiness:
    """Of curves over STRENGTHS."""
    # counted from the unedited: of a curve that stands still no rounding makes steps
    ways = curves.double() - curves[STRENGTHS.index(0.0)]
    rows = ways.round(decimals=DECIMALS).numpy()
    each = [spearman(STRENGTHS, rows[:, column]) for column in range(rows.shape[1])]
    return Steadiness(float(np.mean(each)), spearman(STRENGTHS, rows.mean(1)))


def sweep(
    edits: Edits,
    generator: Generator,
    codes: Codes,
    wish: Wish,
    known: Mapping[float, Float[Tensor, "objects 3 size size"]],
    *,
    size: int = 64,
    on_progress: OnProgress = nobody,
) -> Float[Tensor, "strengths objects 3 size size"]:
    """Objects edited by STRENGTHS times the wish's own strengths, in the first of VIEWS.

    Args:
        known: pictures that are at hand already, by strength, such as the unedited ones: 0.
    """
    new = [strength for strength in STRENGTHS if strength not in known]
    edited = [
        edits.edit(
            codes, wish.prompt, shape=strength * wish.shape, appearance=strength * wish.appearance
        )
        for strength in new
    ]
    shots = shoot_all(generator, edited, VIEWS[:1], size, on_progress=on_progress)
    drawn = dict(zip(new, [each.rgb[:, 0] for each in shots], strict=True))
    return torch.stack([{**known, **drawn}[strength] for strength in STRENGTHS])


def _ranks(values: np.ndarray) -> Float64[np.ndarray, " values"]:
    order = np.sort(values)
    low = np.searchsorted(order, values, side="left")
    high = np.searchsorted(order, values, side="right")
    return (low + high - 1) / 2
