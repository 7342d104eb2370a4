"""Aims: what an edit is to lead to, in words or as a picture, made into embeddings for a mapper."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.clip.prompts import text_embedding
from clipnerf.config.mapper import Which
from clipnerf.editor.exemplar import Exemplar, OwnPictures, exemplar_pictures, own_pictures
from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.routing import Route
from clipnerf.mappers.universal import Universal, UniversalMapper

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

Text = str | Sequence[str] | Mapping[str, float | int]
"""A prompt for all objects, a list with one for each, or several at once with their weights."""


@dataclass(frozen=True)
class Words:
    """What a person wrote, checked: prompts, each with its weight.

    Attributes:
        prompts: one for all objects, one for each, or several for all (``together``).
        weights: as many, or one for all.
        together: the changes of all prompts are added; else each object has its own prompt.
    """

    prompts: tuple[str, ...]
    weights: tuple[float, ...]
    together: bool

    @classmethod
    def of(cls, text: Text, objects: int) -> Words:
        """Checks a text for a number of objects.

        Raises:
            UsageError: no text, a number of prompts other than of objects, or a weight that is no
                finite number.
        """
        together = isinstance(text, Mapping)
        prompts = (text,) if isinstance(text, str) else tuple(text)
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise UsageError(
                "the text of an edit is empty; say what the object is to become, "
                "such as 'a red chair'"
            )
        if not together and len(prompts) not in (1, objects):
            raise UsageError(
                f"{len(prompts)} prompts for {objects} objects; give one, one for each, or "
                "several at once with weights, such as {'a red chair': 1, 'a wide chair': 0.5}"
            )
        weights = tuple(float(w) for w in text.values()) if isinstance(text, Mapping) else (1.0,)
        for prompt, weight in zip(prompts, weights, strict=together):
            if not math.isfinite(weight):
                raise UsageError(
                    f"the weight of '{prompt}' is {weight}; it has to be a finite number, such as "
                    "1 (as trained) or 0.5"
                )
        return cls(prompts, weights, together)


@dataclass(frozen=True)
class Part:
    """What a mapper is to follow.

    Attributes:
        weight: of this part among others.
        embedding: one for all objects, or one for each.
        route: how much of each mapper it asks for; None: all of both.
    """

    weight: float
    embedding: Float[Tensor, "some embed"]
    route: Route | None = None

    def strength(self, which: Which, given: float | None) -> float | Float[Tensor, " some"]:
        """Of one mapper: as a person gave it, else as routed; times the weight."""
        if given is not None:
            return given * self.weight
        if self.route is None:
            return self.weight
        return self.route.strength(which) * self.weight


class Aims:
    """Embeddings of words and pictures, each made once.

    Args:
        generator, clip: those of an Editor, already on their device.
    """

    def __init__(self, generator: Generator, clip: Clip) -> None:
        self.generator = generator
        self.clip = clip
        self._texts: dict[str, Tensor] = {}
        self._own: OwnPictures | None = None

    def words(self, words: Words, universal: Universal | None = None) -> list[Part]:
        """Parts to be added up; the embedding of each for all objects, or one for each.

        Args:
            universal: routes the words, where there is one.
        Warns:
            UserWarning: words that the CLIP model does not know, text too long for it, or a
                prompt that lies outside what the model can do.
        """
        rows = [self._text(prompt) for prompt in words.prompts]
        if not words.together:
            rows = [torch.cat(rows)]
        routes = [None if universal is None else universal.route(row) for row in rows]
        named = [(prompt,) for prompt in words.prompts] if words.together else [words.prompts]
        for prompts, route in zip(named, routes, strict=True):
            if route is not None:
                _warn_outside(prompts, route)
        return [Part(*part) for part in zip(words.weights, rows, routes, strict=True)]

    def pictures(self, image: Exemplar, objects: int) -> Float[Tensor, "some embed"]:
        """Unit embeddings of exemplars, one for all objects or one for each.

        Raises:
            UsageError: what cannot be read as a picture, or a number other than of objects.
        """
        pictures = exemplar_pictures(image, max(self.clip.preprocess.size))
        count = sum(map(len, pictures))
        if count not in (1, objects):
            raise UsageError(f"{count} exemplars for {objects} objects; give one, or one for each")
        device = self.generator.device
        return torch.cat([self.clip.encode_image(some.to(device)) for some in pictures])

    def exemplar(
        self, pictures: Float[Tensor, "some embed"], mapper: Mapper | UniversalMapper
    ) -> Float[Tensor, "some embed"]:
        """What the mapper is given for :meth:`pictures`; exemplar.py says why."""
        if self._own is None:
            self._own = own_pictures(self.generator, self.clip)
        return self._own.embedding(pictures, mapper.which, mapper.centre)

    def _text(self, prompt: str) -> Float[Tensor, "1 embed"]:
        """Averaged over the templates; kept, as a person tries strengths with one prompt."""
        if prompt not in self._texts:
            unknown = self.clip.unknown_words(prompt)
            if unknown:
                warnings.warn(
                    f"CLIP model '{self.clip.name}' has never seen {some_of(unknown)} "
                    f"(in '{shortened(prompt)}'); these words may do nothing or anything",
                    UserWarning,
                    stacklevel=6,
                )
            embedding = text_embedding(self.clip, prompt)[None]
            self._texts[prompt] = embedding.to(self.generator.device)
        return self._texts[prompt]


def moved(
    codes: Float[Tensor, "batch code"],
    mapper: Mapper | UniversalMapper,
    parts: Sequence[Part],
    given: float | None,
) -> Float[Tensor, "batch code"]:
    """The codes after all parts: each part's change is that of the codes as they came, weighted.

    Args:
        given: strength of the mapper; None: as each part is routed.
    """
    ends = [
        mapper.apply_to(codes, part.embedding, part.strength(mapper.which, given)) for part in parts
    ]
    if len(ends) == 1:
        return ends[0]
    return codes + torch.stack([end - codes for end in ends]).sum(0)


def _warn_outside(prompts: Sequence[str], route: Route) -> None:
    for prompt, faint, foreign in zip(
        prompts, route.faint.tolist(), route.foreign.tolist(), strict=True
    ):
        if not (faint or foreign):
            continue
        why = (
            "CLIP hardly tells it from the bare category"
            if faint
            else "its objects do not differ in it"
        )
        warnings.warn(
            f"'{shortened(prompt)}' lies outside what this model can do: {why}, and by default "
            "nothing is changed; say it in other words, or give shape and appearance",
            UserWarning,
            stacklevel=6,
        )


def some_of(words: Sequence[str], most: int = 5) -> str:
    """The first few words in quotes, and how many more there are."""
    different = list(dict.fromkeys(words))
    named = ", ".join(repr(shortened(word)) for word in different[:most])
    more = len(different) - most
    return f"{named} and {more} more" if more > 0 else named


def shortened(text: str, most: int = 60) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
