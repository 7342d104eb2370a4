"""The conventions of rendering/cameras.py, as properties of points seen through cameras."""

import math

import pytest
import torch

from clipnerf.rendering.cameras import (
    Camera,
    intrinsics,
    to_opengl,
)

AZIMUTHS = torch.tensor([0.0, 37.0, 90.0, 180.0, 271.5, 359.0, -45.0])
ELEVATIONS = torch.tensor([0.0, 20.0, 50.0, -30.0, 89.0, 5.0, 90.0])


def project(camera: Camera, point: list[float]) -> torch.Tensor:
    """Pixel (x, y) and depth along the axis of a world point, for each camera."""
    world = torch.tensor([*point, 1.0])
    local = (torch.linalg.inv(camera.c2w) @ world)[:, :3]
    pixel = (camera.K @ local[..., None])[..., 0]
    return torch.cat((pixel[:, :2] / pixel[:, 2:], local[:, 2:]), dim=1)


def test_orbits_stand_where_the_docstring_says_and_look_at_the_origin():
    camera = Camera.orbit(AZIMUTHS, ELEVATIONS, radius=3.0, size=48)
    for n, (az, el) in enumerate(zip(AZIMUTHS.tolist(), ELEVATIONS.tolist(), strict=True)):
        az, el = math.radians(az), math.radians(el)
        expected = [math.cos(el) * math.cos(az), math.cos(el) * math.sin(az), math.sin(el)]
        found = camera.c2w[n, :3, 3].tolist()
        assert found == pytest.approx([3 * v for v in expected], abs=1e-5)
    seen = project(camera, [0.0, 0.0, 0.0])
    torch.testing.assert_close(seen, torch.tensor([24.0, 24.0, 3.0]).expand(7, 3))


def test_orbits_are_rigid_right_handed_and_upright():
    camera = Camera.orbit(AZIMUTHS, ELEVATIONS)
    R = camera.c2w[:, :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(7, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(7))
    torch.testing.assert_close(camera.c2w[:, 3], torch.tensor([0.0, 0, 0, 1]).expand(7, 4))
    right, down = R[:, :, 0], R[:, :, 1]
    assert float(right[:, 2].abs().max()) < 1e-6  # the horizon is level
    assert float(down[:, 2].max()) < 1e-6  # what is above is up in the picture


def test_azimuth_zero_sees_the_front_with_plus_y_at_the_right_and_plus_z_above():
    camera = Camera.orbit(0.0, 0.0, radius=4.0, size=64)
    assert project(camera, [1.0, 0, 0])[0, 2] == 3 and project(camera, [-1.0, 0, 0])[0, 2] == 5
    assert project(camera, [0, 0.5, 0])[0, 0] > 32 > project(camera, [0, -0.5, 0])[0, 0]
    assert project(camera, [0, 0, 0.5])[0, 1] < 32 < project(camera, [0, 0, -0.5])[0, 1]


def test_azimuth_grows_counter_clockwise_seen_from_above():
    camera = Camera.orbit(torch.tensor([0.0, 90.0, 180.0, 270.0]), 0.0, radius=2.0)
    expected = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [-2.0, 0, 0], [0, -2.0, 0]])
    torch.testing.assert_close(camera.c2w[:, :3, 3], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("fov_deg", [20.0, 30.0, 90.0])
def test_the_field_of_view_ends_at_the_pictures_border(fov_deg):
    camera = Camera.orbit(0.0, 0.0, fov_deg=fov_deg, radius=4.0, size=50)
    edge = 4 * math.tan(math.radians(fov_deg / 2))
    torch.testing.assert_close(
        project(camera, [0, edge, 0])[0, :2], torch.tensor([50.0, 25.0]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        project(camera, [0, 0, edge])[0, :2], torch.tensor([25.0, 0.0]), atol=1e-4, rtol=0
    )


def test_intrinsics_in_numbers():
    K = intrinsics(90.0, 10, 2)
    expected = torch.tensor([[5.0, 0, 5], [0, 5, 5], [0, 0, 1]])
    torch.testing.assert_close(K, expected.expand(2, 3, 3))


def test_angles_broadcast_and_selections_stay_batches():
    camera = Camera.orbit(AZIMUTHS, 20.0)
    assert len(camera) == 7 and len(Camera.orbit(1.0, 2.0)) == 1
    assert torch.equal(camera[2].c2w, camera.c2w[2:3])
    assert torch.equal(camera[-1].c2w, camera.c2w[6:7])
    assert torch.equal(camera[1:3].K, camera.K[1:3])
    assert torch.equal(camera[torch.tensor([4, 0])].c2w, camera.c2w[[4, 0]])


def test_resizing_keeps_the_view():
    camera = Camera.orbit(30.0, 20.0, size=64)
    small = camera.resized(16)
    assert (small.width, small.height) == (16, 16)
    point = [0.3, -0.2, 0.5]
    torch.testing.assert_close(project(small, point)[:, :2] * 4, project(camera, point)[:, :2])
    torch.testing.assert_close(small.K, Camera.orbit(30.0, 20.0, size=16).K)


def test_one_camera_serves_many_objects_but_two_do_not_serve_three():
    assert len(Camera.orbit(0.0, 0.0).expand(3)) == 3
    with pytest.raises(ValueError, match="2 cameras for 3 objects"):
        Camera.orbit(AZIMUTHS[:2], 0.0).expand(3)


def test_opengl_looks_along_minus_z_with_y_up_and_converts_back():
    camera = Camera.orbit(AZIMUTHS, ELEVATIONS)
    gl = to_opengl(camera.c2w)
    torch.testing.assert_close(-gl[:, :3, 2], camera.c2w[:, :3, 2])
    torch.testing.assert_close(-gl[:, :3, 1], camera.c2w[:, :3, 1])
    assert torch.equal(gl[:, :3, 3], camera.c2w[:, :3, 3])
    torch.testing.assert_close(torch.linalg.det(gl[:, :3, :3]), torch.ones(7))
    assert torch.equal(to_opengl(gl), camera.c2w)
