"""Mapping: codes moved by the mappers as conditions ask; the second stage of an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from clipnerf.config.mapper import Which
from clipnerf.editor.conditions import Condition
from clipnerf.gan.codes import Codes, LocalEdit
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import WHICH, UniversalMapper

Holder = TypeVar("Holder", Codes, LocalEdit)


@dataclass(frozen=True)
class CodeChange:
    """Objects as they were, and as the mappers make the whole of them."""

    before: Codes
    after: Codes


class MapperEditor:
    """Moves codes by whichever mappers a bundle has.

    Args:
        mappers: by the code that each changes.
    """

    def __init__(self, mappers: Mapping[Which, Mapper | UniversalMapper]) -> None:
        self.mappers = mappers

    def change(self, codes: Codes, conditions: Sequence[Condition]) -> CodeChange:
        """The objects, and all their local edits, moved; without conditions the very same codes.

        Args:
            conditions: for a code whose mapper is there.
        """
        after = codes
        for which in WHICH:
            own = [condition for condition in conditions if condition.which == which]
            if own:
                layers = tuple(self._moved(layer, which, own) for layer in after.layers)
                after = replace(self._moved(after, which, own), layers=layers)
        return CodeChange(codes, after)

    def _moved(self, holder: Holder, which: Which, conditions: Sequence[Condition]) -> Holder:
        """One code after all conditions, each of which changes the code as it came."""
        codes: Tensor | None = getattr(holder, which)
        if codes is None:
            return holder
        mapper = self.mappers[which]
        codes = codes.to(mapper.centre.device)
        ends = [mapper.apply_to(codes, some.embedding, some.strength) for some in conditions]
        if len(ends) > 1:
            ends = [codes + torch.stack([end - codes for end in ends]).sum(0)]
        moved: dict[str, Any] = {which: ends[0]}
        return replace(holder, **moved)
