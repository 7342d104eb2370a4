"""How alike two sets of features are: quality and variety, as pure functions on tensors.

All take features of real pictures first and of generated pictures second, compute in double
precision on the features' device, and return Python floats. Every figure depends on the number of
features: compare only figures that were computed with the same numbers.

- Frechet distance: Heusel et al. 2017 (the FID, where the features are Inception's).
- Kernel distance: Binkowski et al. 2018 (the KID, where the features are Inception's).
- Precision and recall: Kynkaanniemi et al. 2019, k = 3 as in the paper.
- Density and coverage: Naeem et al. 2020, k = 5 as in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CHUNK = 2048
"""Rows of a distance matrix that are held at a time."""


@dataclass(frozen=True)
class PrecisionRecall:
    """precision: share of the generated that lie among the real; recall: the other way round."""

    precision: float
    recall: float


@dataclass(frozen=True)
class DensityCoverage:
    """density: real neighborhoods a generated feature lies in, over k (1 for equal sets, can be
    more); coverage: share of real neighborhoods with a generated feature in them."""

    density: float
    coverage: float


def frechet_distance(
    real: Float[Tensor, "reals features"], generated: Float[Tensor, "fakes features"]
) -> float:
    """Squared Frechet distance of the two Gaussians with the features' means and covariances:
    |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    Biased upwards for few features: equal distributions give about features / reals, times the
    features' variance.

    Raises:
        ValueError: fewer than two features on a side.
    """
    _check(real, generated, least=2)
    mean1, root1 = _moments(real)
    mean2, root2 = _moments(generated)
    # With S = A A^T the trace of (S1 S2)^(1/2) is the sum of the singular values of A1^T A2. It
    # needs no square root of a matrix, which few features would make singular.
    cross = torch.linalg.svdvals(root1.mT @ root2).sum()
    spread = root1.square().sum() + root2.square().sum() - 2 * cross
    return max(float((mean1 - mean2).square().sum() + spread), 0.0)


def kernel_distance(
    real: Float[Tensor, "reals features"],
    generated: Float[Tensor, "fakes features"],
    gamma: float | None = None,
) -> float:
    """Squared maximum mean discrepancy with the kernel (gamma x.y + 1)^3, without bias: zero on
    average for equal distributions, and so sometimes below zero.

    Args:
        gamma: 1 / number of features where None, as in the KID; 1 suits features of unit length.
    Raises:
        ValueError: fewer than two features on a side.
    """
    _check(real, generated, least=2)
    gamma = 1.0 / real.shape[1] if gamma is None else gamma

    def total(x: Tensor, y: Tensor) -> float:
        return sum(float((gamma * (rows @ y.mT) + 1).pow(3).sum()) for rows in x.split(CHUNK))

    def without_self(x: Tensor) -> float:
        own = float((gamma * x.square().sum(1) + 1).pow(3).sum())
        return (total(x, x) - own) / (len(x) * (len(x) - 1))

    x, y = real.double(), generated.double()
    return without_self(x) + without_self(y) - 2 * total(x, y) / (len(x) * len(y))


def precision_recall(
    real: Float[Tensor, "reals features"], generated: Float[Tensor, "fakes features"], k: int = 3
) -> PrecisionRecall:
    """Whether features lie within the k-th nearest neighbor's distance of any of the other set.

    Raises:
        ValueError: k features or fewer on a side.
    """
    _check(real, generated, least=k + 1)
    real, generated = _centered(real, generated)
    precision = _inside(generated, real, neighbor_distances(real, k)).any(1)
    recall = _inside(real, generated, neighbor_distances(generated, k)).any(1)
    return PrecisionRecall(float(precision.double().mean()), float(recall.double().mean()))


def density_coverage(
    real: Float[Tensor, "reals features"], generated: Float[Tensor, "fakes features"], k: int = 5
) -> DensityCoverage:
    """Precision and recall that one outlier cannot spoil: only real neighborhoods count.

    Coverage of equal distributions is 1 - (reals / (reals + fakes)) ^ k about, 0.97 for equal
    numbers and k = 5.

    Raises:
        ValueError: k features or fewer on a side.
    """
    _check(real, generated, least=k + 1)
    real, generated = _centered(real, generated)
    inside = _inside(generated, real, neighbor_distances(real, k))
    density = float(inside.double().sum()) / (k * len(generated))
    return DensityCoverage(density, float(inside.any(0).double().mean()))


def neighbor_distances(features: Float[Tensor, "rows features"], k: int) -> Float[Tensor, " rows"]:
    """Distance of every feature to its k-th nearest neighbor, itself not counted."""
    parts = []
    for start in range(0, len(features), CHUNK):
        distances = _distances(features[start : start + CHUNK], features)
        # the nearest is the feature itself; by its place, as rounding may order copies otherwise
        rows = torch.arange(len(distances), device=features.device)
        distances[rows, rows + start] = math.inf
        parts.append(distances.kthvalue(k, dim=1).values)
    return torch.cat(parts)


def _inside(points: Tensor, centers: Tensor, radii: Tensor) -> Bool[Tensor, "points centers"]:
    # the distance of x and y and that of y and x may differ in the last bits
    reach = radii * (1 + 1e-9)
    parts = [_distances(rows, centers) <= reach for rows in points.split(CHUNK)]
    return torch.cat(parts)


def _distances(
    x: Float[Tensor, "rows features"], y: Float[Tensor, "columns features"]
) -> Float[Tensor, "rows columns"]:
    # float64, so that the fast form by a matrix product loses nothing that matters
    return torch.cdist(x.double(), y.double(), compute_mode="use_mm_for_euclid_dist")


def _centered(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    middle = real.double().mean(0)
    return real.double() - middle, generated.double() - middle


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and a matrix A with A A^T the (unbiased) covariance."""
    x = features.double()
    mean = x.mean(0)
    return mean, (x - mean).mT / math.sqrt(len(x) - 1)


def _check(real: Tensor, generated: Tensor, least: int) -> None:
    for name, features in (("real", real), ("generated", generated)):
        if len(features) < least:
            raise ValueError(f"{len(features)} {name} features; at least {least} are needed")
