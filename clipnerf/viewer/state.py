"""What a visitor has made: an object and its edits, as values that nothing changes in place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clipnerf.gan.codes import Codes

LARGEST_SEED = 2**32 - 1
BLEND_STEPS = 20
"""Steps of the way from one object to another."""


@dataclass(frozen=True)
class Source:
    """An object before its edits.

    Attributes:
        seed: of a sampled one.
        photo: name of the photograph that it was found in; empty: it was sampled.
        found: codes of a photograph's object.
    """

    seed: int = 0
    photo: str = ""
    found: Codes | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """For people."""
        return self.photo or f"seed {self.seed}"

    def step(self, by: int) -> Source:
        """The sampled object so many seeds on; around at the ends."""
        return Source((self.seed + by) % (LARGEST_SEED + 1))


@dataclass(frozen=True)
class Edit:
    """One edit in the list.

    Attributes:
        text: what the object, or the part, is to become; empty for an exemplar.
        part: phrase of the part; empty: the whole object.
        image: path of an exemplar.
        image_name: what the visitor calls it.
        shape, appearance: strengths; None: as the words are routed, 1 for an exemplar.
        on: whether it counts.
    """

    text: str = ""
    part: str = ""
    image: str = ""
    image_name: str = ""
    shape: float | None = None
    appearance: float | None = None
    on: bool = True

    @property
    def name(self) -> str:
        """For people."""
        what = self.text or f"like {self.image_name or 'the exemplar'}"
        return f"{self.part}: {what}" if self.part else what

    @property
    def key(self) -> tuple[str, str, str]:
        """The same whatever its strengths."""
        return self.text, self.part, self.image


@dataclass(frozen=True)
class State:
    """An object, what it is blended with, and its edits: those of the whole, then those of parts.

    Attributes:
        steps: of BLEND_STEPS from the source to ``other``.
        chosen: the edit that the dials move.
    """

    source: Source = Source()
    other: Source | None = None
    steps: int = 0
    edits: tuple[Edit, ...] = ()
    chosen: int = -1

    @property
    def active(self) -> tuple[Edit, ...]:
        """The edits that are on, as they are applied: parts stand on top of the whole."""
        on = [edit for edit in self.edits if edit.on]
        return tuple(sorted(on, key=lambda edit: bool(edit.part)))

    @property
    def edit(self) -> Edit | None:
        """The chosen edit."""
        return self.edits[self.chosen] if 0 <= self.chosen < len(self.edits) else None

    @property
    def blended(self) -> bool:
        """Whether another object is mixed in."""
        return self.other is not None and self.steps > 0

    def added(self, edit: Edit) -> State:
        """With one more edit, which is chosen; of one part the last edit stands."""
        kept = [e for e in self.edits if not edit.part or e.part != edit.part]
        return replace(self, edits=(*kept, edit), chosen=len(kept))

    def removed(self, index: int) -> State:
        """Without an edit."""
        kept = self.edits[:index] + self.edits[index + 1 :]
        return replace(self, edits=kept, chosen=min(self.chosen, len(kept) - 1))

    def switched(self, index: int, on: bool) -> State:
        """With an edit on or off."""
        return self._with(index, replace(self.edits[index], on=on))

    def dialed(self, which: str, strength: float) -> State:
        """With another strength of the chosen edit; ``which`` is shape or appearance."""
        if self.edit is None:
            return self
        edit = self.edit
        shape = strength if which == "shape" else edit.shape
        appearance = strength if which == "appearance" else edit.appearance
        return self._with(self.chosen, replace(edit, shape=shape, appearance=appearance))

    def _with(self, index: int, edit: Edit) -> State:
        return replace(self, edits=(*self.edits[:index], edit, *self.edits[index + 1 :]))
