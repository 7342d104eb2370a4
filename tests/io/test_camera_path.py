"""Camera paths: what is written is read again, as nerfstudio would; what is none is refused."""

import json
import math

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.io.camera_path import CameraPath, camera_path_json, read_camera_path
from clipnerf.rendering.cameras import Camera

AZIMUTHS = torch.arange(7) * 50.0


def wide(width: int, front_deg: float = 0.0) -> Camera:
    square = Camera.orbit(AZIMUTHS + front_deg, 20.0, fov_deg=40.0, size=64)
    K = square.K.clone()
    K[:, 0, 2] = width / 2
    return Camera(square.c2w, K, width, 64)


@pytest.mark.parametrize("front_deg", [0.0, 135.0])
@pytest.mark.parametrize("width", [64, 96])
def test_a_path_is_read_as_it_was_written(tmp_path, width, front_deg):
    camera, file = wide(width, front_deg), tmp_path / "path.json"
    file.write_text(camera_path_json(CameraPath(camera, 10.0), front_deg, camera[0:2]))
    back = read_camera_path(file, front_deg)
    assert (back.camera.width, back.camera.height) == (width, 64)
    assert back.fps == pytest.approx(10)
    torch.testing.assert_close(back.camera.c2w, camera.c2w, atol=1e-6, rtol=0)
    torch.testing.assert_close(back.camera.K, camera.K, atol=1e-4, rtol=0)


def test_a_file_says_what_nerfstudio_asks_for(tmp_path):
    """In the axes of OpenGL, rows first, the front of the object at +x wherever a field's faces."""
    content = json.loads(camera_path_json(CameraPath(wide(96, 135.0), 10.0), 135.0))
    assert content["camera_type"] == "perspective"
    assert (content["render_height"], content["render_width"]) == (64, 96)
    assert (content["fps"], content["seconds"]) == (10.0, pytest.approx(0.7))
    frame, key = content["camera_path"][0], content["keyframes"][0]
    assert len(content["camera_path"]) == 7 and key["matrix"] == frame["camera_to_world"]
    assert frame["fov"] == pytest.approx(40, abs=1e-3) and frame["aspect"] == 1.5
    pose = torch.tensor(frame["camera_to_world"]).view(4, 4)
    place = 4 * torch.tensor([math.cos(math.radians(20)), 0, math.sin(math.radians(20))])
    torch.testing.assert_close(pose[:3, 3], place, atol=1e-5, rtol=0)
    # backwards is away from the object, and up is up
    torch.testing.assert_close(pose[:3, 2], place / 4, atol=1e-5, rtol=0)
    assert pose[2, 1] > 0.9


def test_rows_may_be_lists_and_seconds_may_be_missing(tmp_path):
    content, file = json.loads(camera_path_json(CameraPath(wide(64), 10.0))), tmp_path / "p.json"
    flat = content["camera_path"][2]["camera_to_world"]
    content["camera_path"][2]["camera_to_world"] = [flat[n : n + 4] for n in (0, 4, 8, 12)]
    del content["seconds"]
    file.write_text(json.dumps(content | {"fps": 12}))
    back = read_camera_path(file)
    assert back.fps == 12
    torch.testing.assert_close(back.camera.c2w, wide(64).c2w, atol=1e-6, rtol=0)


def _with(**changes):
    return lambda content: content | changes


def _frame(**changes):
    def change(content):
        content["camera_path"][3] |= changes
        return content

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: [content], "no JSON object"),
        (lambda content: {k: v for k, v in content.items() if k != "render_height"}, "is missing"),
        (_with(render_width="wide"), "render_width is 'wide'"),
        (_with(render_width=10**6), "render_width is 1000000; allowed: 2 to 4096"),
        (_with(camera_type="equirectangular"), "camera_type is 'equirectangular'"),
        (_with(camera_path=[]), "camera_path is to hold 1 to"),
        (_with(camera_path=[None]), "camera 0 is no JSON object"),
        (_with(seconds=0), "seconds is 0"),
        (_with(seconds=float("nan")), "NaN is no number"),
        (_frame(fov=None), "fov of camera 3 is None"),
        (_frame(fov=180), "fov of camera 3 is 180"),
        (_frame(camera_to_world=[1.0] * 15), "camera 3 is no pose"),
        (_frame(camera_to_world="1 0 0"), "camera 3 is no pose"),
        (_frame(camera_to_world=[float("nan")] * 16), "NaN is no number"),
        (_frame(camera_to_world=[2.0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]), "is no pose"),
        (_frame(camera_to_world=[-1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), "no pose"),
        (_frame(camera_to_world=[[[1]]] * 16), "camera 3 is no pose"),
    ],
)
def test_what_is_no_path_is_named(tmp_path, change, said):
    file = tmp_path / "path.json"
    content = change(json.loads(camera_path_json(CameraPath(wide(64), 10.0))))
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=said) as error:
        read_camera_path(file)
    assert "path.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "no json", "[" * 100_000, "{", "\x00"])
def test_what_is_no_json_is_said(tmp_path, text):
    file = tmp_path / "path.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="path.json.* is no JSON"):
        read_camera_path(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is no JSON"):
        read_camera_path(file)


def test_what_cannot_be_read_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_camera_path(path)
