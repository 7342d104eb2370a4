"""The text library as embeddings: what a mapper is to follow, to ignore, and to take in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import Library, text_embedding
from clipnerf.config.mapper import Which
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class PromptEmbeddings:
    """Unit-norm embeddings of a library, seen from one of the two mappers."""

    prompts: list[str]
    """The prompts that this mapper follows."""
    own: Float[Tensor, "prompts embed"]
    """Their embeddings."""
    neutral: Float[Tensor, "1 embed"]
    """The category without any attribute, "a chair"."""
    foreign: Float[Tensor, "foreign embed"]
    """The other group and the neutral prompt: this mapper is to change nothing for them."""
    combined: Float[Tensor, "combined embed"]
    """Prompts of both groups in one, "a red chair with armrests"."""
    part: Int[Tensor, " combined"]
    """The row of `own` that each of them contains."""

    def to(self, device: torch.device | str) -> PromptEmbeddings:
        """The same embeddings on a device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("own", "neutral", "foreign", "combined", "part")
        }
        return replace(self, **moved)


def embed_library(clip: Clip, library: Library, which: Which) -> PromptEmbeddings:
    """Embeds a library for the mapper of one code.

    Raises:
        UsageError: fewer than two prompts in the mapper's group.
    """
    own, other = list(library.shape), list(library.appearance)
    if which == "appearance":
        own, other = other, own
    if len(own) < 2:
        raise UsageError(
            f"the library has {len(own)} prompts in the group '{which}'; it needs at least 2"
        )
    combined: list[str] = []
    part: list[int] = []
    for row, prompt in enumerate(own):
        for companion in other:
            pair = (companion, prompt) if which == "shape" else (prompt, companion)
            text = combine(*pair, neutral=library.neutral)
            if text is not None:
                combined.append(text)
                part.append(row)
    return PromptEmbeddings(
        prompts=own,
        own=_embed(clip, own),
        neutral=_embed(clip, [library.neutral]),
        foreign=_embed(clip, [*other, library.neutral]),
        combined=_embed(clip, combined),
        part=torch.tensor(part, dtype=torch.long),
    )


def combine(appearance: str, shape: str, *, neutral: str) -> str | None:
    """Both prompts as one: "a red chair" + "a chair with arms" -> "a red chair with arms".

    The appearance's prompt has to hold the neutral's noun. The shape's may hold it ("a wide chair"
    -> "a wide red chair") or be another noun ("a van" -> "a red van"). None where it cannot be
    said: two prompts that both go on behind the noun.
    """
    noun = re.escape(neutral.split()[-1])
    described = re.fullmatch(rf"(?:(?:a|an|the) )?(?:(.+) )?{noun}\b(.*)", appearance)
    named = re.fullmatch(rf"(?:(.*) )?({noun})\b(.*)", shape)
    named = named or re.fullmatch(r"(?:(a|an|the) )?(.+?)()", shape)
    if not described or not named:
        return None
    adjective, rest = described.groups()
    before, thing, tail = named.groups()
    if rest and tail:
        return None
    if before in ("a", "an") and adjective:
        before = "an" if adjective[0] in "aeiou" else "a"
    return " ".join(filter(None, (before, adjective, thing))) + rest + tail


def _embed(clip: Clip, prompts: Sequence[str]) -> Float[Tensor, "prompts embed"]:
    if not prompts:
        return torch.zeros(0, clip.embed_dim)
    with torch.no_grad():
        return torch.stack([text_embedding(clip, prompt) for prompt in prompts]).detach()
