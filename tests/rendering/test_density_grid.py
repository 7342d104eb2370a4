"""The first pass: what it calls empty is empty, and where it puts samples light is stopped."""

import math

import pytest
import torch

from clipnerf.rendering.density_grid import (
    EMPTY_SHARE,
    DensityGrid,
    cell_values,
    grid_cells,
    place_samples,
)
from clipnerf.rendering.rays import Rays, box_interval
from clipnerf.rendering.volume import render_weights

BOX = torch.tensor([0.5, 0.6, 0.9])


def build(inside, resolution: int = 20, sigma: float = 5.0) -> DensityGrid:
    def density(points):
        return torch.where(inside(points), sigma, 0.0)

    return DensityGrid.build(density, BOX, [resolution] * 3)


def contains(grid: DensityGrid, points: torch.Tensor) -> torch.Tensor:
    """Points as the starts of rays of no length."""
    start = torch.zeros(len(points), 1)
    return cell_values(grid.occupied()[0], BOX, points, torch.ones_like(points), start)[:, 0]


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

    assert not DensityGrid.build(fog(0.999 * limit), box, [8] * 3).occupied().any()
    assert DensityGrid.build(fog(1.001 * limit), box, [8] * 3).occupied().all()


@pytest.mark.parametrize("direction", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("offset", [0.0, 0.0071, 0.0133, 0.3])
def test_a_sheet_of_no_thickness_is_found_by_the_fog_around_it_at_40_cells(direction, offset):
    """Densities fall off by e within 4.5 % of a cell; a threshold of 0.01 would lose some."""
    normal = torch.nn.functional.normalize(torch.tensor(direction), dim=0)
    cell = float((normal * 2 * BOX / 40).max())

    def density(points):
        return 100 * torch.exp(-((points @ normal) - offset).abs() / (0.045 * cell))

    grid = DensityGrid.build(density, BOX, [40] * 3)
    points = random_points(200_000)
    visible = density(points) > 0.01
    assert int(visible.sum()) > 500 and bool(contains(grid, points)[visible].all())
    assert float(grid.occupied().float().mean()) < 0.25


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
    along = cell_values(grid.occupied()[0], BOX, origins, directions, t)
    differs = along.flatten() != contains(grid, points.view(-1, 3))
    assert 0.05 < float(along.float().mean()) < 0.95
    assert float(differs.float().mean()) < 0.002  # rounding, on the border of a cell


def test_axes_are_not_mixed_up():
    grid = build(lambda points: (points[..., 0] > 0.3) & (points[..., 1] < -0.3))
    points = torch.tensor([[0.45, -0.5, 0.0], [-0.45, 0.5, 0.0], [0.45, 0.5, 0.8]])
    assert contains(grid, points).tolist() == [True, False, False]


CUBE = torch.ones(3)


def rays_to_the_middle(count: int = 500, spread: float = 0.6, seed: int = 0) -> Rays:
    """From a distance of 4, all around, through points near the origin."""
    draw = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(1, count, 3, generator=draw), dim=-1) * 4
    aims = (torch.rand(1, count, 3, generator=draw) * 2 - 1) * spread
    directions = torch.nn.functional.normalize(aims - origins, dim=-1)
    return Rays(origins, directions, *box_interval(origins, directions, CUBE))


def points_along(rays: Rays, t: torch.Tensor) -> torch.Tensor:
    return rays.origins[:, :, None] + t[..., None] * rays.directions[:, :, None]


def render(density, rays: Rays, samples: int, seed: int | None = None, cells: int = 24):
    """Opacity of each ray, and optical depth; with jitter of grid and samples where seeded."""
    places = jitter = None
    if seed is not None:
        draw = torch.Generator().manual_seed(seed)
        places = torch.rand(1, cells, cells, cells, 3, generator=draw)
        jitter = torch.rand(*rays.near.shape, samples, generator=draw)
    grid = DensityGrid.build(lambda p: density(p), CUBE, [cells] * 3, places=places)
    t, delta = place_samples(grid.along(rays), rays, samples, jitter)
    sigma = density(points_along(rays, t))
    return render_weights(sigma, delta).sum(-1), (sigma * delta).sum(-1)


def test_intervals_cover_a_ray_and_samples_lie_inside_them():
    rays = rays_to_the_middle()
    ball = DensityGrid.build(lambda p: 50.0 * (p.norm(dim=-1) < 0.3), CUBE, [16] * 3)
    for jitter in (None, torch.rand(1, 500, 9)):
        t, delta = place_samples(ball.along(rays), rays, 9, jitter)
        assert bool((delta > 0).all())
        torch.testing.assert_close(delta.sum(-1), rays.far - rays.near)
        ends = rays.near[..., None] + delta.cumsum(-1)
        slack = 1e-5
        assert bool((t >= ends - delta - slack).all()) and bool((t <= ends + slack).all())


def test_where_nothing_is_found_samples_are_even():
    rays = rays_to_the_middle(50)
    empty = DensityGrid.build(lambda p: torch.zeros(p.shape[:-1]), CUBE, [8] * 3)
    t, delta = place_samples(empty.along(rays), rays, 4)
    even = ((rays.far - rays.near) / 4)[..., None]
    torch.testing.assert_close(delta, even.expand_as(delta))
    steps = torch.arange(4) + 0.5
    torch.testing.assert_close(t, rays.near[..., None] + steps * even)


@pytest.mark.parametrize("sigma", [1e-3, 0.5, 30.0])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_constant_density_is_integrated_exactly(sigma, seed):
    rays = rays_to_the_middle()
    opacity, _ = render(lambda p: torch.full(p.shape[:-1], sigma), rays, 12, seed)
    torch.testing.assert_close(opacity, 1 - torch.exp(-sigma * (rays.far - rays.near)))


def test_a_step_is_found_to_a_fraction_of_its_cell():
    """A wall with air in front of it: depth of its surface, by the weights."""
    draw = torch.Generator().manual_seed(0)
    start = torch.tensor([4.0, 0.0, 0.0]) + torch.rand(1, 400, 3, generator=draw) * 0.5
    inwards = torch.tensor([-1.0, 0, 0]).expand_as(start)
    rays = Rays(start, inwards, *box_interval(start, inwards, CUBE))
    for wall in (0.31, -0.2, 0.0, 0.55):

        def density(points, wall=wall):
            return 300.0 * (points[..., 0] < wall)

        grid = DensityGrid.build(density, CUBE, [24] * 3)
        t, delta = place_samples(grid.along(rays), rays, 12)
        weights = render_weights(density(points_along(rays, t)), delta)
        assert float(weights.sum(-1).min()) > 0.999
        depth = (weights * t).sum(-1)
        error = (depth - (start[..., 0] - wall)).abs()
        # a cell is 0.083 long; 12 even samples err by 0.042 on average, up to 0.083
        assert float(error.mean()) < 0.025


def test_the_optical_depth_of_a_thin_plate_is_right_on_average():
    """0.01 thick, an eighth of a cell: no sample place is preferred, so the mean is unbiased."""
    normal = torch.nn.functional.normalize(torch.tensor([1.0, 0.3, 0.2]), dim=0)
    rays = rays_to_the_middle(3000, spread=0.3)
    slope = (rays.directions @ normal).abs()
    keep = slope[0] > 0.3
    rays = rays.gather(keep.nonzero().T)
    exact = 20.0 * 0.01 / slope[:, keep]

    def density(points):
        return 20.0 * ((points @ normal).abs() < 0.005)

    found = torch.stack([render(density, rays, 12, seed)[1] for seed in range(40)])
    assert float((found.mean() / exact.mean() - 1).abs()) < 0.03


@pytest.mark.parametrize("cells", [31, 44])
@pytest.mark.parametrize("samples", [12, 16])
def test_a_thin_leg_stops_the_rays_that_meet_it(samples, cells):
    """0.07 x 0.07, the thinnest leg of the drawn chairs, upright and tilted, anywhere.

    16 even strata with a jitter each stop 65 %.
    """
    stopped = []
    for seed in range(4):
        draw = torch.Generator().manual_seed(seed)
        x, y, tilt = (torch.rand(3, generator=draw) - 0.5).tolist()

        def density(points, x=x, y=y, tilt=tilt):
            px, py, pz = points.unbind(-1)
            off = torch.stack((px - x - 0.2 * tilt * pz, py - y), -1).abs().amax(-1)
            return 200.0 * (off < 0.035)

        rays = rays_to_the_middle(4000, spread=0.7, seed=seed)
        fine = rays.near[..., None] + (rays.far - rays.near)[..., None] * torch.linspace(0, 1, 700)
        inside = (density(points_along(rays, fine)) > 0).float().mean(-1)
        chord = inside * (rays.far - rays.near)
        meets = chord[0] > 0.07  # not its edges alone
        rays = rays.gather(meets.nonzero().T)
        assert rays.near.shape[1] > 50
        stopped.append((render(density, rays, samples, seed, cells)[0] > 0.9).float())
    assert float(torch.cat(stopped, dim=1).mean()) >= 0.97


def test_the_grid_gives_no_gradient_and_knows_no_appearance():
    weight = torch.ones((), requires_grad=True)
    grid = DensityGrid.build(lambda p: weight * 5 * (p.norm(dim=-1) < 0.4), CUBE, [10] * 3)
    rays = rays_to_the_middle(20)
    t, delta = place_samples(grid.along(rays), rays, 5)
    assert not grid.sigma.requires_grad and not t.requires_grad and not delta.requires_grad


def test_cells_are_about_cubes():
    assert grid_cells([0.65, 0.65, 0.9], 24) == [17, 17, 24]
    assert grid_cells([0.92, 0.44, 0.45], 44) == [44, 21, 22]
    assert grid_cells([1.0, 0.01, 1.0], 8) == [8, 2, 8]
