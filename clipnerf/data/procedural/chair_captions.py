"""Captions of chairs: true sentences of varied wording and completeness."""

from collections.abc import Sequence

import numpy as np

from clipnerf.data.procedural import wording
from clipnerf.data.procedural.colors import COLORS
from clipnerf.data.procedural.wording import article, choose_keys, listing, pick


def caption(
    attributes: dict[str, str], rng: np.random.RandomState, about: Sequence[str] = ()
) -> str:
    """One caption of a chair with these attributes (keys as in metadata.jsonl).

    "a red chair" is said only when seat and back are both red.
    about: name these attributes and no other; "color" is that of seat and back, "two_colors" both.
    """
    if list(about) in (["seat_color"], ["back_color"]):
        part = about[0].removesuffix("_color")
        return f"a chair with {article(f'{attributes[about[0]]} {part}')}"
    if about:
        return _sentence(attributes, about, rng)
    if rng.random_sample() < 0.12:
        return _part_alone(attributes, rng)
    return _sentence(attributes, choose_keys(_sayable(attributes), _WEIGHTS, rng), rng)


_WEIGHTS = {
    "color": 3.0,
    "two_colors": 3.0,
    "width": 1.0,
    "armrests": 2.4,
    "back_height": 2.4,
    "back_style": 1.6,
    "base": 1.4,
    "thickness": 1.2,
    "leg_color": 1.2,
    "seat_shape": 1.0,
    "cushion": 0.8,
}


_VALUES: dict[str, tuple[str, ...]] = {
    "seat_color": tuple(COLORS),
    "back_color": tuple(COLORS),
    "leg_color": tuple(COLORS),
    "width": ("narrow", "wide"),
    "armrests": ("yes", "no"),
    "back_height": ("low", "medium", "high"),
    "back_style": ("solid", "slatted", "ladder"),
    "base": ("legs", "pedestal"),
    "thickness": ("thin", "thick"),
    "seat_shape": ("square", "round"),
    "cushion": ("thin", "thick"),
}


def contrasts(attributes: dict[str, str], rng: np.random.RandomState) -> list[list[str]]:
    """True captions of a chair, each with a false twin; see :func:`wording.contrasts`."""
    values = {k: v for k, v in _VALUES.items() if k != "thickness" or attributes["base"] == "legs"}
    swapped = [
        ("seat_color", "back_color", ("two_colors",)),
        ("seat_color", "back_color", ("seat_color",)),
        ("seat_color", "back_color", ("back_color",)),
        ("back_color", "leg_color", ("two_colors", "leg_color")),
    ]
    return wording.contrasts(caption, attributes, values, swapped, rng)


def _sayable(a: dict[str, str]) -> list[str]:
    keys = ["armrests", "back_height", "back_style", "base", "leg_color", "seat_shape", "cushion"]
    keys.append("color" if a["seat_color"] == a["back_color"] else "two_colors")
    if a["width"] != "medium":
        keys.append("width")
    if a["base"] == "legs":
        keys.append("thickness")
    return keys


def _height_word(a: dict[str, str], rng: np.random.RandomState) -> str:
    return {"high": pick(rng, "high", "high", "tall"), "low": "low", "medium": "medium"}[
        a["back_height"]
    ]


def _back(a: dict[str, str], keys: Sequence[str], rng: np.random.RandomState) -> str:
    words = []
    if "back_height" in keys:
        words.append(_height_word(a, rng))
    if "two_colors" in keys:
        words.append(a["back_color"])
    if "back_style" in keys:
        words.append(a["back_style"])
    return article(" ".join([*words, pick(rng, "back", "back", "back", "backrest")]))


def _seat(a: dict[str, str], keys: Sequence[str]) -> str:
    words = []
    if "seat_shape" in keys:
        words.append(a["seat_shape"])
    if "two_colors" in keys:
        words.append(a["seat_color"])
    return article(" ".join([*words, "seat"]))


def _base(a: dict[str, str], keys: Sequence[str], rng: np.random.RandomState) -> str:
    color = [a["leg_color"]] if "leg_color" in keys else []
    if a["base"] == "pedestal":
        kind = pick(rng, "pedestal base", "pedestal base", "swivel base", "pedestal")
        noun = kind if "base" in keys else "base"
        return article(" ".join([*color, noun]))
    four = ["four"] if "base" in keys else []
    thick = [a["thickness"]] if "thickness" in keys else []
    return " ".join([*four, *thick, *color, "legs"])


def _sentence(a: dict[str, str], keys: Sequence[str], rng: np.random.RandomState) -> str:
    adjectives = []
    if "width" in keys:
        adjectives.append(a["width"])
    if "color" in keys:
        adjectives.append(a["seat_color"])
    noun = article(" ".join([*adjectives, "chair"]))

    features = []
    if {"seat_shape", "two_colors"} & set(keys):
        features.append(_seat(a, keys))
    if {"back_height", "back_style", "two_colors"} & set(keys):
        features.append(_back(a, keys, rng))
    if {"base", "thickness", "leg_color"} & set(keys):
        features.append(_base(a, keys, rng))
    if "cushion" in keys:
        features.append(f"a {a['cushion']} cushion")
    arms = pick(rng, "armrests", "armrests", "arms")
    without = ""
    if "armrests" in keys:
        if a["armrests"] == "yes":
            features.append(arms)
        else:
            without = pick(rng, f"without {arms}", f"without {arms}", f"with no {arms}")
    rng.shuffle(features)

    text = noun
    if features:
        text += f" with {listing(features)}"
    if without:
        text += (" and " if features else " ") + without
    return text


def _part_alone(a: dict[str, str], rng: np.random.RandomState) -> str:
    """A caption of one part: "a yellow seat", "a low back", "thick black legs"."""
    which = rng.randint(6)
    if which == 0:
        return f"a {a['seat_shape']} {a['seat_color']} seat"
    if which == 1:
        return article(f"{a['seat_color']} seat")
    if which == 2:
        return article(f"{a['back_color']} {pick(rng, 'back', 'backrest')}")
    if which == 3:
        return _back(a, ["back_height"], rng)
    if which == 4:
        return _back(a, ["back_height", "back_style"], rng)
    return _base(a, ["thickness" if a["base"] == "legs" else "base", "leg_color"], rng)
