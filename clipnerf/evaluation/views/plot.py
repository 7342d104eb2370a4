"""The plot of the study of view consistency: two histograms, and the curve over the angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, UInt8

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clipnerf.evaluation.views.consistency import ViewConsistency

WIDTH, HEIGHT = 1200, 470
BINS = 40
SMALLEST = 1e-6
"""An axis is at least so long, though all pictures be equal."""
NEAR, FAR = "#1f62ab", "#d66014"
"""Blue: one object, two views. Orange: two objects, one view."""
TITLE: dict[str, Any] = {"loc": "left", "pad": 28, "fontsize": 10.5}


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
    # matplotlib takes a second to import
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"):  # whatever the user's matplotlibrc says
        canvas = FigureCanvasAgg(Figure((WIDTH / 100, HEIGHT / 100), dpi=100))
        left, right = canvas.figure.subplots(1, 2)
        canvas.figure.subplots_adjust(0.06, 0.12, 0.98, 0.84, wspace=0.17)
        _histograms(left, near, far, figures)
        _curve(right, figures)
        for axes in (left, right):
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0, 1),
                ncols=2,
                frameon=False,
                borderaxespad=0.3,
                columnspacing=1,
                handlelength=1.5,
            )
            axes.grid(color="0.88")
            axes.set_axisbelow(True)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _histograms(axes: Axes, near: np.ndarray, far: np.ndarray, figures: ViewConsistency) -> None:
    end = max(SMALLEST, *(float(np.quantile(both, 0.995)) for both in (near, far)))
    for distances, color, words in (
        (near, NEAR, f"one object, two views: mean {figures.same_object.mean:.3g}"),
        (far, FAR, f"two objects, one view: mean {figures.same_view.mean:.3g}"),
    ):
        # What lies beyond the last edge is counted in the last bin: the shares sum to 100 %.
        counts, edges = np.histogram(distances.clip(0, end), BINS, (0, end))
        share = 100 * counts / len(distances)
        axes.stairs(share, edges, fill=True, color=color, alpha=0.27)
        axes.stairs(share, edges, color=color, linewidth=2, label=words)
    low, high = figures.closer_interval
    axes.set_title(
        f"The pair of one object is the closer one: {figures.closer:.3f} ({low:.3f} to {high:.3f})",
        **TITLE,
    )
    axes.set(xlabel="distance, 1 - cos", ylabel="% of pairs", xlim=(0, end), ylim=(0, None))


def _curve(axes: Axes, figures: ViewConsistency) -> None:
    bins, far = figures.by_angle, figures.same_view
    # of QUANTILES, the second and the last but one: the middle half
    axes.axhspan(far.quantiles[1], far.quantiles[-2], color=FAR, alpha=0.18)
    for each in bins:
        low, high = each.spread.quantiles[1], each.spread.quantiles[-2]
        axes.fill_between((each.from_deg + 2, each.to_deg - 2), low, high, color=NEAR, alpha=0.24)
    middles = [(each.from_deg + each.to_deg) / 2 for each in bins]
    means = [each.spread.mean for each in bins]
    line: dict[str, Any] = {"linewidth": 2, "clip_on": False, "zorder": 3}  # also seen at 0
    axes.plot(middles, means, "o-", color=NEAR, label="one object, two views", **line)
    axes.axhline(far.mean, color=FAR, label="two objects, one view", **line)
    axes.set_title("How far views of one object are apart: mean and middle half", **TITLE)
    axes.set(xlabel="angle between the views, degrees", ylabel="distance")
    end = 1.1 * max(SMALLEST, far.quantiles[-2], *(each.spread.quantiles[-2] for each in bins))
    axes.set(xlim=(0, 180), ylim=(0, end), xticks=range(0, 181, 30))
