"""The body of a car: hull with wheel arches, cabin with windows, the bed of a pickup."""

import math

import numpy as np
from jaxtyping import Float

from clipnerf.data.procedural.car_frame import Frame
from clipnerf.data.procedural.parts import Part, block, pieces
from clipnerf.data.procedural.surfaces import loft, panel

_UNDERSIDE = (0.07, 0.07, 0.08)
_ARCH_STEPS = 9
_ROUNDING = 0.03  # of the two ends of the hull and of the roof's edge


def body(f: Frame) -> list[Part]:
    """The hull up to the belt; behind a pickup's cabin it is a bed between low walls."""
    bed = _bed(f) if f.kind.bed else []
    wells = pieces((_well(f, x) for x in f.axles), "wheel arch")
    return [loft(_hull(f), "body", f.body), *wells, *pieces(bed, "bed")]


def _well(f: Frame, axle: float) -> Part:
    """What is seen through a wheel arch: darkness, not the other side of the road."""
    arch = _arch(f, axle, 0.99)
    outline = [*arch, (arch[-1][0], f.floor), (arch[0][0], f.floor)]
    side = 0.9 * f.body_half_width
    return loft(
        np.array([[(x, y, z) for x, z in outline] for y in (-side, side)]), "trim", _UNDERSIDE
    )


def _arch(f: Frame, axle: float, rise: float = 1.0) -> list[tuple[float, float]]:
    """(x, z) along the edge of the opening around a wheel, from its front to its rear."""
    r, middle = f.arch_radius, f.wheel_radius
    angles = np.linspace(0, np.pi, _ARCH_STEPS).tolist()
    return [(axle + r * math.cos(t), max(f.floor, middle + rise * r * math.sin(t))) for t in angles]


def _bed_floor(f: Frame) -> float:
    """Above wheels of any size, or it would rise with them."""
    return f.belt - 0.04


def _hull(f: Frame) -> Float[np.ndarray, "rings 6 3"]:
    """Sections from rear to front: sills, shoulders and upper edges of both sides."""
    end, rear, front = f.end, f.cabin[0], f.cabin[3]
    inner = end - _ROUNDING
    evenly = np.linspace(-inner, inner, 14).tolist()
    places = [-end, *evenly, end, -0.92 * inner, 0.92 * inner, rear, front]
    stations = [(x, f.floor) for x in places]
    for axle in f.axles:
        low, high = axle - f.arch_radius, axle + f.arch_radius
        stations = [(x, z) for x, z in stations if not low <= x <= high]
        stations += [(low - 1e-3, f.floor), (high + 1e-3, f.floor)]
        stations += _arch(f, axle)
    if f.kind.bed:
        stations.append((rear - 0.004, f.floor))
    return np.array([_section(f, x, bottom) for x, bottom in sorted(stations)])


def _section(f: Frame, x: float, bottom: float) -> list[tuple[float, float, float]]:
    top, wide = f.top(x), f.half_width_at(x)
    if f.kind.bed and x < f.cabin[0] - 1e-6:
        top = _bed_floor(f)
    if abs(x) > f.end - 1e-6:
        top, bottom, wide = top - _ROUNDING, bottom + _ROUNDING, 0.96 * wide
    # A wheel taller than the bonnet pushes it up: the fenders of sports cars.
    top = max(top, bottom + 0.02)
    shoulder = min(max(f.floor + 0.58 * (f.belt - f.floor), bottom + 0.008), top - 0.008)
    edge = 0.99 if f.kind.boxy else 0.92
    half = [(x, 0.96 * wide, bottom), (x, wide, shoulder), (x, edge * wide, top)]
    return half + [(x, -y, z) for x, y, z in reversed(half)]


def _bed(f: Frame) -> list[Part]:
    wall = 0.035
    rear, front, side = -f.end, f.cabin[0], 0.95 * f.half_width_at(-f.end) - wall / 2
    low, high = _bed_floor(f) - 0.02, f.belt + 0.03
    middle, tall = (low + high) / 2, high - low
    liner = ((rear + front) / 2, 0.0, _bed_floor(f) + 0.003)
    walls = [
        block(
            "box",
            ((rear + front) / 2, sign * side, middle),
            (front - rear, wall, tall),
            "body",
            f.body,
        )
        for sign in (-1, 1)
    ]
    gate = block("box", (rear + wall / 2, 0.0, middle), (wall, 2 * side, tall), "body", f.body)
    size = (front - rear, 2 * side, 0.006)
    return [*walls, gate, block("box", liner, size, "trim", _UNDERSIDE)]


def cabin(f: Frame) -> list[Part]:
    """Pillars and roof in the color of the body, and windows on its four faces."""
    rear, roof_rear, roof_front, front = f.cabin
    edge = f.height - _ROUNDING
    below = (0.97 if f.kind.boxy else 0.9) * f.body_half_width
    above = f.kind.roof * below
    belt = _ring(rear, front, below, f.belt)
    roof = _ring(roof_rear, roof_front, above, edge)
    crown = _ring(roof_rear + _ROUNDING, roof_front - 1.6 * _ROUNDING, above - 0.03, f.height)
    foot = belt - [0.0, 0.0, 0.04]
    shell = loft(np.stack([foot, belt, roof, crown]), "body", f.body)
    return [*pieces([shell], "cabin"), *_windows(f, belt, roof)]


def _ring(rear: float, front: float, half: float, z: float) -> Float[np.ndarray, "4 3"]:
    """Front right, front left, rear left, rear right, seen from the driver's seat."""
    return np.array([(front, -half, z), (front, half, z), (rear, half, z), (rear, -half, z)])


def _windows(f: Frame, belt: np.ndarray, roof: np.ndarray) -> list[Part]:
    def face(left: int, right: int) -> np.ndarray:
        return np.stack([belt[left], belt[right], roof[right], roof[left]])

    def glass(side: np.ndarray, across: tuple[float, float], up: tuple[float, float]) -> Part:
        return panel(side, across, up, "windows", f.glass)

    panes = list(f.kind.side_windows)
    if f.kind.cargo and f.jitter["panels"] > 0.6:
        panes = panes[-1:]
    windscreen = glass(face(0, 1), (0.07, 0.93), (0.08, 0.94))
    rear_window = glass(face(2, 3), (0.09, 0.91), (0.16, 0.90))
    sides = []
    for low, high in panes:
        sides.append(glass(face(3, 0), (low, high), (0.10, 0.90)))
        sides.append(glass(face(1, 2), (1 - high, 1 - low), (0.10, 0.90)))
    return [
        *pieces([windscreen], "windscreen"),
        *pieces([rear_window], "rear window"),
        *pieces(sides, "side window"),
    ]
