"""The plot of the study of view consistency: two histograms, and the curve over the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from clipnerf.evaluation.views.consistency import ViewConsistency

WIDTH, HEIGHT = 1200, 470
SCALE = 2
"""Drawn larger and reduced, as PIL does not smooth lines."""
BINS = 40
SMALLEST = 1e-6
"""An axis is at least so long, though all pictures be equal."""
NEAR, FAR = (31, 98, 171), (214, 96, 20)
"""Blue: one object, two views. Orange: two objects, one view."""
BLACK, GRID = (40, 40, 40), (225, 225, 225)
FONT = 15

Number = float | int


def view_plot(
    near: Float64[np.ndarray, " near"], far: Float64[np.ndarray, " far"], figures: ViewConsistency
) -> UInt8[np.ndarray, "height width 3"]:
    """Left: how the distances of both kinds of pairs are distributed. Right: those of one object by
    the angle between its views, mean and middle half, beside the same of two objects in one view.

    Args:
        near: distances of pairs of one object.
        far: distances of pairs of one view.
        figures: made of these pairs.
    """
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    draw = ImageDraw.Draw(image, "RGBA")
    _histograms(draw, near, far, figures)
    _curve(draw, figures)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class _Axes:
    """A rectangle of the picture (pixels, before SCALE) and the numbers at its edges."""

    draw: ImageDraw.ImageDraw
    left: int
    right: int
    x_end: float
    y_end: float
    top: int = 92
    bottom: int = HEIGHT - 58

    def point(self, x: Number, y: Number) -> tuple[float, float]:
        """Where a pair of numbers is, in pixels of the drawing."""
        across = self.left + x / self.x_end * (self.right - self.left)
        up = self.bottom - y / self.y_end * (self.bottom - self.top)
        return across * SCALE, up * SCALE

    def line(self, *points: tuple[Number, Number], color: tuple[int, ...], width: int = 1) -> None:
        """A line through points given as numbers."""
        self.draw.line([self.point(*p) for p in points], color, width * SCALE, joint="curve")

    def text(self, x: Number, y: Number, text: str, color: tuple[int, ...], anchor: str) -> None:
        """Words at pixels (not numbers)."""
        font = ImageFont.load_default(size=FONT * SCALE)
        self.draw.text((x * SCALE, y * SCALE), text, color, font, anchor)

    def frame(self, title: str, x_label: str, y_label: str, x_step: Number) -> None:
        """Grid, ticks and words; x_step: between the ticks."""
        for x in np.arange(0, self.x_end * 1.0001, x_step).tolist():
            self.line((x, 0.0), (x, self.y_end), color=GRID)
            self.text(self.point(x, 0)[0] / SCALE, self.bottom + 5, f"{x:g}", BLACK, "ma")
        for y in np.arange(0, self.y_end * 1.0001, _step(self.y_end)).tolist():
            self.line((0.0, y), (self.x_end, y), color=GRID)
            self.text(self.left - 7, self.point(0, y)[1] / SCALE, f"{y:g}", BLACK, "rm")
        self.line((0.0, 0.0), (self.x_end, 0.0), color=BLACK)
        middle = (self.left + self.right) / 2
        self.text(middle, self.bottom + 28, x_label, BLACK, "ma")
        self.text(self.left, 10, title, BLACK, "la")
        self.text(self.left - 45, self.top - 24, y_label, BLACK, "ls")

    def legend(self, near: str, far: str, apart: int) -> None:
        """What the colours are, below the title; apart: where the second word begins, pixels."""
        self.text(self.left, 34, near, NEAR, "la")
        self.text(self.left + apart, 34, far, FAR, "la")


def _histograms(
    draw: ImageDraw.ImageDraw, near: np.ndarray, far: np.ndarray, figures: ViewConsistency
) -> None:
    end = _round_up(max(float(np.quantile(both, 0.995)) for both in (near, far)))
    edges = np.linspace(0, end, BINS + 1).tolist()
    # What lies beyond the last edge is counted in the last bin: the shares sum to 100 %.
    shares = [
        100 * np.histogram(both.clip(0, end), BINS, (0, end))[0] / len(both) for both in (near, far)
    ]
    axes = _Axes(draw, 75, WIDTH // 2 - 30, end, _round_up(float(np.max(shares))))
    low, high = figures.closer_interval
    axes.frame(
        f"The pair of one object is the closer one: {figures.closer:.3f} ({low:.3f} to {high:.3f})",
        "distance, 1 - cos",
        "% of pairs",
        _step(end),
    )
    axes.legend(
        f"one object, two views: mean {figures.same_object.mean:.3g}",
        f"two objects, one view: mean {figures.same_view.mean:.3g}",
        265,
    )
    for share, color in zip(shares, (NEAR, FAR), strict=True):
        steps = [(edges[i + k], float(share[i])) for i in range(BINS) for k in (0, 1)]
        outline = [(0.0, 0.0), *steps, (end, 0.0)]
        draw.polygon([axes.point(*p) for p in outline], (*color, 70))
        axes.line(*outline, color=color, width=2)


def _curve(draw: ImageDraw.ImageDraw, figures: ViewConsistency) -> None:
    bins, far = figures.by_angle, figures.same_view
    # of QUANTILES, the second and the last but one: the middle half
    low, high = far.quantiles[1], far.quantiles[-2]
    end = _round_up(1.1 * max(high, *(each.spread.quantiles[-2] for each in bins)))
    axes = _Axes(draw, WIDTH // 2 + 75, WIDTH - 30, 180.0, end)
    axes.frame(
        "How far views of one object are apart: mean and middle half",
        "angle between the views, degrees",
        "distance",
        30.0,
    )
    axes.legend("one object, two views", "two objects, one view", 185)
    draw.rectangle((*axes.point(0, high), *axes.point(180, low)), (*FAR, 45))
    axes.line((0.0, far.mean), (180.0, far.mean), color=FAR, width=2)
    for each in bins:
        corners = [(each.from_deg + 2, each.spread.quantiles[-2]),
                   (each.to_deg - 2, each.spread.quantiles[1])]  # fmt: skip
        draw.rectangle((*axes.point(*corners[0]), *axes.point(*corners[1])), (*NEAR, 60))
    means = [((each.from_deg + each.to_deg) / 2, each.spread.mean) for each in bins]
    axes.line(*means, color=NEAR, width=2)
    for mean in means:
        x, y = axes.point(*mean)
        draw.ellipse((x - 4 * SCALE, y - 4 * SCALE, x + 4 * SCALE, y + 4 * SCALE), NEAR)


def _step(end: float) -> float:
    """A round distance between ticks: four to eight of them."""
    rough = max(end, SMALLEST) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return max(factor * power for factor in (1, 2, 2.5, 5) if factor * power <= rough * 1.0001)


def _round_up(end: float) -> float:
    step = _step(end)
    return max(math.ceil(max(end, SMALLEST) / step - 1e-6), 1) * step
