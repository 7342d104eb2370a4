"""Captions of cars: true sentences of varied wording and completeness."""

from collections.abc import Sequence

import numpy as np

from clipnerf.data.procedural import wording
from clipnerf.data.procedural.car_kinds import KINDS
from clipnerf.data.procedural.colors import COLORS
from clipnerf.data.procedural.wording import article, choose_keys, listing, pick

_WEIGHTS = {
    "body": 3.0,
    "color": 3.0,
    "length": 2.0,
    "height": 1.6,
    "wheels": 1.2,
    "wheel_color": 1.0,
    "windows": 1.0,
    "roof_rack": 0.8,
    "spoiler": 0.8,
}

_VALUES: dict[str, tuple[str, ...]] = {
    "body": tuple(KINDS),
    "color": tuple(COLORS),
    "length": ("short", "long"),
    "height": ("low", "high"),
    "wheels": ("small", "large"),
    "wheel_color": tuple(COLORS),
    "windows": ("dark", "light"),
    "roof_rack": ("yes", "no"),
    "spoiler": ("yes", "no"),
}

_NOUNS: dict[str, tuple[str, ...]] = {
    "SUV": ("SUV",),
    "jeep": ("jeep", "jeep", "jeep-like car"),
    "pickup": ("pickup", "pickup truck"),
    "mini car": ("mini car", "mini car", "mini"),
}


def caption(
    attributes: dict[str, str], rng: np.random.RandomState, about: Sequence[str] = ()
) -> str:
    """One caption of a car with these attributes (keys as in metadata.jsonl).

    about: name these attributes and no other.
    """
    if about:
        return _sentence(attributes, about, rng)
    if rng.random_sample() < 0.08:
        return _part_alone(attributes, rng)
    return _sentence(attributes, choose_keys(_sayable(attributes), _WEIGHTS, rng), rng)


def contrasts(attributes: dict[str, str], rng: np.random.RandomState) -> list[list[str]]:
    """True captions of a car, each with a false twin; see :func:`wording.contrasts`."""
    values = {key: _VALUES[key] for key in _sayable(attributes)}
    swapped = [("color", "wheel_color", ("color", "wheel_color"))]
    return wording.contrasts(caption, attributes, values, swapped, rng)


def _sayable(a: dict[str, str]) -> list[str]:
    """What can be said of it; that a van has no spoiler, or a pickup no roof rack, nobody says."""
    kind = KINDS[a["body"]]
    keys = ["body", "color", "wheels", "wheel_color", "windows"]
    keys += [key for key in ("length", "height") if a[key] != "medium"]
    if kind.rack:
        keys.append("roof_rack")
    if kind.spoiler:
        keys.append("spoiler")
    return keys


def _height_word(a: dict[str, str], rng: np.random.RandomState) -> str:
    return {"high": pick(rng, "high", "high", "tall"), "low": "low", "medium": "medium"}[
        a["height"]
    ]


def _wheels(a: dict[str, str], keys: Sequence[str], rng: np.random.RandomState) -> str:
    size = {"large": pick(rng, "large", "large", "big"), "small": "small"}[a["wheels"]]
    words = [size] if "wheels" in keys else []
    if "wheel_color" in keys:
        words.append(a["wheel_color"])
    return " ".join([*words, "wheels"])


def _windows(a: dict[str, str], rng: np.random.RandomState) -> str:
    tints = {"dark": ("dark", "dark", "tinted"), "light": ("light", "light", "clear")}
    return f"{pick(rng, *tints[a['windows']])} windows"


def _sentence(a: dict[str, str], keys: Sequence[str], rng: np.random.RandomState) -> str:
    adjectives = []
    if "length" in keys:
        adjectives.append(a["length"])
    if "height" in keys:
        adjectives.append(_height_word(a, rng))
    if "color" in keys:
        adjectives.append(a["color"])
    noun = pick(rng, *_NOUNS.get(a["body"], (a["body"],))) if "body" in keys else "car"
    text = article(" ".join([*adjectives, noun]))

    features, absent = [], []
    if {"wheels", "wheel_color"} & set(keys):
        features.append(_wheels(a, keys, rng))
    if "windows" in keys:
        features.append(_windows(a, rng))
    for key, name in (("roof_rack", "roof rack"), ("spoiler", "spoiler")):
        if key in keys and a[key] == "yes":
            features.append(f"a {name}")
        elif key in keys:
            absent.append(pick(rng, f"without a {name}", f"without a {name}", f"with no {name}"))
    rng.shuffle(features)
    if features:
        text += f" with {listing(features)}"
    if absent:
        text += (" and " if features else " ") + absent[0]
    return text


def _part_alone(a: dict[str, str], rng: np.random.RandomState) -> str:
    """A caption of one part: "large wheels", "small red wheels", "dark windows"."""
    which = rng.randint(4)
    if which == 0:
        return _wheels(a, ["wheels"], rng)
    if which == 1:
        return _wheels(a, ["wheel_color"], rng)
    if which == 2:
        return _wheels(a, ["wheels", "wheel_color"], rng)
    return _windows(a, rng)
