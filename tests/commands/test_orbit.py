"""orbit along a camera path: the pictures are those of the path's cameras."""

import numpy as np
import pytest
import torch

from clipnerf.commands.orbit import orbit
from clipnerf.config.editing import OrbitConfig
from clipnerf.editor import Editor
from clipnerf.errors import UsageError
from clipnerf.io.camera_path import CameraPath, camera_path_json
from clipnerf.io.sheet import to_uint8
from clipnerf.io.video import read_video
from clipnerf.rendering.cameras import Camera
from tests.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


def path_of(camera, folder):
    file = folder / "path.json"
    file.write_text(camera_path_json(CameraPath(camera, 12.0)))
    return file


def test_objects_are_filmed_along_a_path(bundle, tmp_path):
    camera = Camera.orbit(torch.tensor([0.0, 40.0, 110.0]), 30.0, fov_deg=25.0, size=32)
    wide = Camera(camera.c2w, camera.K + torch.tensor([[0, 0, 8.0], [0, 0, 0], [0, 0, 0]]), 48, 32)
    (made,) = orbit(
        OrbitConfig(
            str(bundle),
            camera_path=str(path_of(wide, tmp_path)),
            out=str(tmp_path / "a.mp4"),
            seeds=[0, 1],
            size=8,  # the file's counts
        )
    )
    film, editor = read_video(made), Editor.load(bundle, "cpu")
    assert film.shape == (3, 32, 96, 3)
    wanted = [
        np.concatenate(to_uint8(editor.render(editor.sample([0, 1]), camera=wide[n]).rgb), axis=1)
        for n in range(3)
    ]
    away = np.array([[np.abs(f.astype(int) - w).mean() for w in wanted] for f in film])
    # H.264 keeps little of what is random; the frames are in order all the same
    assert (away.argmin(1) == range(3)).all() and away.diagonal().max() < 0.5 * away[0, 1:].min()


@pytest.mark.parametrize(("size", "said"), [(0, "render_height is 0"), (33, "video height is 33")])
def test_a_bad_path_is_found_before_the_work(bundle, tmp_path, monkeypatch, size, said):
    file = path_of(Camera.orbit(0.0, 0.0, size=32), tmp_path)
    file.write_text(file.read_text().replace('"render_height": 32', f'"render_height": {size}'))
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    with pytest.raises(UsageError, match=said):
        orbit(OrbitConfig("x", camera_path=str(file), out=str(tmp_path / "a.mp4")))
    with pytest.raises(UsageError, match="cannot be read"):
        orbit(OrbitConfig("x", camera_path="none.json", out=str(tmp_path / "a.mp4")))
    assert [path.name for path in tmp_path.iterdir()] == ["path.json"]
