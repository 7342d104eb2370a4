"""Does CLIP know an object again from another side? Pairwise distances of pictures by view.

The study that motivates the paper (CLIP-NeRF, Wang et al. 2022): different views of one object are
closer in CLIP's space than two different objects seen from the same view. Distances are
1 - cos of unit embeddings. Pure functions of embeddings: they know no CLIP, no file, no generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from clipnerf.errors import UsageError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BIN_DEG = 30
"""Width of a bin of the angle between two views."""
DISTANCE_DECIMALS = 9
"""Of float32 embeddings: what is left of the difference of equal pictures lies far below."""
ANGLE_DECIMALS = 4
"""So that an angle of 30 degrees is 30 on every machine."""
MAX_PICTURES = 4096
"""All pairs are held at once: 128 MiB a matrix at this many."""
RESAMPLES = 1000


@dataclass(frozen=True)
class ViewPairs:
    """All pairs that are compared, and what the nearest neighbors are.

    near: distances of pairs that show one object from two views; near_object: which object;
        near_angle_deg: the angle between the views.
    far: distances of pairs that show two objects from one view; far_objects: which two.
    nearest_same: share of pictures whose nearest picture from another view shows the same object;
        of several equally near ones each counts its part. Pictures without another view of their
        object are not asked.
    nearest_chance: that share for a neighbor chosen at random.
    """

    near: Float64[np.ndarray, " near"]
    near_object: Int64[np.ndarray, " near"]
    near_angle_deg: Float64[np.ndarray, " near"]
    far: Float64[np.ndarray, " far"]
    far_objects: Int64[np.ndarray, "2 far"]
    nearest_same: float
    nearest_chance: float


@dataclass(frozen=True)
class Spread:
    """Mean and QUANTILES of the distances of so many pairs."""

    pairs: int
    mean: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class AngleBin:
    """Pairs of views of one object at an angle of from_deg to below to_deg (180 included).

    closer: probability that such a pair is closer than a random pair of two objects in one view.
    """

    from_deg: int
    to_deg: int
    spread: Spread
    closer: float


@dataclass(frozen=True)
class ViewConsistency:
    """The study's figures.

    same_object: views of one object. same_view: two objects from one view.
    closer: probability that a random pair of the first kind is closer than one of the second, a
        tie counting half (the area under the ROC curve): 1 perfect, 0.5 none.
    closer_interval: its 95 % percentile interval over `resamples` bootstrap draws of the objects.
    by_angle: the first kind by the angle between the views; bins without pairs are left out.
    """

    same_object: Spread
    same_view: Spread
    closer: float
    closer_interval: tuple[float, float]
    resamples: int
    nearest_same: float
    nearest_chance: float
    by_angle: tuple[AngleBin, ...]

    def lines(self) -> list[str]:
        """Tables for a terminal."""
        percent = [f"{100 * q:.0f} %" for q in QUANTILES]
        lines = [_row("distance 1 - cos", "pairs", "mean", *percent)]
        for name, spread in (
            ("one object, two views", self.same_object),
            ("two objects, one view", self.same_view),
        ):
            lines.append(_row(name, *_cells(spread)))
        lines += ["", _row("angle between views", "pairs", "mean", *percent, "closer")]
        for each in self.by_angle:
            name = f"{each.from_deg} to {each.to_deg} degrees"
            lines.append(_row(name, *_cells(each.spread), f"{each.closer:.3f}"))
        low, high = self.closer_interval
        return [
            *lines,
            "",
            f"closer: {self.closer:.3f} ({low:.3f} to {high:.3f}, 95 % over objects): a pair of "
            "one object is closer than a pair of one view; 0.5 is chance",
            f"nearest: {self.nearest_same:.3f}: the nearest picture from another view shows the "
            f"same object; {self.nearest_chance:.3f} is chance",
        ]


def view_directions(
    azimuth_deg: Float[Tensor, " pictures"], elevation_deg: Float[Tensor, " pictures"]
) -> Float64[Tensor, "pictures 3"]:
    """Unit vectors from the object to the cameras; from straight above azimuth does not matter."""
    azimuth, elevation = azimuth_deg.double().deg2rad(), elevation_deg.double().deg2rad()
    level = elevation.cos()
    return torch.stack((level * azimuth.cos(), level * azimuth.sin(), elevation.sin()), dim=1)


def angles_between(directions: Float64[Tensor, "pictures 3"]) -> Float64[Tensor, "pictures _"]:
    """Angle between any two directions, degrees, 0 to 180."""
    cosines = (directions @ directions.mT).clamp(-1, 1)
    return cosines.acos().rad2deg().round(decimals=ANGLE_DECIMALS)


def view_pairs(
    features: Float[Tensor, "pictures embed"],
    objects: Int64[Tensor, " pictures"],
    directions: Float64[Tensor, "pictures 3"],
    same_view_deg: float = 1.0,
) -> ViewPairs:
    """All pairs of pictures that share an object or a view, but not both.

    Args:
        features: embeddings; their length does not matter.
        objects: the object that each picture shows, 0 to their number - 1.
        directions: unit vectors to the cameras.
        same_view_deg: largest angle between two pictures of one view, degrees.

    Raises:
        UsageError: more than MAX_PICTURES pictures; an embedding that is no number; no two views
            of any object; no view that shows two objects.
    """
    if len(features) > MAX_PICTURES:
        raise UsageError(
            f"{len(features)} pictures are too many to compare all pairs; allowed: up to "
            f"{MAX_PICTURES}; take fewer objects or views"
        )
    if not features.isfinite().all():
        raise UsageError("the CLIP gives embeddings that are no numbers; its weights are broken")
    # Of unit length to the last bit of a double: embeddings of a narrow cone differ by little.
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    distances = (1 - unit @ unit.mT).clamp(0, 2).round(decimals=DISTANCE_DECIMALS)
    angles = angles_between(directions)
    same, other_view = objects[:, None] == objects[None], angles > same_view_deg
    once = torch.ones_like(same).triu(1)
    near = (same & other_view & once).nonzero().mT
    far = (~same & ~other_view & once).nonzero().mT
    if not near.shape[1]:
        raise UsageError(
            f"no object is seen from two views more than {same_view_deg:g} degrees apart; the "
            "study needs several views of each object"
        )
    if not far.shape[1]:
        raise UsageError(
            f"no two objects are seen from one view (within {same_view_deg:g} degrees); the study "
            "needs objects seen from the same side; allow more with --same_view_deg"
        )
    nearest_same, chance = _nearest(distances, same, other_view)
    return ViewPairs(
        near=distances[near[0], near[1]].numpy(),
        near_object=objects[near[0]].numpy(),
        near_angle_deg=angles[near[0], near[1]].numpy(),
        far=distances[far[0], far[1]].numpy(),
        far_objects=objects[far].numpy(),
        nearest_same=nearest_same,
        nearest_chance=chance,
    )


def view_consistency(
    pairs: ViewPairs, resamples: int = RESAMPLES, seed: int = 0
) -> ViewConsistency:
    """The figures of the study.

    Args:
        resamples: bootstrap draws of the objects; they say how far the figure depends on which
            objects were looked at, and mean little for fewer than about ten objects.
        seed: of these draws.
    """
    by_angle = []
    number = np.minimum(pairs.near_angle_deg // BIN_DEG, 180 // BIN_DEG - 1).astype(int)
    for each in np.unique(number):
        some = pairs.near[number == each]
        start = int(each) * BIN_DEG
        by_angle.append(
            AngleBin(start, start + BIN_DEG, _spread(some), share_closer(some, pairs.far))
        )
    return ViewConsistency(
        same_object=_spread(pairs.near),
        same_view=_spread(pairs.far),
        closer=share_closer(pairs.near, pairs.far),
        closer_interval=_interval(pairs, resamples, seed),
        resamples=resamples,
        nearest_same=pairs.nearest_same,
        nearest_chance=pairs.nearest_chance,
        by_angle=tuple(by_angle),
    )


def share_closer(near: Float64[np.ndarray, " near"], far: Float64[np.ndarray, " far"]) -> float:
    """Probability that a random one of ``near`` is smaller than one of ``far``, ties half."""
    return _Ranks(near, far).share(np.ones(len(near)), np.ones(len(far)))


class _Ranks:
    """Where each of ``near`` stands among ``far``: sorted once, for any weights of the pairs."""

    def __init__(self, near: np.ndarray, far: np.ndarray) -> None:
        self._order = np.argsort(far, kind="stable")
        ranked = far[self._order]
        self._below = np.searchsorted(ranked, near, side="left")
        self._upto = np.searchsorted(ranked, near, side="right")

    def share(self, near_weights: np.ndarray, far_weights: np.ndarray) -> float:
        """Weighted probability; NaN where a side has no weight."""
        sums = np.concatenate(([0.0], np.cumsum(far_weights[self._order])))
        total = near_weights.sum() * sums[-1]
        if total == 0:
            return float("nan")
        wins = sums[-1] - (sums[self._below] + sums[self._upto]) / 2
        return float(near_weights @ wins / total)


def _interval(pairs: ViewPairs, resamples: int, seed: int) -> tuple[float, float]:
    # The object is what is drawn, not the pair: pairs of one object are anything but independent.
    objects = int(max(pairs.near_object.max(), pairs.far_objects.max())) + 1
    ranks = _Ranks(pairs.near, pairs.far)
    # RandomState's stream is frozen: the same draws with every version of NumPy.
    draw = np.random.RandomState(seed)
    shares = []
    for _ in range(resamples):
        times = np.bincount(draw.randint(0, objects, objects), minlength=objects).astype(float)
        first, second = pairs.far_objects
        shares.append(ranks.share(times[pairs.near_object], times[first] * times[second]))
    # A draw of one and the same object has no pair of two objects, and says nothing.
    low, high = np.nanquantile(shares, (0.025, 0.975))
    return float(low), float(high)


def _nearest(
    distances: Float64[Tensor, "pictures _"],
    same: Bool[Tensor, "pictures _"],
    other_view: Bool[Tensor, "pictures _"],
) -> tuple[float, float]:
    asked = (same & other_view).any(1)
    distances, same, other_view = distances[asked], same[asked], other_view[asked]
    nearest = distances.masked_fill(~other_view, float("inf")).amin(1, keepdim=True)
    tied = other_view & (distances == nearest)
    shares = [(some & same).sum(1) / some.sum(1) for some in (tied, other_view)]
    return float(shares[0].double().mean()), float(shares[1].double().mean())


def _spread(distances: np.ndarray) -> Spread:
    quantiles = tuple(float(q) for q in np.quantile(distances, QUANTILES))
    return Spread(len(distances), float(distances.mean()), quantiles)


def _cells(spread: Spread) -> list[str]:
    return [f"{spread.pairs:,}", *(f"{value:.3g}" for value in (spread.mean, *spread.quantiles))]


def _row(name: str, *cells: str) -> str:
    return f"{name:<22}" + "".join(f"{cell:>9}" for cell in cells)
