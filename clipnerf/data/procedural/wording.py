"""What the captions of all categories share: articles, lists, and which attributes to name.

A small CLIP learns a word best when it stands alone in some captions and beside every other word
in others, so a caption names between one and five attributes, chosen at random.
"""

from collections.abc import Sequence

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
