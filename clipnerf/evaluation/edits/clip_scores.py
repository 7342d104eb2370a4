"""What CLIP says of edits: which prompt made this picture, and did it move as the words say?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from clipnerf.clip.prompts import text_embedding
from clipnerf.evaluation.edits.attributes import GROUPS, group_of
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.metrics.matching import (
    Matching,
    PairEncoder,
    assign_features,
    match_features,
)

WAYS = 5
"""Prompts a choice, as in the paper's user study; fewer where a group has fewer."""
STILL = 1e-3
"""Length of a change of embedding that counts as none: pictures drawn in other batches may differ
by a level here and there, which has a direction too. (A hundred such levels of a 64 px picture
change the embedding of either bundle's CLIP by 0.0004, an edit of strength 0.02 by 0.008 or more.)
"""


@dataclass(frozen=True)
class Words:
    """A CLIP's embeddings of the wishes, averaged over templates, unit length, on the CPU.

    neutral: of the words that name the category alone; the mean of all prompts where none are
        known.
    """

    prompts: Float[Tensor, "prompts embed"]
    neutral: Float[Tensor, " embed"]

    @property
    def directions(self) -> Float[Tensor, "prompts embed"]:
        """From the neutral words to each prompt, unit length."""
        return torch.nn.functional.normalize(self.prompts - self.neutral, dim=1)


@dataclass(frozen=True)
class ClipFigures:
    """Means over objects.

    matching: by group; among the prompts of the group.
    assigned: by group; five pictures of an object to five prompts, one to one.
    similarity: cosine of the edited picture and its prompt; unedited: of the picture before.
    direction: cosine of the change of the picture's embedding with the change of the words'; 0
        where the picture stays.
    The last three by prompt.
    """

    matching: dict[str, Matching]
    assigned: dict[str, float]
    similarity: dict[str, float]
    unedited: dict[str, float]
    direction: dict[str, float]


def embed_words(clip: PairEncoder, wishes: Sequence[Wish], neutral: str) -> Words:
    """The prompts of the wishes, and the neutral words; '' where none are known."""
    rows = [text_embedding(clip, wish.prompt) for wish in wishes]  # type: ignore[arg-type]
    prompts = torch.stack(rows).float().cpu()
    if neutral:
        middle = text_embedding(clip, neutral).float().cpu()  # type: ignore[arg-type]
    else:
        middle = torch.nn.functional.normalize(prompts.mean(0), dim=0)
    return Words(prompts, middle)


def clip_figures(
    wishes: Sequence[Wish],
    words: Words,
    before: Float[Tensor, "objects embed"],
    after: Float[Tensor, "prompts objects embed"],
) -> ClipFigures:
    """From the embeddings of one view of every object, unedited and edited by every wish."""
    prompts = [wish.prompt for wish in wishes]
    similarity = (after * words.prompts[:, None]).sum(-1).mean(1)
    unedited = (before @ words.prompts.mT).mean(0)
    change = after - before
    along = cosine_similarity(change, words.directions[:, None], dim=-1)
    direction = torch.where(change.norm(dim=-1) > STILL, along, 0.0).mean(1)
    matching, assigned = {}, {}
    for group in GROUPS:
        rows = [row for row, wish in enumerate(wishes) if group_of(wish) == group]
        if len(rows) >= 2:
            ways = min(WAYS, len(rows))
            edited = after[rows].transpose(0, 1)
            assigned[group] = assign_features(edited, words.prompts[rows], ways)
            shares = match_features(edited, words.prompts[rows], ways).tolist()
            named = dict(zip([prompts[row] for row in rows], shares, strict=True))
            matching[group] = Matching(sum(shares) / len(shares), named, ways)

    def by_prompt(values: Tensor) -> dict[str, float]:
        return dict(zip(prompts, values.tolist(), strict=True))

    return ClipFigures(
        matching, assigned, by_prompt(similarity), by_prompt(unedited), by_prompt(direction)
    )
