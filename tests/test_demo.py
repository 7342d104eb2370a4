"""demo, edit and orbit: what they write, and that they look before they work."""

import numpy as np
import pytest
from PIL import Image

from clipnerf import demo as verbs
from clipnerf.config.verbs import DemoConfig, EditConfig, OrbitConfig
from clipnerf.editor import Editor
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.export.video import read_video
from tests.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle")))


def test_the_demo_writes_a_video_and_a_sheet(bundle, tmp_path):
    config = DemoConfig(
        text="A red chair!", out=str(tmp_path / "demo"), bundle=bundle, seeds=[0, 5], frames=4,
        size=16, device="cpu",
    )  # fmt: skip
    mp4, png = verbs.demo(config)
    assert (mp4.name, png.name) == ("a-red-chair.mp4", "a-red-chair.png")
    assert read_video(mp4).shape == (4, 16, 32, 3)
    sheet = np.asarray(Image.open(png))
    assert sheet.shape[1] > 4 * 16 and sheet.shape[0] > 2 * 16 and (sheet < 250).any()
    assert sorted(p.name for p in mp4.parent.iterdir()) == ["a-red-chair.mp4", "a-red-chair.png"]


def test_edit_writes_a_sheet(bundle, tmp_path):
    config = EditConfig(
        bundle=bundle, text="a red chair", out=str(tmp_path / "e.png"), seeds=[0, 1, 2], size=16,
        device="cpu",
    )  # fmt: skip
    (path,) = verbs.edit(config)
    assert np.asarray(Image.open(path)).shape[1] > 3 * 16


@pytest.mark.parametrize("text", ["", "a red chair"])
def test_orbit_with_and_without_words(bundle, tmp_path, text):
    config = OrbitConfig(
        bundle=bundle, text=text, out=str(tmp_path / "o.mp4"), seeds=[0, 1], frames=3, size=16,
        device="cpu",
    )  # fmt: skip
    (path,) = verbs.orbit(config)
    assert read_video(path).shape == (3, 16, 32, 3)


def _configs(bundle: str, where: str):
    return [
        (verbs.demo, DemoConfig(bundle=bundle, out=where)),
        (verbs.edit, EditConfig(bundle=bundle, text="a red chair", out=f"{where}/a.png")),
        (verbs.orbit, OrbitConfig(bundle=bundle, out=f"{where}/a.mp4")),
    ]


@pytest.mark.parametrize("verb", [0, 1, 2])
def test_an_unwritable_output_is_found_before_the_work(bundle, tmp_path, monkeypatch, verb):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    function, config = _configs(bundle, str(tmp_path / "file"))[verb]
    with pytest.raises(ClipNerfError, match="file") as caught:
        function(config)
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_place_of_the_file(bundle, tmp_path):
    (tmp_path / "a.png").mkdir()
    config = EditConfig(bundle=bundle, text="a red chair", out=str(tmp_path / "a.png"))
    with pytest.raises(UsageError, match="is a folder"):
        verbs.edit(config)


def test_misuse_is_found_before_the_work(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    out = str(tmp_path / "out")
    with pytest.raises(UsageError, match="text"):
        verbs.demo(DemoConfig(text=" ", bundle=bundle, out=out))
    with pytest.raises(UsageError, match="shape"):
        verbs.demo(DemoConfig(shape=float("nan"), bundle=bundle, out=out))
    with pytest.raises(UsageError, match="even"):
        verbs.demo(DemoConfig(size=65, bundle=bundle, out=out))
    assert not list(tmp_path.iterdir())


def test_no_bundle(tmp_path):
    with pytest.raises(UsageError, match="generator.safetensors"):
        verbs.demo(DemoConfig(bundle=str(tmp_path / "none"), out=str(tmp_path / "out")))
