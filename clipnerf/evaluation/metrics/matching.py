"""The paper's user study with CLIP as the user: which of five prompts made this picture?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import comb
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.vision.features import ImageEncoder


@runtime_checkable
class PairEncoder(ImageEncoder, Protocol):
    """The part of `clipnerf.clip.model.Clip` that is needed here: pictures and words."""

    def encode_text(self, texts: list[str]) -> Float[Tensor, "texts embed"]:
        """Unit features of texts."""
        ...


@dataclass(frozen=True)
class Matching:
    """share: of matches that are right, in [0, 1]; chance is 1 / ways. by_prompt: each prompt's."""

    share: float
    by_prompt: dict[str, float]
    ways: int


def match_features(
    pictures: Float[Tensor, "objects prompts embed"],
    texts: Float[Tensor, "prompts embed"],
    ways: int = 5,
) -> Float[Tensor, " prompts"]:
    """Probability that the picture of each prompt is matched to it among ``ways`` prompts.

    The mean over all choices of ``ways - 1`` other prompts, in closed form: with r of the k - 1
    others at least as similar, comb(k - 1 - r, ways - 1) of the comb(k - 1, ways - 1) choices
    hold none of them. A tie counts as wrong.

    Raises:
        UsageError: fewer than ``ways`` prompts, or ``ways`` below 2.
    """
    count = len(texts)
    if not 2 <= ways <= count:
        raise UsageError(f"{ways}-way matching of {count} prompts; allowed: 2 to the prompts")
    similarity = pictures @ texts.mT
    own = torch.arange(count)
    rivals = similarity >= similarity[:, own, own, None]
    rivals[:, own, own] = False
    chances = [comb(count - 1 - r, ways - 1) / comb(count - 1, ways - 1) for r in range(count)]
    return torch.tensor(chances)[rivals.sum(-1)].mean(0)


def assign_features(
    pictures: Float[Tensor, "objects prompts embed"],
    texts: Float[Tensor, "prompts embed"],
    ways: int = 5,
    choices: int = 200,
    seed: int = 0,
) -> float:
    """Share of pictures that get their own prompt when ``ways`` pictures of one object, edited by
    as many prompts, are laid to these prompts one to one, so that the similarities sum up to most.

    The paper's user study to the letter: five results beside five prompts. Other than
    :func:`match_features` it does not punish a prompt that is true of several pictures, as long as
    its own shows it most. Random guesses give 1 / ways.

    Args:
        choices: random choices of prompts, drawn by the seed; the mean over them and the objects.
    """
    count = len(texts)
    if not 2 <= ways <= count:
        raise UsageError(f"{ways}-way matching of {count} prompts; allowed: 2 to the prompts")
    similarity = pictures @ texts.mT
    orders = torch.tensor(list(permutations(range(ways))))
    own = torch.arange(ways)
    rng = torch.Generator().manual_seed(seed)
    shares = []
    for _ in range(choices):
        some = torch.randperm(count, generator=rng)[:ways]
        between = similarity[:, some][:, :, some]
        best = orders[between[:, own, orders].sum(-1).argmax(1)]
        shares.append((best == own).float().mean())
    return float(torch.stack(shares).mean())
