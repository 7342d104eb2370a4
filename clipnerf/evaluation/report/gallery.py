"""The pictures of an evaluation: nothing chosen, but for the best and the worst, shown as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.evaluation.edits.measure import KindFigures, KindPictures
from clipnerf.evaluation.views_of_objects import VIEWS, OnProgress, nobody, shoot
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

PICKED = 8
"""Best and worst edits that are shown."""


@dataclass(frozen=True)
class Pick:
    """One edit of one object: how probable what was wanted is, and what was read instead."""

    prompt: str
    row: int
    chance: float
    has: bool
    read: str


@dataclass(frozen=True)
class Gallery:
    """Pictures in [0, 1] for the page.

    real, generated: of the variety; None without real pictures.
    before: the objects unedited, in the first view. kinds: after the edits, and sweeps.
    swaps: name -> shapes (rows) by appearances (columns).
    picks: kind -> (worst, best).
    """

    SWAPPED: ClassVar[tuple[int, int]] = (6, 6)

    real: Float[Tensor, "reals 3 size size"] | None
    generated: Float[Tensor, "samples 3 size size"] | None
    seeds: tuple[int, ...]
    before: Float[Tensor, "objects 3 size size"]
    kinds: Mapping[str, KindPictures]
    swaps: Mapping[str, Float[Tensor, "shapes appearances 3 size size"]]
    picks: Mapping[str, tuple[list[Pick], list[Pick]]]


def picks(figures: KindFigures) -> tuple[list[Pick], list[Pick]]:
    """The edits in which what was wanted is least and most probable, each prompt once."""
    every = [
        Pick(result.prompt, row, chance, result.has[row], result.read[row])
        for result in figures.results
        for row, chance in enumerate(result.chances)
    ]
    every.sort(key=lambda pick: pick.chance)
    return _first_of_each(every), _first_of_each(every[::-1])


def swap_grid(
    generator: Generator, first_seed: int, size: int, on_progress: OnProgress = nobody
) -> Float[Tensor, "shapes appearances 3 size size"]:
    """The shapes of some seeds with the appearances of the same seeds."""
    rows, columns = Gallery.SWAPPED
    seeds = range(first_seed, first_seed + max(rows, columns))
    codes = Codes.from_seeds(seeds, generator.config.field.code_dim).to(generator.device)
    shape = torch.arange(rows).repeat_interleave(columns).to(generator.device)
    appearance = torch.arange(columns).repeat(rows).to(generator.device)
    crossed = Codes(codes.shape[shape], codes.appearance[appearance])
    shots = shoot(generator, crossed, VIEWS[:1], size, on_progress=on_progress)
    return shots.rgb[:, 0].unflatten(0, (rows, columns))


def _first_of_each(ordered: list[Pick]) -> list[Pick]:
    found: dict[str, Pick] = {}
    for pick in ordered:
        found.setdefault(pick.prompt, pick)
    return list(found.values())[:PICKED]
