"""Changes: codes moved towards words or a picture, by whichever mappers a bundle has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from clipnerf.config.mapper import Which
from clipnerf.editor.conditions import Aims, Part, Text, Words, moved
from clipnerf.editor.exemplar import Exemplar
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.mappers.paper import Mapper, check_strength
from clipnerf.mappers.universal import WHICH, Universal, UniversalMapper

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip


class Changes:
    """The mappers of a generator, and what leads them; see ``Editor`` for the arguments."""

    def __init__(
        self, generator: Generator, clip: Clip | None, mappers: Sequence[Mapper] | Universal
    ) -> None:
        self.generator, self.clip = generator, clip
        self.universal = mappers if isinstance(mappers, Universal) else None
        halves: Sequence[Mapper | UniversalMapper] = (
            (mappers.shape, mappers.appearance) if isinstance(mappers, Universal) else mappers
        )
        self.mappers = {mapper.which: mapper for mapper in halves}
        self.aims = None if clip is None else Aims(generator, clip)

    def edit(
        self,
        codes: Codes,
        text: Text | None,
        shape: float | int | None,
        appearance: float | int | None,
        image: Exemplar | None,
    ) -> Codes:
        """As ``Editor.edit`` without a region: the objects, and all their local edits, moved."""
        strengths = {
            which: None if strength is None else float(strength)
            for which, strength in (("shape", shape), ("appearance", appearance))
        }
        for which, strength in strengths.items():
            if strength is not None:
                check_strength(which, strength)
        if (text is None) == (image is None):
            given = "neither text nor image was" if text is None else "both text and image were"
            raise UsageError(
                f"{given} given to edit; give one of them (edits compose: the result of one may "
                "be edited again)"
            )
        words = None if text is None else Words.of(text, len(codes))
        wanted = [which for which in WHICH if strengths[which] != 0]
        if not wanted:
            return codes
        mappers = [self.mapper(which) for which in wanted]
        assert self.aims is not None
        pictures = None if image is None else self.aims.pictures(image, len(codes))
        said = [] if words is None else self.aims.words(words, self.universal)
        for which, mapper in zip(wanted, mappers, strict=True):
            parts = said
            if pictures is not None:
                parts = [Part(1.0, self.aims.exemplar(pictures, mapper))]
            codes = _moved(codes, mapper, parts, strengths[which], self.generator.device)
        return codes

    def route(self, text: str) -> dict[str, float]:
        """As ``Editor.route``."""
        words = Words.of(text, 1)
        if self.aims is None:
            self.mapper("shape")
        assert self.aims is not None
        (part,) = self.aims.words(words, self.universal)
        if part.route is None:
            return {which: 1.0 for which in WHICH}
        return {which: float(part.route.strength(which)) for which in WHICH}

    def mapper(self, which: Which) -> Mapper | UniversalMapper:
        """The mapper of a code; UsageError where there is none, or no CLIP."""
        if which not in self.mappers or self.clip is None:
            missing = "CLIP model" if self.clip is None else f"mapper for {which}"
            raise UsageError(
                f"this bundle has no {missing}, so {which} cannot be edited; set {which} to 0, or "
                f"train a mapper with: clipnerf train-mapper --which {which}"
            )
        return self.mappers[which]


def _moved(
    codes: Codes,
    mapper: Mapper | UniversalMapper,
    parts: Sequence[Part],
    strength: float | None,
    device: torch.device,
) -> Codes:
    """One code of the objects, and of each local edit that has its own, after all parts."""

    def after(code):
        return None if code is None else moved(code.to(device), mapper, parts, strength)

    which = mapper.which
    layers = tuple(
        replace(layer, **{which: after(getattr(layer, which))}) for layer in codes.layers
    )
    return replace(codes, **{which: after(getattr(codes, which))}, layers=layers)
