"""The kinds of cars: what each may be, and its proportions.

Lengths are fractions of the car's own length, counted from the rear (0) to the front (1), or of a
height that is named. So a kind keeps its looks whether it is long or short, high or low.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Proportions of one kind of car.

    lengths, heights: the values of these attributes that the kind allows. They mean the same for
        all kinds: a long car of any kind is longer than a short one of any other.
    width: half of it, world units.
    clearance: of the floor above the ground, as a fraction of the car's height.
    belt: the lower edge of the windows, as a fraction of the height above the floor.
    cabin: its rear at the belt, the roof's rear and front ends, the foot of the windscreen.
    nose, tail: heights of the two ends, as fractions of the belt's height above the floor.
    bulge: how far the bonnet arches above the straight line from windscreen to nose, 0 to 1.
    axles: where the rear and the front wheels are.
    taper: by how much the two ends are narrower than the middle.
    roof: its half width, as a fraction of that at the belt.
    side_windows: pieces of each side's glass, (from, to), 0 at its rear, 1 at its front.
    fenders: how far black ones stand out of the body, world units; 0 is none.
    wheels, shorter, lower: its wheels, length and height against those of a sedan.
    round_lights: headlights are discs.
    upright_lights: tail lights stand at the corners.
    boxy: upright walls, square edges.
    bed: open behind the cabin.
    spare_wheel: it hangs at the rear.
    cargo: some have no windows behind the driver's.
    rack, spoiler: it may have a roof rack; a spoiler on its tail.
    """

    lengths: tuple[str, ...]
    heights: tuple[str, ...]
    width: float
    clearance: float
    belt: float
    cabin: tuple[float, float, float, float]
    nose: float
    tail: float
    bulge: float = 0.5
    axles: tuple[float, float] = (0.20, 0.81)
    taper: float = 0.12
    roof: float = 0.80
    side_windows: tuple[tuple[float, float], ...] = ((0.06, 0.48), (0.55, 0.95))
    fenders: float = 0.0
    wheels: float = 1.0
    shorter: float = 1.0
    lower: float = 1.0
    round_lights: bool = False
    upright_lights: bool = False
    boxy: bool = False
    bed: bool = False
    spare_wheel: bool = False
    cargo: bool = False
    rack: bool = False
    spoiler: bool = False


_ANY = ("short", "medium", "long")

KINDS: dict[str, Kind] = {
    "sedan": Kind(
        _ANY,
        ("low", "medium"),
        width=0.34,
        clearance=0.13,
        belt=0.56,
        cabin=(0.12, 0.27, 0.53, 0.70),
        nose=0.76,
        tail=0.94,
        spoiler=True,
    ),
    "hatchback": Kind(
        _ANY,
        ("low", "medium"),
        width=0.335,
        clearance=0.14,
        belt=0.54,
        cabin=(0.015, 0.11, 0.55, 0.73),
        nose=0.74,
        tail=0.92,
        upright_lights=True,
        rack=True,
    ),
    "SUV": Kind(
        _ANY,
        ("medium", "high"),
        width=0.37,
        clearance=0.21,
        belt=0.56,
        cabin=(0.012, 0.06, 0.60, 0.73),
        nose=0.86,
        tail=0.96,
        bulge=0.8,
        taper=0.08,
        roof=0.86,
        side_windows=((0.04, 0.30), (0.34, 0.62), (0.66, 0.96)),
        wheels=1.15,
        fenders=0.012,
        upright_lights=True,
        rack=True,
    ),
    "jeep": Kind(
        _ANY,
        ("high",),
        width=0.36,
        clearance=0.25,
        belt=0.53,
        cabin=(0.012, 0.03, 0.61, 0.66),
        nose=0.97,
        tail=1.0,
        bulge=0.5,
        axles=(0.20, 0.83),
        taper=0.03,
        roof=0.95,
        side_windows=((0.05, 0.46), (0.54, 0.93)),
        wheels=1.18,
        fenders=0.045,
        shorter=0.95,
        round_lights=True,
        upright_lights=True,
        boxy=True,
        spare_wheel=True,
        rack=True,
    ),
    "pickup": Kind(
        _ANY,
        ("medium", "high"),
        width=0.36,
        clearance=0.20,
        belt=0.56,
        cabin=(0.42, 0.45, 0.61, 0.72),
        nose=0.88,
        tail=1.0,
        bulge=0.8,
        taper=0.06,
        roof=0.84,
        side_windows=((0.08, 0.94),),
        wheels=1.15,
        upright_lights=True,
        bed=True,
    ),
    "sports car": Kind(
        _ANY,
        ("low",),
        width=0.38,
        clearance=0.10,
        belt=0.60,
        cabin=(0.05, 0.30, 0.45, 0.66),
        nose=0.54,
        tail=0.96,
        bulge=0.75,
        taper=0.16,
        roof=0.72,
        side_windows=((0.30, 0.94),),
        lower=0.93,
        spoiler=True,
    ),
    "van": Kind(
        _ANY,
        ("medium", "high"),
        width=0.36,
        clearance=0.13,
        belt=0.52,
        cabin=(0.008, 0.02, 0.74, 0.90),
        nose=0.66,
        tail=1.0,
        axles=(0.19, 0.83),
        taper=0.06,
        roof=0.90,
        side_windows=((0.03, 0.31), (0.35, 0.64), (0.69, 0.96)),
        upright_lights=True,
        cargo=True,
        rack=True,
    ),
    "mini car": Kind(
        ("short",),
        ("medium", "high"),
        width=0.31,
        clearance=0.15,
        belt=0.50,
        cabin=(0.02, 0.15, 0.60, 0.80),
        nose=0.66,
        tail=0.86,
        bulge=0.9,
        axles=(0.20, 0.80),
        taper=0.16,
        roof=0.80,
        side_windows=((0.10, 0.40), (0.47, 0.94)),
        shorter=0.82,
        round_lights=True,
        rack=True,
    ),
}

LENGTHS: dict[str, tuple[float, float]] = {
    "short": (1.14, 1.24),
    "medium": (1.37, 1.46),
    "long": (1.60, 1.70),
}
"""World units, bumper to bumper, before the kind's factor."""

HEIGHTS: dict[str, tuple[float, float]] = {
    "low": (0.44, 0.48),
    "medium": (0.55, 0.60),
    "high": (0.70, 0.77),
}
"""World units, ground to roof, before the kind's factor."""

WHEEL_RADII: dict[str, tuple[float, float]] = {"small": (0.090, 0.100), "large": (0.128, 0.138)}
"""World units, before the kind's factor."""
