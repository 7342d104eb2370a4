"""Conditions: words and pictures as the mappers are to follow them; the first stage of an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.clip.prompts import text_embedding
from clipnerf.config.mapper import Which
from clipnerf.config.ranges import Caption, Range, check, shown, texts_of
from clipnerf.data.procedural.wording import article
from clipnerf.editor.exemplar import Exemplar, OwnPictures, exemplar_pictures, own_pictures
from clipnerf.errors import UsageError, warn
from clipnerf.gan.generator import Generator
from clipnerf.mappers.paper import Mapper, check_strength
from clipnerf.mappers.routing import Route
from clipnerf.mappers.universal import WHICH, Universal, UniversalMapper

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

PromptWeight = Annotated[float, Range(-1e6, 1e6, note="; 1 is as trained")]
Text = str | Sequence[str] | Mapping[str, float | int]
"""A prompt for all objects, a list with one for each, or several at once with their weights."""


@dataclass(frozen=True)
class Prompts:
    """A text, checked; the changes of all groups are added.

    Attributes:
        groups: of prompts: one for all objects, or one for each.
        weights: one a group.
    """

    groups: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]

    @classmethod
    def parse(cls, text: Text, objects: int) -> Prompts:
        """Checks a text for a number of objects.

        Raises:
            UsageError: no text, a number of prompts other than of objects, or a weight that is no
                finite number.
        """
        prompts = tuple(texts_of("text", list(text) if isinstance(text, Mapping) else text))
        if not isinstance(text, Mapping) and len(prompts) not in (1, objects):
            raise UsageError(
                f"{len(prompts)} prompts for {objects} objects; give one, one for each, or "
                "several at once with weights, such as {'a red chair': 1, 'a wide chair': 0.5}"
            )
        if not isinstance(text, Mapping):
            return cls((prompts,), (1.0,))
        for prompt, weight in zip(prompts, text.values(), strict=True):
            check(f"the weight of {shown(prompt)}", weight, PromptWeight)
        weights = tuple(map(float, text.values()))
        return cls(tuple((prompt,) for prompt in prompts), weights)


@dataclass(frozen=True)
class Condition:
    """What one mapper is to follow, and how far.

    Attributes:
        which: the code that the mapper changes.
        embedding: one for all objects, or one for each.
        strength: as given, or as routed, times the prompt's weight; likewise.
    """

    which: Which
    embedding: Float[Tensor, "some embed"]
    strength: float | Float[Tensor, " some"]


class ConditionEncoder:
    """Turns what an edit is given into conditions; embeds each prompt once.

    Args:
        generator, clip: those of an Editor, already on their device; see there.
        mappers: by the code that each changes.
        router: says of which code words speak; None: all of both.
    """

    def __init__(
        self,
        generator: Generator,
        clip: Clip | None,
        mappers: Mapping[Which, Mapper | UniversalMapper],
        router: Universal | None = None,
    ) -> None:
        self.generator, self.clip, self.mappers, self.router = generator, clip, mappers, router
        self._embeddings: dict[str, Tensor] = {}
        self._own: OwnPictures | None = None

    def encode(
        self,
        objects: int,
        text: Text | None,
        shape: float | int | None,
        appearance: float | int | None,
        image: Exemplar | None,
    ) -> list[Condition]:
        """Conditions of an edit, see ``Editor.edit``; none where both strengths are 0.

        Args:
            objects: how many are edited.
        """
        strengths: dict[Which, float | None] = {}
        for which, strength in zip(WHICH, (shape, appearance), strict=True):
            if strength is not None:
                check_strength(which, strength)
            strengths[which] = None if strength is None else float(strength)
        if (text is None) == (image is None):
            given = "neither text nor image was" if text is None else "both text and image were"
            raise UsageError(
                f"{given} given to edit; give one of them (edits compose: the result of one may "
                "be edited again)"
            )
        prompts = None if text is None else Prompts.parse(text, objects)
        wanted = {which: strength for which, strength in strengths.items() if strength != 0}
        for which in wanted:
            self._check(which)
        if not wanted:
            return []
        if prompts is not None:
            asked = list(zip(prompts.weights, self._embed(prompts), strict=True))
            return [
                Condition(which, row, (routed[which] if strength is None else strength) * weight)
                for which, strength in wanted.items()
                for weight, (row, routed) in asked
            ]
        assert image is not None
        pictures, own = self._pictures(image, objects)
        rows = {
            which: own.embedding(pictures, which, self.mappers[which].centre) for which in wanted
        }
        return [
            Condition(which, rows[which], 1.0 if strength is None else strength)
            for which, strength in wanted.items()
        ]

    def route(self, text: str) -> dict[str, float]:
        """As ``Editor.route``."""
        check("text", text, Caption)
        prompts = Prompts.parse(text, 1)
        if self.clip is None:
            self._check("shape")
        ((_, routed),) = self._embed(prompts)
        return {which: float(strength) for which, strength in routed.items()}

    def _check(self, which: Which) -> None:
        """UsageError where a code has no mapper, or nothing can be encoded for it."""
        if which not in self.mappers or self.clip is None:
            missing = "CLIP model" if self.clip is None else f"mapper for {which}"
            raise UsageError(
                f"this bundle has no {missing}, so {which} cannot be edited; set {which} to 0, or "
                f"train a mapper with: clipnerf train-mapper --which {which}"
            )

    def _embed(
        self, prompts: Prompts
    ) -> list[tuple[Float[Tensor, "some embed"], dict[Which, float | Tensor]]]:
        """Of each group: embeddings, and the strengths at which the mappers are to follow them by
        default."""
        rows = [torch.cat([self._text(prompt) for prompt in group]) for group in prompts.groups]
        if self.router is None:
            return [(row, dict.fromkeys(WHICH, 1.0)) for row in rows]
        routes = [self.router.route(row) for row in rows]
        for group, route in zip(prompts.groups, routes, strict=True):
            _warn_outside(group, route)
        return [
            (row, {which: route.strength(which) for which in WHICH})
            for row, route in zip(rows, routes, strict=True)
        ]

    def _text(self, prompt: str) -> Float[Tensor, "1 embed"]:
        """Averaged over the templates; kept, as a person tries strengths with one prompt."""
        assert self.clip is not None
        if prompt not in self._embeddings:
            unknown = self.clip.unknown_words(prompt)
            if unknown:
                warn(
                    f"CLIP model '{self.clip.name}' has never seen {some_of(unknown)} "
                    f"(in '{shortened(prompt)}'); these words may do nothing or anything"
                )
            embedding = text_embedding(self.clip, prompt)[None]
            self._embeddings[prompt] = embedding.to(self.generator.device)
        return self._embeddings[prompt]

    def _pictures(
        self, image: Exemplar, objects: int
    ) -> tuple[Float[Tensor, "some embed"], OwnPictures]:
        """Unit embeddings of exemplars, one for all objects or one for each, and of the category's
        own pictures."""
        assert self.clip is not None
        pictures = exemplar_pictures(image, max(self.clip.preprocess.size))
        count = sum(map(len, pictures))
        if count not in (1, objects):
            raise UsageError(f"{count} exemplars for {objects} objects; give one, or one for each")
        device = self.generator.device
        embeddings = [self.clip.encode_image(some.to(device)) for some in pictures]
        if self._own is None:
            self._own = own_pictures(self.generator, self.clip)
        return torch.cat(embeddings), self._own


def bare_prompt(text: str, noun: str) -> str | None:
    """One or two bare words, such as a color, as a prompt: "red" is "a red chair".

    Args:
        noun: the category's; empty: unknown.
    Returns:
        None for a text that is a prompt already.
    """
    words, articles = text.lower().split(), ("a", "an", "the", "with", "without", "no")
    if not noun or not 1 <= len(words) <= 2 or noun in words or words[0] in articles:
        return None
    return article(f"{text.strip()} {noun}")


def _warn_outside(prompts: Sequence[str], route: Route) -> None:
    outside = zip(prompts, route.faint.tolist(), route.foreign.tolist(), strict=True)
    for prompt, faint, foreign in outside:
        if faint or foreign:
            why = "CLIP hardly tells it from the bare category"
            warn(
                f"'{shortened(prompt)}' lies outside what this model can do: "
                f"{why if faint else 'its objects do not differ in it'}, and by default "
                "nothing is changed; say it in other words, or give shape and appearance"
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
