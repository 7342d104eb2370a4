"""Camera paths of a visitor: through the views, around the object, and to a file and back."""

import numpy as np
import pytest
import torch

from clipnerf.io.camera_path import read_camera_path
from clipnerf.rendering.cameras import Camera
from clipnerf.viewer import path
from clipnerf.viewer.drawing import View


def view(azimuth, elevation=20.0, radius=4.0, fov_deg=30.0, aspect=1.5, off=0.0) -> View:
    """Looks at the middle, or beside it by so many radians."""
    c2w = Camera.orbit(float(azimuth), float(elevation), radius=radius).c2w[0].clone()
    cos, sin = np.cos(off), np.sin(off)
    c2w[:3, :3] = c2w[:3, :3] @ torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).float()
    return View(c2w, fov_deg, aspect)


VIEWS = [view(350), view(20, 40, 3.0, 40.0, off=0.2), view(170, -10), view(300, 5, off=-0.1)]


def test_it_passes_through_every_view():
    way = path.along(VIEWS, 10)
    assert len(way) == 31
    for at, wanted in zip(way[::10], VIEWS, strict=True):
        torch.testing.assert_close(at.c2w, wanted.c2w, atol=1e-5, rtol=0)
        assert at.fov_deg == pytest.approx(wanted.fov_deg) and at.aspect == 1.5


def test_it_leads_around_the_object_the_shorter_way_and_without_jumps():
    way = path.along([view(350, 0), view(170 - 1, 0)], 40)
    places = torch.stack([at.c2w[:3, 3] for at in way])
    assert places.norm(dim=1).min() > 3.99  # not through the object
    assert (places[1:] - places[:-1]).norm(dim=1).max() < 0.5
    short = path.along([view(350), view(20)], 10)
    assert all(at.c2w[0, 3] > 3 for at in short)  # over azimuth 0, where x is largest
    for at in path.along(VIEWS, 10):
        turn = at.c2w[:3, :3]
        torch.testing.assert_close(turn @ turn.T, torch.eye(3), atol=1e-5, rtol=0)
        assert torch.linalg.det(turn) > 0


def test_one_view_is_a_still():
    way = path.along(VIEWS[1:2], 5)
    assert len(way) == 5
    torch.testing.assert_close(way[4].c2w, VIEWS[1].c2w, atol=1e-5, rtol=0)


@pytest.mark.parametrize("front_deg", [0.0, 135.0])
@pytest.mark.parametrize("aspect", [0.63, 1.0, 1.77])
def test_a_file_gives_the_same_cameras_back(tmp_path, front_deg, aspect):
    views = [View(one.c2w, one.fov_deg, aspect) for one in VIEWS]
    file = tmp_path / "path.json"
    file.write_bytes(path.file_of(views, front_deg, 90))
    back = read_camera_path(file, front_deg)
    wanted = path.cameras(path.along(views), 90)
    assert back.fps == pytest.approx(path.FPS)
    assert (back.camera.height, back.camera.width) == (90, wanted.width) and wanted.width % 2 == 0
    torch.testing.assert_close(back.camera.c2w, wanted.c2w, atol=1e-5, rtol=0)
    torch.testing.assert_close(back.camera.K, wanted.K, atol=1e-3, rtol=0)
