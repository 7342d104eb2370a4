"""Rays, their part inside a box, and samples along it."""

import math

import pytest
import torch

from clipnerf.gan.patches import Patches
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import box_interval, pixel_grid, rays_through

BOX = torch.tensor([0.5, 0.6, 0.7])
ROOT3 = math.sqrt(3)


def interval(origin: list[float], direction: list[float], box: torch.Tensor = BOX) -> list[float]:
    unit = torch.tensor(direction) / torch.tensor(direction).norm()
    near, far = box_interval(torch.tensor(origin), unit, box)
    return [float(near), float(far)]


@pytest.mark.parametrize(
    ("origin", "direction", "expected"),
    [
        ([4.0, 0, 0], [-1.0, 0, 0], [3.5, 4.5]),
        ([0, -4.0, 0], [0, 1.0, 0], [3.4, 4.6]),
        ([0.1, 0.2, 4.0], [0, 0, -1.0], [3.3, 4.7]),
        ([4.0, 0.59, -0.69], [-1.0, 0, 0], [3.5, 4.5]),
        ([0.0, 0, 0], [1.0, 0, 0], [0, 0.5]),
        ([0.25, 0, 0], [0, 0, 1.0], [0, 0.7]),
        ([-2.0, -2.0, 0], [1.0, 1.0, 0], [1.5 * math.sqrt(2), 2.5 * math.sqrt(2)]),
    ],
)
def test_box_intervals_in_closed_form(origin, direction, expected):
    assert interval(origin, direction) == pytest.approx(expected, abs=1e-5)


def test_the_diagonal_of_a_cube():
    found = interval([2.0, 2, 2], [-1.0, -1, -1], torch.ones(3))
    assert found == pytest.approx([ROOT3, 3 * ROOT3], abs=1e-5)


@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ([4.0, 0.61, 0], [-1.0, 0, 0]),
        ([4.0, 0, -0.71], [-1.0, 0, 0]),
        ([4.0, 0, 0], [1.0, 0, 0]),
        ([4.0, 0, 0], [0, 1.0, 0]),
        ([4.0, 0, 0], [-1.0, 1.0, 0]),
    ],
)
def test_a_ray_that_misses_has_an_empty_interval(origin, direction):
    near, far = interval(origin, direction)
    assert near == far and math.isfinite(near) and near >= 0


def test_a_ray_that_lies_in_a_face_or_meets_an_edge_stays_finite():
    for origin in ([4.0, 0.6, 0.0], [4.0, 0.6, 0.7], [0.5, 0.6, 0.7]):
        near, far = interval(origin, [-1.0, 0, 0])
        assert math.isfinite(near) and math.isfinite(far) and far >= near >= 0


def test_intervals_hold_exactly_the_points_of_the_box():
    draw = torch.Generator().manual_seed(0)
    origins = torch.randn(300, 3, generator=draw) * 1.5
    directions = torch.nn.functional.normalize(torch.randn(300, 3, generator=draw), dim=1)
    near, far = box_interval(origins, directions, BOX)
    t = torch.linspace(0.001, 8, 400)
    points = origins[:, None] + t[:, None] * directions[:, None]
    excess = (points.abs() - BOX).amax(-1)
    between = (t > near[:, None]) & (t < far[:, None])
    clear = excess.abs() > 1e-4
    assert bool((far > near).any()) and bool((far == near).any())
    assert torch.equal((excess < 0)[clear], between[clear])


def test_pixel_centers_row_by_row():
    grid = pixel_grid(3, 2)
    assert grid.tolist() == [
        [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]
    ]


def test_rays_through_pixels_one_by_one():
    camera = Camera.orbit(torch.tensor([20.0, 200.0]), torch.tensor([10.0, 40.0]), size=6)
    pixels = pixel_grid(6, 6)
    rays = rays_through(camera, pixels, BOX)
    assert rays.directions.shape == (2, 36, 3)
    for b in range(2):
        focal, centre = float(camera.K[b, 0, 0]), 3.0
        for n, (x, y) in enumerate(pixels[0].tolist()):
            local = torch.tensor([(x - centre) / focal, (y - centre) / focal, 1.0])
            world = camera.c2w[b, :3, :3] @ local
            torch.testing.assert_close(rays.directions[b, n], world / world.norm())
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(2, 36))
    torch.testing.assert_close(rays.origins, camera.c2w[:, None, :3, 3].expand(2, 36, 3))


def test_the_rays_of_a_patch_are_a_crop_of_the_pictures_rays():
    camera = Camera.orbit(torch.tensor([20.0, 200.0]), torch.tensor([10.0, 40.0]), size=16)
    full = rays_through(camera, pixel_grid(16, 16), BOX)
    corners = torch.tensor([[3.0, 5.0], [8.0, 0.0]])
    patches = Patches(torch.full((2,), 8 / 16), corners / 16)
    crop = rays_through(camera, patches.points(8) * 16, BOX)
    for b, (x, y) in enumerate(corners.int().tolist()):
        for name in ("origins", "directions", "near", "far"):
            whole = getattr(full, name)[b].view(16, 16, -1)[y : y + 8, x : x + 8]
            torch.testing.assert_close(getattr(crop, name)[b].view(8, 8, -1), whole)


def test_gathered_rays_are_those_rays():
    camera = Camera.orbit(torch.tensor([20.0, 200.0]), 30.0, size=5)
    rays = rays_through(camera, pixel_grid(5, 5), BOX)
    index = torch.tensor([[3, 24, 3], [0, 1, 2]])
    few = rays.gather(index)
    for b in range(2):
        for name in ("origins", "directions", "near", "far"):
            assert torch.equal(getattr(few, name)[b], getattr(rays, name)[b, index[b]])
