"""The measures of one car: attributes and jitter become lengths."""

from dataclasses import dataclass

from clipnerf.data.procedural.car_kinds import HEIGHTS, KINDS, LENGTHS, WHEEL_RADII, Kind
from clipnerf.data.procedural.colors import tint

Color = tuple[float, float, float]

BUMPER = 0.02  # how far bumpers stand out of the body
GLASS: dict[str, Color] = {"dark": (0.15, 0.19, 0.25), "light": (0.60, 0.74, 0.83)}


@dataclass(frozen=True)
class Frame:
    """Lengths in world units; the ground is z = 0, the middle of the car x = y = 0, front +X.

    end: x of the body's front end, -end of its rear end; bumpers stand out by BUMPER.
    half_width: of the whole car; body_half_width: without its fenders.
    floor, belt, nose, tail: z of the underside, of the windows' lower edge, of the two ends.
    cabin: x of its rear at the belt, of the roof's two ends, of the windscreen's foot.
    axles: x of the rear and the front wheels.
    """

    kind: Kind
    jitter: dict[str, float]
    end: float
    height: float
    half_width: float
    body_half_width: float
    floor: float
    belt: float
    nose: float
    tail: float
    cabin: tuple[float, float, float, float]
    axles: tuple[float, float]
    wheel_radius: float
    body: Color
    rims: Color
    glass: Color

    @property
    def arch_radius(self) -> float:
        """Of the openings around the wheels."""
        return 1.12 * self.wheel_radius

    def top(self, x: float) -> float:
        """z of the body's upper edge at x, bonnet, belt or boot."""
        rear, _, _, front = self.cabin
        if x > front:
            t = (x - front) / (self.end - front)
            # A bonnet is flat first, and falls off towards the nose.
            fall = t + self.kind.bulge * (t * t - t)
            return self.belt + (self.nose - self.belt) * fall
        if x < rear:
            return self.belt + (self.tail - self.belt) * (rear - x) / (rear + self.end)
        return self.belt

    def half_width_at(self, x: float) -> float:
        """Half the body's width at x, which shrinks in the outer fifths."""
        reach = (abs(x) / self.end - 0.6) / 0.4
        return self.body_half_width * (1 - self.kind.taper * max(0.0, reach) ** 2)


def frame(attributes: dict[str, str], jitter: dict[str, float]) -> Frame:
    """The measures of a car with these attributes (as in `cars.EDITS`) and this jitter."""
    kind, j = KINDS[attributes["body"]], jitter
    length = kind.shorter * _between(LENGTHS[attributes["length"]], j["length"])
    height = kind.lower * _between(HEIGHTS[attributes["height"]], j["height"])
    radii = {size: kind.wheels * _between(r, j["wheels"]) for size, r in WHEEL_RADII.items()}
    half_width = kind.width * _between((0.96, 1.04), j["width"])

    floor = height * kind.clearance * _between((0.85, 1.15), j["clearance"])
    # Room for large wheels even where they are small, so that wheels alone change with their size.
    belt = max(
        floor + (height - floor) * kind.belt * _between((0.95, 1.04), j["belt"]),
        2.12 * radii["large"] + 0.012,
    )
    rise = belt - floor
    rear, roof_rear, roof_front, front = kind.cabin
    back = 0.015 * j["cabin"] if rear > 0.03 else 0.0  # an upright rear stays at the very end
    windscreen = _between((-0.02, 0.02), j["windscreen"])
    slant = _between((-0.02, 0.02), j["roof"])
    end = length / 2 - BUMPER
    along = [
        (2 * fraction - 1) * end
        for fraction in (
            rear + back,
            roof_rear + back,
            roof_front + windscreen + slant,
            front + windscreen,
        )
    ]
    overhang = 1.12 * radii["large"] + 0.035
    axles = (
        max(kind.axles[0] * length, overhang) - length / 2,
        min(kind.axles[1] * length, length - overhang) - length / 2,
    )
    r, g, b = GLASS[attributes["windows"]]
    shine = _between((0.9, 1.1), j["glass"])
    return Frame(
        kind=kind,
        jitter=j,
        end=end,
        height=height,
        half_width=half_width,
        body_half_width=half_width - kind.fenders,
        floor=floor,
        belt=belt,
        nose=floor + rise * kind.nose * _between((0.95, 1.03), j["nose"]),
        tail=floor + rise * kind.tail,
        cabin=(along[0], along[1], along[2], along[3]),
        axles=axles,
        wheel_radius=radii[attributes["wheels"]],
        body=tint(attributes["color"], j, "body"),
        rims=tint(attributes["wheel_color"], j, "wheel"),
        glass=(shine * r, shine * g, shine * b),
    )


def _between(bounds: tuple[float, float], t: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * t
