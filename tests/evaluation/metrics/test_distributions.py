"""Metrics against closed forms: Gaussians, identical sets, disjoint sets, counted points."""

import pytest
import torch

from clipnerf.evaluation.metrics.distributions import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    neighbor_distances,
    precision_recall,
)


def normal(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def whitened(count: int, dim: int, seed: int) -> torch.Tensor:
    """Features whose sample mean is exactly 0 and sample covariance exactly the identity."""
    x = normal(count, dim, seed).double()
    x = x - x.mean(0)
    covariance = x.mT @ x / (count - 1)
    return x @ torch.linalg.inv(torch.linalg.cholesky(covariance)).mT


def test_frechet_of_two_gaussians_is_the_closed_form():
    scale1 = torch.tensor([1.0, 2.0, 0.5]).double()
    scale2 = torch.tensor([3.0, 1.0, 0.5]).double()
    shift = torch.tensor([0.3, -1.0, 2.0]).double()
    x, y = whitened(400, 3, 0) * scale1, whitened(500, 3, 1) * scale2 + shift
    # diagonal covariances commute: |m|^2 + sum (s1 - s2)^2
    expected = float(shift.square().sum() + (scale1 - scale2).square().sum())
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    x = whitened(300, 4, 0) @ normal(4, 4, 7).double()
    y = whitened(300, 4, 1) @ normal(4, 4, 8).double()
    s1, s2 = torch.cov(x.mT), torch.cov(y.mT)
    root = torch.linalg.eigvals(s1 @ s2).real.clamp(min=0).sqrt().sum()
    expected = float(s1.trace() + s2.trace() - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_frechet_with_fewer_features_than_dimensions():
    x, y = normal(20, 50, 0), normal(30, 50, 1) + 1
    assert frechet_distance(x, x.clone()) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(x, x + 2) == pytest.approx(4 * 50, rel=1e-6)


def test_kernel_distance_is_the_slow_sum():
    x, y = normal(7, 4, 0), normal(9, 4, 1) + 0.5

    def kernel(a, b):
        return float((a @ b / 4 + 1) ** 3)

    expected = 0.0
    for z in (x, y):
        pairs = [kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
        expected += sum(pairs) / len(pairs)
    cross = [kernel(a, b) for a in x for b in y]
    expected -= 2 * sum(cross) / len(cross)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_kernel_distance_has_no_bias_and_sees_a_shift():
    same = [kernel_distance(normal(60, 3, s), normal(60, 3, 1000 + s)) for s in range(60)]
    assert min(same) < 0 < max(same)
    assert abs(sum(same) / len(same)) < 0.03
    assert kernel_distance(normal(60, 3, 0), normal(60, 3, 1) + 1) > 1


def test_identical_sets_are_perfect():
    x = normal(200, 6, 0)
    both = precision_recall(x, x.clone())
    assert (both.precision, both.recall) == (1.0, 1.0)
    assert density_coverage(x, x.clone()).coverage == 1.0
    # each feature lies in its own ball, and in those of the k that count it a neighbor on average
    assert density_coverage(x, x.clone(), k=5).density == pytest.approx(6 / 5, rel=1e-9)


def test_disjoint_sets_are_worth_nothing():
    x, y = normal(100, 6, 0), normal(100, 6, 1) + 100
    both, more = precision_recall(x, y), density_coverage(x, y)
    assert (both.precision, both.recall, more.density, more.coverage) == (0, 0, 0, 0)


def test_same_distribution_reaches_the_expected_coverage():
    result = density_coverage(normal(1500, 4, 0), normal(1500, 4, 1), k=5)
    assert result.coverage == pytest.approx(1 - 0.5**5, abs=0.015)
    assert result.density == pytest.approx(1.0, abs=0.08)


def test_a_dropped_half_lowers_recall_and_coverage_but_not_precision():
    real = torch.cat((normal(300, 4, 0), normal(300, 4, 1) + 20))
    generated = normal(600, 4, 2)
    both, more = precision_recall(real, generated), density_coverage(real, generated)
    assert both.precision > 0.9 and both.recall < 0.52
    assert 0.45 < more.coverage <= 0.5


def test_points_on_a_line_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])
    assert neighbor_distances(real, 1).tolist() == [1, 1, 2, 7]
    generated = torch.tensor([[0.5], [4.5], [30.0]])
    # balls of the real: [-1, 1], [0, 2], [1, 5], [3, 17]
    result = density_coverage(real, generated, k=1)
    assert result.density == pytest.approx((2 + 2 + 0) / 3)
    assert result.coverage == pytest.approx(1.0)
    both = precision_recall(real, generated, k=1)
    # balls of the generated: [-3.5, 4.5], [0.5, 8.5], [4.5, 55.5]
    assert both.precision == pytest.approx(2 / 3) and both.recall == pytest.approx(1.0)


def test_collapse_to_one_point_is_seen():
    real = normal(200, 4, 0)
    generated = real[:1].repeat(200, 1)
    both, more = precision_recall(real, generated), density_coverage(real, generated)
    assert both.precision == 1.0 and both.recall < 0.01 and more.coverage < 0.1


def test_too_few_features_are_refused():
    with pytest.raises(ValueError, match="3 real features; at least 4"):
        precision_recall(normal(3, 2, 0), normal(9, 2, 1))
    with pytest.raises(ValueError, match="1 generated features; at least 2"):
        frechet_distance(normal(9, 2, 0), normal(1, 2, 1))
