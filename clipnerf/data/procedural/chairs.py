"""Random but plausible chairs.

An object is drawn in two steps: attributes (names a caption can use), and jitter (the numbers the
names leave open, such as how thick a thick leg is). Lengths are world units: a chair is about
1.0-1.8 high and stays within |x|, |y| <= 0.65 and |z| <= 0.9.
"""

import numpy as np

from clipnerf.data.procedural.chair_captions import caption, contrasts
from clipnerf.data.procedural.colors import COLORS, tint
from clipnerf.data.procedural.parts import Object, Part, beam, block, centered, pieces, spoke
from clipnerf.errors import UsageError

__all__ = ["COLORS", "EDITS", "PARTS", "caption", "contrasts", "edit", "possible_edits", "sample"]

PARTS = ("seat", "back", "legs", "armrests")

_SHARES: dict[str, dict[str, float]] = {
    "armrests": {"yes": 0.5, "no": 0.5},
    "back_height": {"low": 0.33, "medium": 0.33, "high": 0.34},
    "back_style": {"solid": 0.5, "slatted": 0.3, "ladder": 0.2},
    "base": {"legs": 0.68, "pedestal": 0.32},
    "thickness": {"thin": 0.5, "thick": 0.5},
    "width": {"narrow": 0.3, "medium": 0.4, "wide": 0.3},
    "seat_shape": {"square": 0.7, "round": 0.3},
    "cushion": {"thin": 0.55, "thick": 0.45},
}

EDITS: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "seat_color": tuple(COLORS),
    "back_color": tuple(COLORS),
    "leg_color": tuple(COLORS),
    **{key: tuple(shares) for key, shares in _SHARES.items()},
}
"""What `edit` can change, and to what. "color" is seat and back together."""

_JITTER = (
    "seat_height",
    "back_height",
    "width",
    "depth",
    "seat",
    "legs",
    "splay",
    "lean",
    "panel",
    "slats",
    "soft",
    "round_legs",
    "arm_height",
    "arm_front",
    "star",
    "base",
    "scale",
    "seat_red",
    "seat_green",
    "seat_blue",
    "leg_red",
    "leg_green",
    "leg_blue",
)

_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "back_height": {"low": (0.34, 0.44), "medium": (0.60, 0.68), "high": (0.84, 0.94)},
    "width": {"narrow": (0.60, 0.70), "medium": (0.84, 0.94), "wide": (1.10, 1.22)},
    "legs": {"thin": (0.070, 0.085), "thick": (0.13, 0.17)},
    "seat": {"thin": (0.08, 0.11), "thick": (0.18, 0.24)},
}


def sample(rng: np.random.RandomState) -> Object:
    """A random chair. The number of draws is fixed, so that `rng` can be shared with a pose."""
    jitter = dict(zip(_JITTER, rng.random_sample(len(_JITTER)).tolist(), strict=True))
    attributes = {
        key: str(rng.choice(list(shares), p=list(shares.values())))
        for key, shares in _SHARES.items()
    }
    seat, other, leg, arm = rng.choice(list(COLORS), size=4).tolist()
    same_back, leg_kind, arm_kind = rng.random_sample(3)
    attributes["seat_color"] = seat
    attributes["back_color"] = seat if same_back < 0.7 else other
    # Most real legs are metal, black or wood; some match the seat; a few are any color.
    usual = next(
        (
            name
            for bound, name in ((0.24, "black"), (0.42, "gray"), (0.62, "brown"))
            if leg_kind < bound
        ),
        seat if leg_kind < 0.82 else leg,
    )
    attributes["leg_color"] = usual
    attributes["arm_color"] = seat if arm_kind < 0.45 else usual if arm_kind < 0.9 else arm
    return _build(attributes, jitter)


def edit(chair: Object, key: str, value: str) -> Object:
    """The same chair with one attribute changed. Raises UsageError for an unknown key or value.

    Armrests that had the color of the seat or of the legs follow it. Only the height of the back
    moves the centre of the chair.
    """
    if key not in EDITS:
        raise UsageError(f"a chair has no attribute '{key}'; choose one of {', '.join(EDITS)}")
    if value not in EDITS[key]:
        raise UsageError(f"'{value}' is no {key} of a chair; choose one of {', '.join(EDITS[key])}")
    new = dict(chair.attributes)
    changed = ("seat_color", "back_color") if key == "color" else (key,)
    for name in ("seat_color", "leg_color"):
        if name in changed and new["arm_color"] == new[name]:
            new["arm_color"] = value
            break
    new.update(dict.fromkeys(changed, value))
    return _build(new, chair.jitter)


def possible_edits(chair: Object) -> dict[str, list[str]]:
    """Attribute -> values that would change this chair visibly and can be said of the result."""
    current = {**chair.attributes}
    two_colors = current["seat_color"] != current["back_color"]
    if not two_colors:
        current["color"] = current["seat_color"]
    hidden = {"color"} if two_colors else {"seat_color", "back_color"}
    if current["base"] != "legs":
        hidden.add("thickness")
    unsayable = {("width", "medium")}
    return {
        key: [v for v in values if v != current[key] and (key, v) not in unsayable]
        for key, values in EDITS.items()
        if key not in hidden
    }


def _build(attributes: dict[str, str], jitter: dict[str, float]) -> Object:
    parts = _parts(attributes, jitter)
    return Object(centered(parts, 0.96 + 0.06 * jitter["scale"]), attributes, jitter)


def _between(low: float, high: float, t: float) -> float:
    return low + (high - low) * t


def _named(key: str, attributes: dict[str, str], attribute: str, jitter: dict[str, float]) -> float:
    return _between(*_RANGES[key][attributes[attribute]], jitter[key])


def _parts(attributes: dict[str, str], jitter: dict[str, float]) -> tuple[Part, ...]:
    a, j = attributes, jitter
    width = _named("width", a, "width", j)
    depth = _between(0.74, 0.92, j["depth"])
    top = _between(0.70, 0.80, j["seat_height"])
    seat_thickness = _named("seat", a, "cushion", j)
    round_seat = a["seat_shape"] == "round"
    color = {key: tint(a[f"{key}_color"], j, "seat") for key in ("seat", "back")}
    leg_color = tint(a["leg_color"], j, "leg")
    arm_family = "leg" if a["arm_color"] == a["leg_color"] else "seat"
    arm_color = tint(a["arm_color"], j, arm_family)

    seat_primitive = "cylinder" if round_seat else "cushion" if j["soft"] < 0.6 else "box"
    seat_center = (0.0, 0.0, top - seat_thickness / 2)
    seat = block(seat_primitive, seat_center, (depth, width, seat_thickness), "seat", color["seat"])
    under = top - 0.7 * seat_thickness
    thickness = _named("legs", a, "thickness", j)
    if a["base"] == "legs":
        base = _legs(depth, width, under, thickness, round_seat, j, leg_color)
    else:
        base = _pedestal(min(depth, width), under, thickness, j, leg_color)
    back = _back(a, j, depth, width, top, round_seat, color["back"])
    arms = _arms(j, depth, width, top, round_seat, arm_color) if a["armrests"] == "yes" else []
    return (seat, *base, *back, *arms)


def _legs(depth, width, top, thickness, round_seat, j, color) -> list[Part]:
    """Four legs; they splay from under the seat at most to its edge."""
    primitive = "cylinder" if j["round_legs"] < 0.5 else "box"
    reach = 0.74 if round_seat else 1.0  # the corners of a round seat are air
    foot = np.array([depth, width]) / 2 * reach - thickness / 2
    splay = max(0.0, j["splay"] - 0.45) * 0.25
    head = np.maximum(foot - splay, 0.05)
    return [
        beam(
            primitive,
            (sx * foot[0], sy * foot[1], 0.0),
            (sx * head[0], sy * head[1], top),
            thickness,
            "legs",
            color,
        )
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]


def _pedestal(extent, top, thickness, j, color) -> list[Part]:
    """A column on a disc or on a star of five."""
    column = 1.3 * thickness
    radius = extent * _between(0.40, 0.48, j["base"])
    shaft = block("cylinder", (0.0, 0.0, top / 2), (column, column, top), "legs", color)
    parts = pieces([shaft], "column")
    if j["star"] < 0.5:
        height = _between(0.06, 0.09, j["splay"])
        size = (2 * radius, 2 * radius, height)
        disc = block("cylinder", (0.0, 0.0, height / 2), size, "legs", color)
        return parts + pieces([disc], "foot")
    bar = max(0.09, 0.7 * thickness)
    star = [
        spoke((0.0, 0.0, 0.04), 2 * np.pi * i / 5, radius, bar, 0.08, "legs", color)
        for i in range(5)
    ]
    return parts + pieces(star, "foot")


def _back(a, j, depth, width, top, round_seat, color) -> list[Part]:
    """A panel, vertical slats, or the rungs of a ladder; slats and rungs hang between two posts."""
    height = _named("back_height", a, "back_height", j)
    panel = _between(0.08, 0.12, j["panel"])
    lean = np.tan(np.radians(_between(0.0, 12.0, j["lean"])))
    back_width = width * (0.80 if round_seat else 1.0)
    x0 = -depth / 2 + panel / 2 + (0.12 * depth if round_seat else 0.0)
    low = top - 0.05

    def piece(y: float, z_low: float, z_high: float, wide: float, primitive: str = "box") -> Part:
        middle = (z_low + z_high) / 2
        center = (x0 - lean * (middle - low), y, middle)
        return block(primitive, center, (panel, wide, z_high - z_low), "back", color, lean)

    end = top + height
    if a["back_style"] == "solid":
        return [piece(0.0, low, end, back_width, "cushion" if j["soft"] < 0.6 else "box")]
    post = 0.09
    side = (back_width - post) / 2
    inner = back_width - 2 * post
    posts = pieces([piece(-side, low, end, post), piece(side, low, end, post)], "post")
    if a["back_style"] == "slatted":
        rails = [piece(0.0, end - 0.1, end, inner)]
        count = max(1, round(inner / _between(0.20, 0.25, j["slats"])) - 1) if inner > 0.3 else 1
        slats = [
            piece(inner * ((i + 1) / (count + 1) - 0.5), low, end - 0.1, 0.075)
            for i in range(count)
        ]
        return posts + pieces(rails, "rail") + pieces(slats, "slat")
    count = max(1, round(height / _between(0.22, 0.28, j["slats"])))
    rung = 0.10
    rungs = [
        piece(0.0, end - rung - i * height / count, end - i * height / count, inner)
        for i in range(count)
    ]
    return posts + pieces(rungs, "rung")


def _arms(j, depth, width, top, round_seat, color) -> list[Part]:
    """A flat rest on each side, from the back forwards, on one post in front."""
    bar = 0.10
    height = top + _between(0.24, 0.30, j["arm_height"])
    side = (width * (0.86 if round_seat else 1.0) - bar) / 2
    rear = -depth / 2 + (0.12 * depth if round_seat else 0.0) + 0.02
    front = depth / 2 * _between(0.55, 0.85, j["arm_front"]) * (0.75 if round_seat else 1.0)
    parts = []
    for sign in (-1, 1):
        rest = (front - rear, bar, 0.08)
        parts.append(
            block("box", ((front + rear) / 2, sign * side, height), rest, "armrests", color)
        )
        foot = (front - 0.05, sign * side, top - 0.06)
        head = (front - 0.05, sign * side, height)
        parts.append(beam("box", foot, head, 0.08, "armrests", color))
    return parts
