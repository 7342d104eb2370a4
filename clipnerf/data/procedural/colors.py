"""Colors that captions can name, and their shades.

A name stands for a range of shades: jitter moves each object's color within it, alike for all
parts of one family.
"""

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.98, 0.52, 0.06),
    "yellow": (0.97, 0.86, 0.15),
    "green": (0.13, 0.62, 0.22),
    "blue": (0.12, 0.32, 0.88),
    "purple": (0.50, 0.17, 0.72),
    "pink": (0.98, 0.55, 0.76),
    "brown": (0.40, 0.23, 0.11),
    "black": (0.11, 0.11, 0.12),
    "gray": (0.58, 0.59, 0.61),
}
"""No white: it would vanish before the white background."""


def tint(name: str, jitter: dict[str, float], family: str) -> tuple[float, float, float]:
    """A shade of the named color, RGB in [0, 1], alike for all parts of one family.

    jitter: holds "FAMILY_red", "FAMILY_green" and "FAMILY_blue", each in [0, 1).
    """
    shift = [jitter[f"{family}_{c}"] - 0.5 for c in ("red", "green", "blue")]
    light = 1 + 0.14 * (shift[0] + shift[1] + shift[2]) / 1.5
    r, g, b = (
        min(1.0, max(0.03, c * light + (0.02 + 0.06 * c) * s))
        for c, s in zip(COLORS[name], shift, strict=True)
    )
    return r, g, b
