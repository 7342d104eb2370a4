"""The occupancy grid: it may keep too much, and never skips what is there."""

import math

import pytest
import torch

from clipnerf.rendering.occupancy import EMPTY_SHARE, OccupancyGrid

BOX = torch.tensor([0.5, 0.6, 0.9])


def build(inside, resolution: int = 20, sigma: float = 5.0) -> OccupancyGrid:
    def density(points):
        return torch.where(inside(points), sigma, 0.0)

    return OccupancyGrid.build(density, BOX, resolution)


def contains(grid: OccupancyGrid, points: torch.Tensor) -> torch.Tensor:
    """Points as the starts of rays of no length."""
    return grid.along(points, torch.ones_like(points), torch.zeros(len(points), 1))[:, 0]


def random_points(count: int = 4000) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return (torch.rand(count, 3, generator=draw) * 2 - 1) * BOX


def test_a_ball_is_kept_whole_and_far_from_it_is_skipped():
    centre, radius = torch.tensor([0.1, -0.2, 0.3]), 0.25
    grid = build(lambda points: (points - centre).norm(dim=-1) < radius)
    points = random_points()
    distance = (points - centre).norm(dim=-1)
    kept = contains(grid, points)
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
    assert int(inside.sum()) > 50 and bool(contains(grid, points)[inside].all())


def test_points_outside_the_box_count_with_its_border():
    grid = build(lambda points: points[..., 2] > 0.7)
    outside = torch.tensor([[0.0, 0.0, 5.0], [9.0, 0.0, 0.85], [0.0, 0.0, -5.0]])
    assert contains(grid, outside).tolist() == [True, True, False]


@pytest.mark.parametrize("box", [BOX, torch.tensor([0.65, 0.65, 0.9]), torch.ones(3)])
def test_fog_counts_as_empty_if_it_cannot_be_seen_along_any_path(box):
    longest = 2 * float(box.norm())
    limit = EMPTY_SHARE / longest
    assert 1 - math.exp(-limit * longest) <= EMPTY_SHARE <= 0.25 / 255

    def fog(sigma):
        return lambda points: torch.full(points.shape[:-1], sigma)

    assert not OccupancyGrid.build(fog(0.999 * limit), box, 8).occupied.any()
    assert OccupancyGrid.build(fog(1.001 * limit), box, 8).occupied.all()


@pytest.mark.parametrize("direction", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("offset", [0.0, 0.0071, 0.0133, 0.3])
def test_a_sheet_of_no_thickness_is_found_by_the_fog_around_it_at_40_cells(direction, offset):
    """Densities fall off by e within 4.5 % of a cell; a threshold of 0.01 would lose some."""
    normal = torch.nn.functional.normalize(torch.tensor(direction), dim=0)
    cell = float((normal * 2 * BOX / 40).max())

    def density(points):
        return 100 * torch.exp(-((points @ normal) - offset).abs() / (0.045 * cell))

    grid = OccupancyGrid.build(density, BOX, 40)
    points = random_points(200_000)
    visible = density(points) > 0.01
    assert int(visible.sum()) > 500 and bool(contains(grid, points)[visible].all())
    assert float(grid.occupied.float().mean()) < 0.25


def test_a_rod_as_thick_as_a_cell_is_never_lost_at_40_cells():
    points = random_points(100_000)
    for x, y in torch.rand(8, 2, generator=torch.Generator().manual_seed(1)).tolist():
        middle, half = torch.tensor([x - 0.5, y - 0.5]) * 0.9, BOX[:2] / 40

        def inside(points, middle=middle, half=half):
            return ((points[..., :2] - middle).abs() <= half + 1e-6).all(dim=-1)

        assert int(inside(points).sum()) > 20
        assert bool(contains(build(inside, 40), points)[inside(points)].all())


def test_points_along_rays_are_the_points():
    grid = build(lambda points: (points - 0.1).norm(dim=-1) < 0.3)
    draw = torch.Generator().manual_seed(2)
    origins = torch.tensor([2.0, -1.0, 0.5]) + torch.rand(50, 3, generator=draw) * 0.2
    directions = torch.nn.functional.normalize(
        torch.rand(50, 3, generator=draw) - 0.5 - origins, dim=-1
    )
    t = torch.rand(50, 30, generator=draw) * 3 + 0.5
    points = origins[:, None] + t[..., None] * directions[:, None]
    along = grid.along(origins, directions, t)
    differs = along.flatten() != contains(grid, points.view(-1, 3))
    assert 0.05 < float(along.float().mean()) < 0.95
    assert float(differs.float().mean()) < 0.002  # rounding, on the border of a cell


def test_axes_are_not_mixed_up():
    grid = build(lambda points: (points[..., 0] > 0.3) & (points[..., 1] < -0.3))
    points = torch.tensor([[0.45, -0.5, 0.0], [-0.45, 0.5, 0.0], [0.45, 0.5, 0.8]])
    assert contains(grid, points).tolist() == [True, False, False]
