"""Random but plausible cars.

An object is drawn in two steps: attributes (names a caption can use), and jitter (the numbers the
names leave open, such as how long a long car is). Lengths are world units: a car is 0.9 to 1.8
long and 0.4 to 0.8 high, and stays within |x| <= 0.92, |y| <= 0.44 and |z| <= 0.45.
"""

import numpy as np

from clipnerf.data.procedural.car_body import body, cabin
from clipnerf.data.procedural.car_captions import caption, contrasts
from clipnerf.data.procedural.car_fittings import ends, on_the_roof, sides, spoiler, wheels
from clipnerf.data.procedural.car_frame import frame
from clipnerf.data.procedural.car_kinds import KINDS
from clipnerf.data.procedural.colors import COLORS
from clipnerf.data.procedural.parts import Object, placed
from clipnerf.errors import UsageError

__all__ = ["COLORS", "EDITS", "PARTS", "caption", "contrasts", "edit", "possible_edits", "sample"]

PARTS = ("body", "windows", "wheels", "lights", "trim")

EDITS: dict[str, tuple[str, ...]] = {
    "body": tuple(KINDS),
    "length": ("short", "medium", "long"),
    "height": ("low", "medium", "high"),
    "color": tuple(COLORS),
    "wheel_color": tuple(COLORS),
    "wheels": ("small", "large"),
    "windows": ("dark", "light"),
    "roof_rack": ("yes", "no"),
    "spoiler": ("yes", "no"),
}
"""What `edit` can change, and to what. "color" is the body's, "wheel_color" that of the rims."""

_JITTER = (
    "length",
    "height",
    "width",
    "clearance",
    "belt",
    "nose",
    "cabin",
    "windscreen",
    "roof",
    "wheels",
    "rims",
    "spokes",
    "bumpers",
    "lights",
    "grille",
    "glass",
    "panels",
    "scale",
    "body_red",
    "body_green",
    "body_blue",
    "wheel_red",
    "wheel_green",
    "wheel_blue",
)


def sample(rng: np.random.RandomState) -> Object:
    """A random car. The number of draws is fixed, so that `rng` can be shared with a pose."""
    jitter = dict(zip(_JITTER, rng.random_sample(len(_JITTER)).tolist(), strict=True))
    chance = dict(zip(EDITS, rng.random_sample(len(EDITS)).tolist(), strict=True))
    body = _one_of(tuple(KINDS), chance["body"])
    kind = KINDS[body]
    color, other = (str(name) for name in rng.choice(list(COLORS), size=2))
    # Most real rims are metal, some black or as the body; a few are any color.
    rims = next(
        (
            name
            for bound, name in ((0.40, "gray"), (0.55, "black"), (0.70, color))
            if chance["wheel_color"] < bound
        ),
        other,
    )
    attributes = {
        "body": body,
        "length": _one_of(kind.lengths, chance["length"]),
        "height": _one_of(kind.heights, chance["height"]),
        "color": color,
        "wheel_color": rims,
        "wheels": _one_of(EDITS["wheels"], chance["wheels"]),
        "windows": "dark" if chance["windows"] < 0.6 else "light",
        "roof_rack": "yes" if kind.rack and chance["roof_rack"] < 0.4 else "no",
        "spoiler": "yes" if kind.spoiler and chance["spoiler"] < 0.6 else "no",
    }
    return _build(attributes, jitter)


def edit(car: Object, key: str, value: str) -> Object:
    """The same car with one attribute changed, in the same place.

    Raises:
        UsageError: an unknown key or value, or a car that does not exist, such as a high sports
            car; the message says what this car can be.
    """
    if key not in EDITS:
        raise UsageError(f"a car has no attribute '{key}'; choose one of {', '.join(EDITS)}")
    if value not in EDITS[key]:
        raise UsageError(f"'{value}' is no {key} of a car; choose one of {', '.join(EDITS[key])}")
    new = {**car.attributes, key: value}
    if not _exists(new):
        allowed = [v for v in EDITS[key] if _exists({**car.attributes, key: v})]
        raise UsageError(
            f"{key} cannot be '{value}' for this {car.attributes['body']}; "
            f"choose one of {', '.join(allowed)}"
        )
    return _build(new, car.jitter)


def possible_edits(car: Object) -> dict[str, list[str]]:
    """Attribute -> values that would change this car visibly and can be said of the result."""
    unsayable = {("length", "medium"), ("height", "medium")}
    found = {
        key: [
            value
            for value in values
            if value != car.attributes[key]
            and (key, value) not in unsayable
            and _exists({**car.attributes, key: value})
        ]
        for key, values in EDITS.items()
    }
    return {key: values for key, values in found.items() if values}


def _exists(attributes: dict[str, str]) -> bool:
    kind = KINDS[attributes["body"]]
    return (
        attributes["length"] in kind.lengths
        and attributes["height"] in kind.heights
        and (kind.rack or attributes["roof_rack"] == "no")
        and (kind.spoiler or attributes["spoiler"] == "no")
    )


def _one_of(values: tuple[str, ...], chance: float) -> str:
    return values[int(chance * len(values))]


def _build(attributes: dict[str, str], jitter: dict[str, float]) -> Object:
    f = frame(attributes, jitter)
    parts = [*body(f), *cabin(f), *wheels(f), *ends(f), *sides(f)]
    if attributes["roof_rack"] == "yes":
        parts += on_the_roof(f)
    if attributes["spoiler"] == "yes":
        parts += spoiler(f)
    # The middle of the body, not of all parts: a rack or a wing must not move the car.
    middle = np.array([0.0, 0.0, f.height / 2])
    return Object(placed(tuple(parts), middle, 0.97 + 0.06 * jitter["scale"]), attributes, jitter)
