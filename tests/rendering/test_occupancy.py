"""The occupancy grid: it may keep too much, and never skips what is there."""

import pytest
import torch

from clipnerf.rendering.occupancy import OccupancyGrid

BOX = torch.tensor([0.5, 0.6, 0.9])


def build(inside, resolution: int = 20, sigma: float = 5.0) -> OccupancyGrid:
    def density(points):
        return torch.where(inside(points), sigma, 0.0)

    return OccupancyGrid.build(density, BOX, resolution)


def random_points(count: int = 4000) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return (torch.rand(count, 3, generator=draw) * 2 - 1) * BOX


def test_a_ball_is_kept_whole_and_far_from_it_is_skipped():
    centre, radius = torch.tensor([0.1, -0.2, 0.3]), 0.25
    grid = build(lambda points: (points - centre).norm(dim=-1) < radius)
    points = random_points()
    distance = (points - centre).norm(dim=-1)
    kept = grid.contains(points)
    assert bool(kept[distance < radius].all())
    two_cells = 2 * float((2 * BOX / 20).norm())
    assert not bool(kept[distance > radius + two_cells].any())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("offset", [-0.37, -0.01, 0.0, 0.213])
def test_a_plate_as_thick_as_a_cell_is_never_lost(axis, offset):
    thickness = float(2 * BOX[axis] / 20)
    grid = build(lambda points: (points[..., axis] - offset).abs() <= thickness / 2 + 1e-6)
    points = random_points()
    inside = (points[:, axis] - offset).abs() < thickness / 2
    assert int(inside.sum()) > 50 and bool(grid.contains(points)[inside].all())


def test_points_outside_the_box_count_with_its_border():
    grid = build(lambda points: points[..., 2] > 0.7)
    outside = torch.tensor([[0.0, 0.0, 5.0], [9.0, 0.0, 0.85], [0.0, 0.0, -5.0]])
    assert grid.contains(outside).tolist() == [True, True, False]


def test_what_is_thinner_than_the_threshold_counts_as_empty():
    def everywhere(points):
        return points[..., 0] < 9

    assert not build(everywhere, sigma=0.009).occupied.any()
    assert build(everywhere, sigma=0.011).occupied.all()


def test_axes_are_not_mixed_up():
    grid = build(lambda points: (points[..., 0] > 0.3) & (points[..., 1] < -0.3))
    points = torch.tensor([[0.45, -0.5, 0.0], [-0.45, 0.5, 0.0], [0.45, 0.5, 0.8]])
    assert grid.contains(points).tolist() == [True, False, False]
