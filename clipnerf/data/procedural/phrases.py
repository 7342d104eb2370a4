"""Phrases that refer to a part of a drawn object, and phrases that refer to nothing in it.

What can be said of a category is data (`Referent`, `Vocabulary`); the wording is shared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from clipnerf.data.procedural.colors import COLORS
from clipnerf.data.procedural.parts import Object
from clipnerf.data.procedural.wording import pick

PRESENT, ABSENT = 8, 4
"""Phrases of a picture that name something in it, and that name nothing in it."""

MIN_PIXELS = 4
"""What shows fewer pixels than this counts as hidden."""

UNRELATED = (
    "dog",
    "cat",
    "horse",
    "bird",
    "fish",
    "tree",
    "flower",
    "grass",
    "sky",
    "cloud",
    "table",
    "sofa",
    "bed",
    "lamp",
    "cup",
    "bottle",
    "book",
    "clock",
    "computer",
    "phone",
    "person",
    "man",
    "woman",
    "child",
    "house",
    "door",
    "bicycle",
    "boat",
    "airplane",
    "train",
    "pizza",
    "banana",
)

_CLOSE = {
    frozenset(pair)
    for pair in (
        ("red", "orange"),
        ("red", "pink"),
        ("red", "brown"),
        ("orange", "yellow"),
        ("orange", "brown"),
        ("purple", "pink"),
        ("purple", "blue"),
        ("brown", "black"),
        ("black", "gray"),
    )
}
"""Names whose shades one may take for each other."""


@dataclass(frozen=True)
class Phrase:
    """text: what is said. labels: of the fine label map; empty: it names nothing in the picture."""

    text: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Referent:
    """Something that can be named.

    nouns: without an article; a noun that is given twice is twice as likely.
    regions: what it consists of.
    color: attribute that holds its color, or empty.
    weight: how often it is named, against the others.
    missing: it can be said of an object that has none of it.
    whole: it is the object itself.
    """

    nouns: tuple[str, ...]
    regions: tuple[str, ...]
    color: str = ""
    weight: float = 1.0
    missing: bool = True
    whole: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """What can be said of a category.

    thing: its noun ("chair"). regions: names of the labels 1, 2, … . foreign: nouns of another
    category that this one never has. color_of: an object's own color, or None if it has several.
    not_wrong: colors that also are true of a color attribute, whatever its value.
    """

    thing: str
    regions: tuple[str, ...]
    referents: tuple[Referent, ...]
    foreign: tuple[str, ...]
    color_of: Callable[[Mapping[str, str]], str | None]
    not_wrong: Mapping[str, tuple[str, ...]]


def draw(
    vocabulary: Vocabulary,
    thing: Object,
    own: set[str],
    visible: Mapping[int, int],
    rng: np.random.RandomState,
) -> list[Phrase]:
    """About PRESENT phrases for what is seen, then ABSENT ones for what is not; no text twice.

    Args:
        own: names of the regions that the object has.
        visible: label -> pixels that show it.
    """
    seen, hidden = [], []
    for referent in vocabulary.referents:
        labels = [vocabulary.regions.index(name) + 1 for name in referent.regions]
        shown = tuple(label for label in labels if visible.get(label, 0) > 0)
        if sum(visible[label] for label in shown) >= MIN_PIXELS:
            seen.append((referent, shown))
        elif referent.missing or own & set(referent.regions):
            hidden.append(referent)
    color = vocabulary.color_of(thing.attributes)
    found: dict[str, Phrase] = {}
    if seen:
        weights = np.array([referent.weight for referent, _ in seen])
        # Parts without repeats first; where an object shows few, in other words again.
        order = rng.choice(len(seen), len(seen), replace=False, p=weights / weights.sum()).tolist()
        for index in (order * PRESENT)[: 3 * PRESENT]:
            if len(found) == PRESENT:
                break
            referent, labels = seen[index]
            said = thing.attributes[referent.color] if referent.color else color
            text = _said(vocabulary.thing, referent, said, color, rng)
            found.setdefault(text, Phrase(text, labels))
    wanted = len(found) + ABSENT
    for _ in range(10 * ABSENT):
        if len(found) == wanted:
            break
        nothing = _absent(vocabulary, thing, seen, hidden, rng)
        if nothing:
            found.setdefault(nothing, Phrase(nothing, ()))
    return list(found.values())


def _said(
    thing: str, referent: Referent, own: str | None, color: str | None, rng: np.random.RandomState
) -> str:
    """A noun phrase; `own`: color of the referent, `color`: that of the whole object."""
    noun = pick(rng, *referent.nouns)
    kind = rng.random_sample()
    named = own if referent.color or referent.whole else None
    if referent.whole:
        return f"the {named} {noun}" if named and kind < 0.5 else f"the {noun}"
    if kind < 0.40 or (kind >= 0.72 and not named):
        return f"the {noun}"
    if kind < 0.52:
        return noun
    if kind < 0.64:
        return f"{pick(rng, 'the ', '')}{noun} of the {thing}"
    if kind < 0.72:
        return f"the {noun} of the {color} {thing}" if color else f"the {noun} of the {thing}"
    return f"{pick(rng, 'the ', 'the ', '')}{named} {noun}"


def _absent(vocabulary, thing: Object, seen, hidden, rng: np.random.RandomState) -> str | None:
    kind = rng.random_sample()
    if kind < 0.35 and hidden:
        referent = hidden[rng.randint(len(hidden))]
        return (
            _said(vocabulary.thing, referent, None, None, rng)
            if not referent.color
            else (f"{pick(rng, 'the ', 'the ', '')}{pick(rng, *referent.nouns)}")
        )
    if kind < 0.65:
        colored = [referent for referent, _ in seen if referent.color]
        if not colored:
            return None
        referent = colored[rng.randint(len(colored))]
        true = thing.attributes[referent.color]
        wrong = [
            name
            for name in COLORS
            if name != true
            and frozenset((name, true)) not in _CLOSE
            and name not in vocabulary.not_wrong.get(referent.color, ())
        ]
        return f"the {pick(rng, *wrong)} {pick(rng, *referent.nouns)}"
    if kind < 0.80:
        return f"the {pick(rng, *vocabulary.foreign)}"
    return f"{pick(rng, 'the', 'a')} {pick(rng, *UNRELATED)}".replace("a airplane", "an airplane")
