"""What is mounted on the body of a car: wheels, lights, bumpers, mirrors, rack, spoiler."""

from functools import cache

import numpy as np
from jaxtyping import Float

from clipnerf.data.procedural.car_frame import BUMPER, Color, Frame
from clipnerf.data.procedural.parts import Part, block, pieces
from clipnerf.data.procedural.surfaces import loft

_TYRE = (0.10, 0.10, 0.11)
_DARK = (0.16, 0.16, 0.17)
_CHROME = (0.70, 0.71, 0.73)
_PLATE = (0.84, 0.84, 0.76)
_HEADLIGHT = (1.0, 0.92, 0.62)
_TAIL_LIGHT = (0.62, 0.02, 0.04)
_TYRE_WIDTH = 0.11


def wheels(f: Frame) -> list[Part]:
    """Four wheels that stand on the ground, and a jeep's spare one at its rear."""
    parts = []
    for sign in (-1, 1):
        outward = np.array([0.0, sign, 0.0])
        for x in f.axles:
            outside = np.array([x, sign * 0.985 * f.half_width, f.wheel_radius])
            parts += _wheel(f, outside, outward)
    if f.kind.spare_wheel:
        height = (f.floor + f.belt) / 2 + 0.05
        outside = np.array([-f.end - 0.085, 0.0, height])
        spare = _wheel(f, outside, np.array([-1.0, 0.0, 0.0]), width=0.09)
        parts += pieces(spare, "spare wheel")
    return parts


def _wheel(f: Frame, outside, outward, width: float = _TYRE_WIDTH) -> list[Part]:
    """Tyre, rim and its gaps; `outside` is the middle of the tyre's outer face."""
    r, gaps = f.wheel_radius, 5 if f.jitter["spokes"] < 0.5 else 6
    axes = _facing(outward)
    turn = 2 * np.pi * f.jitter["rims"] / gaps
    c, s = np.cos(turn), np.sin(turn)
    turned = axes @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return [
        _disc(outside - outward * width / 2, outward, r, width, "wheels", _TYRE),
        _disc(outside, outward, 0.70 * r, 0.012, "wheels", f.rims),
        Part("mesh", turned * r, outside + 0.009 * outward, "wheels", _DARK, _rim_gaps(gaps)),
    ]


@cache
def _rim_gaps(count: int) -> Float[np.ndarray, "triangles 3 3"]:
    """What is open between the spokes of a wheel of radius 1 that faces +z, as sheets."""
    gap = np.array([(0.26, -0.03), (0.58, -0.12), (0.58, 0.12), (0.26, 0.03)])
    angles = 2 * np.pi * np.arange(count) / count
    along = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)[:, None]
    across = np.stack([-np.sin(angles), np.cos(angles), 0 * angles], axis=1)[:, None]
    corners = gap[:, :1] * along + gap[:, 1:] * across
    return np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


def _facing(outward: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Axes (columns) of a thing whose +z looks along the horizontal `outward`, +y upwards."""
    return np.array([[-outward[1], 0, outward[0]], [outward[0], 0, outward[1]], [0, 1, 0]])


def _disc(center, axis, radius: float, width: float, name: str, color: Color) -> Part:
    linear = _facing(axis) * [2 * radius, 2 * radius, width]
    return Part("cylinder", linear, np.asarray(center, dtype=float), name, color)


def ends(f: Frame) -> list[Part]:
    """Bumpers, lights, grille and number plates: front and rear are told apart by them."""
    parts = []
    painted = f.jitter["bumpers"] < 0.45 and not f.kind.fenders
    color = f.body if painted else _DARK if f.jitter["bumpers"] < 0.8 else _CHROME
    for sign in (-1, 1):
        wide = f.half_width_at(f.end)
        size = (0.07, 1.9 * wide, max(0.05, 0.22 * (f.belt - f.floor)))
        place = (sign * (f.end + BUMPER - 0.035), 0.0, f.floor + size[2] / 2 + 0.01)
        bumper = block("box", place, size, "body" if painted else "trim", color)
        parts += pieces([bumper], "bumper")
    return parts + _front(f) + _rear(f)


def _front(f: Frame) -> list[Part]:
    wide, tall = 0.96 * f.half_width_at(f.end), f.nose - f.floor
    z = f.floor + 0.62 * tall
    lamp = 0.06 if f.kind.round_lights else 0.045 + 0.015 * f.jitter["lights"]
    lamp = min(lamp, 0.28 * tall)
    parts = []
    for sign in (-1, 1):
        if f.kind.round_lights:
            center = (f.end, sign * (0.92 * wide - lamp), z)
            parts.append(_disc(center, np.array([1.0, 0.0, 0.0]), lamp, 0.04, "lights", _HEADLIGHT))
        else:
            center = (f.end - 0.005, sign * 0.70 * wide, z)
            parts.append(
                block("box", center, (0.05, 0.44 * wide, 1.3 * lamp), "lights", _HEADLIGHT)
            )
    grille = (0.03, wide * (0.5 + 0.25 * f.jitter["grille"]), 0.30 * tall)
    bars = block("box", (f.end, 0.0, f.floor + 0.58 * tall), grille, "trim", _DARK)
    place = (f.end + BUMPER, 0.0, f.floor + 0.2 * tall + 0.015)
    plate = block("box", place, (0.01, 0.14, 0.035), "trim", _PLATE)
    return [*parts, *pieces([bars], "grille"), *pieces([plate], "number plate")]


def _rear(f: Frame) -> list[Part]:
    wide, tall = 0.96 * f.half_width_at(f.end), f.tail - f.floor
    z = f.floor + 0.68 * tall
    across, up = (0.20, 0.40) if f.kind.upright_lights else (0.46, 0.22)
    size = (0.05, across * wide, up * tall)
    parts = [
        block(
            "box",
            (-f.end + 0.005, sign * (0.97 * wide - size[1] / 2), z),
            size,
            "lights",
            _TAIL_LIGHT,
        )
        for sign in (-1, 1)
    ]
    place = (-f.end, 0.0, f.floor + 0.55 * tall)
    plate = block("box", place, (0.02, 0.17, 0.05), "trim", _PLATE)
    return [*parts, *pieces([plate], "number plate")]


def sides(f: Frame) -> list[Part]:
    """Mirrors, and fenders over the wheels where the kind has them."""
    parts = []
    foot = f.cabin[3] - 0.25 * (f.cabin[3] - f.cabin[2])
    for sign in (-1, 1):
        mirror = (foot, sign * (0.9 * f.body_half_width + 0.03), f.belt + 0.03)
        glass = block("box", mirror, (0.035, 0.07, 0.04), "body", f.body)
        parts += pieces([glass], "mirror")
        if f.kind.fenders:
            parts += pieces((_fender(f, x, sign) for x in f.axles), "fender")
    return parts


def _fender(f: Frame, axle: float, sign: int) -> Part:
    """A strip around the wheel arch, from the body outwards."""
    inner, outer = f.arch_radius, f.arch_radius + 0.03
    near, far = sign * (f.body_half_width - 0.03), sign * (f.half_width + 0.004)
    rings = []
    for angle in np.linspace(0.0, np.pi, 9):
        c, s = np.cos(angle), np.sin(angle)
        rings.append(
            [
                (axle + r * c, y, f.wheel_radius + r * s)
                for r, y in ((inner, near), (outer, near), (outer, far), (inner, far))
            ]
        )
    return loft(np.array(rings), "trim", _DARK)


def on_the_roof(f: Frame) -> list[Part]:
    """A rack: two rails along the roof and three bars across."""
    rear, front = f.cabin[1] + 0.05, f.cabin[2] - 0.06
    half = 0.9 * f.kind.roof * f.body_half_width - 0.05
    z = f.height + 0.03
    rails = [
        block(
            "box", ((rear + front) / 2, sign * half, z), (front - rear, 0.025, 0.025), "trim", _DARK
        )
        for sign in (-1, 1)
    ]
    bars = [
        block("box", (rear + t * (front - rear), 0.0, z), (0.03, 2 * half, 0.025), "trim", _DARK)
        for t in (0.0, 0.5, 1.0)
    ]
    feet = [
        block("box", (x, sign * half, f.height + 0.01), (0.03, 0.025, 0.05), "trim", _DARK)
        for x in (rear, front)
        for sign in (-1, 1)
    ]
    return pieces(rails + bars + feet, "roof rack")


def spoiler(f: Frame) -> list[Part]:
    """A wing over the tail, on two posts."""
    wide = f.half_width_at(f.end)
    z, x = f.tail + 0.075, -f.end + 0.06
    wing = block("box", (x, 0.0, z), (0.10, 1.8 * wide, 0.022), "body", f.body)
    posts = [
        block(
            "box",
            (x, sign * 1.1 * wide / 2, (z + f.tail) / 2),
            (0.05, 0.025, z - f.tail + 0.04),
            "body",
            f.body,
        )
        for sign in (-1, 1)
    ]
    return pieces([wing, *posts], "spoiler")
