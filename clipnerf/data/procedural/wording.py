"""What the captions of all categories share: articles, lists, and which attributes to name.

A small CLIP learns a word best when it stands alone in some captions and beside every other word
in others, so a caption names between one and five attributes, chosen at random.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

_COUNT_SHARES = (0.30, 0.30, 0.22, 0.12, 0.06)


def article(noun: str) -> str:
    """The noun with its indefinite article: "an orange seat", "an SUV"."""
    return f"{'an' if noun[0] in 'aeio' or noun.startswith('SUV') else 'a'} {noun}"


def pick(rng: np.random.RandomState, *choices: str) -> str:
    """One of the choices; a choice that is given twice is twice as likely."""
    return choices[rng.randint(len(choices))]


def listing(features: Sequence[str]) -> str:
    """The features as words: "arms, a low back and thin legs"."""
    *first, last = features
    return f"{', '.join(first)} and {last}" if first else last


def choose_keys(
    sayable: Sequence[str], weights: dict[str, float], rng: np.random.RandomState
) -> list[str]:
    """One to five of the sayable attributes, the weightier ones more often."""
    wanted = 1 + int(rng.choice(len(_COUNT_SHARES), p=_COUNT_SHARES))
    each = np.array([weights[key] for key in sayable])
    order = rng.choice(
        len(sayable), size=min(wanted, len(sayable)), replace=False, p=each / each.sum()
    )
    return [sayable[i] for i in order]


def contrasts(
    caption: Callable[..., str],
    attributes: Mapping[str, str],
    values: Mapping[str, Sequence[str]],
    swapped: Sequence[tuple[str, str, tuple[str, ...]]],
    rng: np.random.RandomState,
) -> list[list[str]]:
    """Pairs of a true caption and one that is false in one thing, in the same words otherwise.

    Args:
        caption: of a category.
        attributes: of the object.
        values: attribute -> what can be said of it; a pair each, where its own value is among them.
        swapped: two attributes and what to name; a pair each in which they change places.
    """

    def pair(false: Mapping[str, str], about: Any) -> list[str]:
        seed = rng.randint(2**31)
        both = (dict(attributes), {**attributes, **false})
        return [caption(each, np.random.RandomState(seed), about=about) for each in both]

    pairs = []
    for key, said in values.items():
        others = [value for value in said if value != attributes[key]]
        if len(others) < len(said):
            pairs.append(pair({key: pick(rng, *others)}, [key]))
    for first, second, about in swapped:
        if attributes[first] != attributes[second]:
            changed = {first: attributes[second], second: attributes[first]}
            pairs.append(pair(changed, list(about)))
    return pairs
