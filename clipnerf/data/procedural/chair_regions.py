"""The fine regions of chairs, and what they are called."""

from collections.abc import Mapping

import numpy as np

from clipnerf.data.procedural.parts import Object, Part, middle
from clipnerf.data.procedural.phrases import Phrase, Referent, Vocabulary, draw

REGIONS: tuple[str, ...] = (
    "seat",
    "back panel",
    "left back post",
    "right back post",
    "top rail",
    "slats",
    "rungs",
    "left front leg",
    "right front leg",
    "left rear leg",
    "right rear leg",
    "column",
    "foot",
    "left armrest",
    "right armrest",
)
"""Label i + 1 of the fine label map is the i-th name. Left and right are the chair's own."""

_BACK = REGIONS[1:7]
_LEFT_FRONT, _RIGHT_FRONT, _LEFT_REAR, _RIGHT_REAR = _LEGS = REGIONS[7:11]
_PEDESTAL, _ARMS = REGIONS[11:13], REGIONS[13:15]

PARTS_EVALUATED: dict[str, tuple[str, ...]] = {
    "the seat": ("seat",),
    "the back": _BACK,
    "the legs": _LEGS,
    "the armrests": _ARMS,
}
"""Phrase -> regions; a pedestal is no legs."""

FINE_EVALUATED: dict[str, tuple[str, ...]] = {
    "the front legs": (_LEFT_FRONT, _RIGHT_FRONT),
    "the rear legs": (_LEFT_REAR, _RIGHT_REAR),
    "the left legs": (_LEFT_FRONT, _LEFT_REAR),
    "the right legs": (_RIGHT_FRONT, _RIGHT_REAR),
    **{f"the {leg}": (leg,) for leg in _LEGS},
    "the left armrest": _ARMS[:1],
    "the right armrest": _ARMS[1:],
    "the pedestal": _PEDESTAL,
}

EVALUATED: tuple[str, ...] = (*PARTS_EVALUATED, *FINE_EVALUATED)

_BACK_PIECES = {"": "back panel", "rail": "top rail", "slat": "slats", "rung": "rungs"}


def region_of(part: Part) -> str:
    """The region that a part of a chair belongs to."""
    x, y, _ = middle(part)
    side = "left" if y > 0 else "right"
    if part.name == "seat":
        return "seat"
    if part.name == "armrests":
        return f"{side} armrest"
    if part.name == "back":
        return f"{side} back post" if part.piece == "post" else _BACK_PIECES[part.piece]
    return part.piece or f"{side} {'front' if x > 0 else 'rear'} leg"


def phrases(chair: Object, visible: Mapping[int, int], rng: np.random.RandomState) -> list[Phrase]:
    """Some twelve phrases about a view of a chair. visible: label -> pixels that show it."""
    return draw(VOCABULARY, chair, {region_of(part) for part in chair.parts}, visible, rng)


def _one_color(attributes: Mapping[str, str]) -> str | None:
    seat, back = attributes["seat_color"], attributes["back_color"]
    return seat if seat == back else None


VOCABULARY = Vocabulary(
    thing="chair",
    regions=REGIONS,
    referents=(
        Referent(("chair", "chair", "whole chair"), REGIONS, weight=2.0, whole=True),
        Referent(("seat", "seat", "seat cushion"), ("seat",), "seat_color", 3.0),
        Referent(("back", "back", "backrest"), _BACK, "back_color", 3.0),
        Referent(("slats",), ("slats",), "back_color", missing=False),
        Referent(("rungs",), ("rungs",), "back_color", missing=False),
        Referent(("legs", "legs", "chair legs"), _LEGS, "leg_color", 3.0),
        *(
            Referent((name, name.replace("rear", "back")), regions, "leg_color")
            for name, regions in (
                ("front legs", (_LEFT_FRONT, _RIGHT_FRONT)),
                ("rear legs", (_LEFT_REAR, _RIGHT_REAR)),
                ("left legs", (_LEFT_FRONT, _LEFT_REAR)),
                ("right legs", (_RIGHT_FRONT, _RIGHT_REAR)),
                *((leg, (leg,)) for leg in _LEGS),
            )
        ),
        Referent(("pedestal", "pedestal base"), _PEDESTAL, "leg_color", 3.0),
        # A chair on legs may be said to have a base as well: never an absent phrase there.
        Referent(("base",), _PEDESTAL, "leg_color", missing=False),
        Referent(("armrests", "armrests", "arms"), _ARMS, "arm_color", 3.0),
        Referent(("left armrest", "left armrest", "left arm"), _ARMS[:1], "arm_color", 1.5),
        Referent(("right armrest", "right armrest", "right arm"), _ARMS[1:], "arm_color", 1.5),
    ),
    foreign=(
        "wheels",
        "headlights",
        "roof rack",
        "windscreen",
        "windows",
        "bumper",
        "car",
        "tail lights",
        "spoiler",
        "number plate",
    ),
    color_of=_one_color,
    not_wrong={},
)
