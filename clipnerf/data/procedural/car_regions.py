"""The fine regions of cars, and what they are called."""

from collections.abc import Mapping

import numpy as np

from clipnerf.data.procedural.parts import Object, Part, middle
from clipnerf.data.procedural.phrases import Phrase, Referent, Vocabulary, draw

REGIONS: tuple[str, ...] = (
    "body",
    "cabin",
    "bed",
    "left mirror",
    "right mirror",
    "spoiler",
    "windscreen",
    "rear window",
    "left side windows",
    "right side windows",
    "left front wheel",
    "right front wheel",
    "left rear wheel",
    "right rear wheel",
    "spare wheel",
    "left headlight",
    "right headlight",
    "left tail light",
    "right tail light",
    "front bumper",
    "rear bumper",
    "grille",
    "front number plate",
    "rear number plate",
    "fenders",
    "wheel arches",
    "roof rack",
)
"""Label i + 1 of the fine label map is the i-th name. Left and right are the car's own; "cabin"
is its pillars and roof."""

_SHELL, _MIRRORS, _WINDOWS, _SIDE_WINDOWS = REGIONS[:6], REGIONS[3:5], REGIONS[6:10], REGIONS[8:10]
_WHEELS = REGIONS[10:14]
_HEAD, _TAIL, _BUMPERS, _PLATES = REGIONS[15:17], REGIONS[17:19], REGIONS[19:21], REGIONS[22:24]

PARTS_EVALUATED: dict[str, tuple[str, ...]] = {
    "the body": _SHELL,
    "the windows": _WINDOWS,
    "the wheels": _WHEELS,
    "the lights": _HEAD + _TAIL,
}
"""Phrase -> regions; bumpers, which only some cars have painted, are no body."""

FINE_EVALUATED: dict[str, tuple[str, ...]] = {
    "the front wheels": _WHEELS[:2],
    "the rear wheels": _WHEELS[2:],
    **{f"the {wheel}": (wheel,) for wheel in _WHEELS},
    "the windscreen": ("windscreen",),
    "the rear window": ("rear window",),
    "the side windows": _SIDE_WINDOWS,
    "the headlights": _HEAD,
    "the tail lights": _TAIL,
    "the bumpers": _BUMPERS,
    "the mirrors": _MIRRORS,
    "the roof rack": ("roof rack",),
    "the spoiler": ("spoiler",),
    "the spare wheel": ("spare wheel",),
}

EVALUATED: tuple[str, ...] = (*PARTS_EVALUATED, *FINE_EVALUATED)


def region_of(part: Part) -> str:
    """The region that a part of a car belongs to."""
    x, y, _ = middle(part)
    side, end = "left" if y > 0 else "right", "front" if x > 0 else "rear"
    if part.piece == "mirror":
        return f"{side} mirror"
    if part.piece == "side window":
        return f"{side} side windows"
    if part.piece in ("bumper", "number plate"):
        return f"{end} {part.piece}"
    if part.piece in ("fender", "wheel arch"):
        return "fenders" if part.piece == "fender" else "wheel arches"
    if part.piece or part.name == "body":
        return part.piece or "body"
    if part.name == "wheels":
        return f"{side} {end} wheel"
    return f"{side} {'headlight' if x > 0 else 'tail light'}"


def phrases(car: Object, visible: Mapping[int, int], rng: np.random.RandomState) -> list[Phrase]:
    """Some twelve phrases about a view of a car. visible: label -> pixels that show it."""
    return draw(VOCABULARY, car, {region_of(part) for part in car.parts}, visible, rng)


def _color(attributes: Mapping[str, str]) -> str | None:
    return attributes["color"]


VOCABULARY = Vocabulary(
    thing="car",
    regions=REGIONS,
    referents=(
        Referent(("car", "car", "whole car"), REGIONS, "color", 2.0, whole=True),
        Referent(("body", "body", "car body"), _SHELL, "color", 3.0),
        Referent(("wheels",), _WHEELS, "wheel_color", 3.0),
        Referent(("front wheels",), _WHEELS[:2], "wheel_color", 1.5),
        Referent(("rear wheels", "rear wheels", "back wheels"), _WHEELS[2:], "wheel_color", 1.5),
        *(
            Referent((name, name, name.replace("rear", "back")), (name,), "wheel_color")
            for name in _WHEELS
        ),
        Referent(("windows", "windows", "glass"), _WINDOWS, weight=3.0),
        Referent(("windscreen", "windscreen", "windshield"), ("windscreen",), weight=1.5),
        Referent(("rear window", "rear windscreen"), ("rear window",)),
        Referent(("side windows",), _SIDE_WINDOWS),
        Referent(("left side windows", "left windows"), _SIDE_WINDOWS[:1]),
        Referent(("right side windows", "right windows"), _SIDE_WINDOWS[1:]),
        Referent(("lights",), _HEAD + _TAIL, weight=3.0),
        Referent(("headlights", "front lights"), _HEAD, weight=1.5),
        Referent(("tail lights", "rear lights"), _TAIL, weight=1.5),
        *(Referent((name,), (name,), weight=0.5) for name in _HEAD + _TAIL),
        Referent(("bumpers",), _BUMPERS),
        Referent(("front bumper",), _BUMPERS[:1], weight=0.7),
        Referent(("rear bumper",), _BUMPERS[1:], weight=0.7),
        Referent(("mirrors", "side mirrors"), _MIRRORS),
        Referent(("grille",), ("grille",), weight=0.7),
        Referent(("number plate", "license plate"), _PLATES, weight=0.7),
        Referent(("roof rack", "roof rails"), ("roof rack",), weight=2.0),
        Referent(("spoiler", "rear wing"), ("spoiler",), "color", 2.0),
        Referent(("spare wheel", "spare tyre"), ("spare wheel",), weight=2.0),
    ),
    foreign=(
        "legs",
        "front legs",
        "armrests",
        "left armrest",
        "backrest",
        "pedestal",
        "chair",
        "slats",
        "left front leg",
    ),
    color_of=_color,
    # Tyres are black whatever the rims are.
    not_wrong={"wheel_color": ("black", "gray")},
)
