"""demo, edit, orbit and morph: what they write, and that they look before they work."""

import numpy as np
import pytest
from PIL import Image

from clipnerf import demo as verbs
from clipnerf.config.verbs import DemoConfig, EditConfig, MorphConfig, OrbitConfig
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
        (verbs.morph, MorphConfig(bundle=bundle, out=f"{where}/a.mp4")),
    ]


@pytest.mark.parametrize("verb", [0, 1, 2, 3])
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
    with pytest.raises(UsageError, match="text and image are all given"):
        verbs.orbit(OrbitConfig(text="a chair", image="a.png", bundle=bundle, out=f"{out}.mp4"))
    with pytest.raises(UsageError, match="'out/none.png' does not exist"):
        verbs.orbit(OrbitConfig(image="out/none.png", bundle=bundle, out=f"{out}.mp4"))
    with pytest.raises(UsageError, match="prompts.a wide chair is nan"):
        verbs.edit(EditConfig(prompts={"a wide chair": float("nan")}, out=f"{out}.png"))
    with pytest.raises(UsageError, match="seeds.*two or more"):
        verbs.morph(MorphConfig(seeds=[0], bundle=bundle, out=f"{out}.mp4"))
    assert not list(tmp_path.iterdir())


def test_no_bundle(tmp_path):
    with pytest.raises(UsageError, match="generator.safetensors"):
        verbs.demo(DemoConfig(bundle=str(tmp_path / "none"), out=str(tmp_path / "out")))


@pytest.fixture
def photo(tmp_path):
    pixels = np.full((24, 24, 3), 255, np.uint8)
    pixels[4:20, 8:16] = (30, 60, 200)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_sheet_of_an_edit_like_a_picture_ends_with_the_picture(bundle, tmp_path, photo):
    config = EditConfig(
        bundle=bundle, image=photo, out=str(tmp_path / "e.png"), seeds=[0, 1], size=24, device="cpu"
    )
    (path,) = verbs.edit(config)
    sheet = np.asarray(Image.open(path)).astype(int)
    blue = np.abs(sheet - (30, 60, 200)).max(-1) == 0
    assert blue.sum() == 16 * 8 and np.argwhere(blue)[:, 0].min() > 2 * 24


def test_weights_of_prompts_change_the_edit(bundle, tmp_path):
    sheets = []
    for weight in (0.0, 1.0):
        config = EditConfig(
            bundle=bundle, prompts={"a red chair": 1.0, "a wide chair": weight}, seeds=[0], size=16,
            out=str(tmp_path / f"{weight}.png"), device="cpu",
        )  # fmt: skip
        sheets.append(np.asarray(Image.open(verbs.edit(config)[0])).astype(int))
    above, below = (np.abs(sheets[0] - sheets[1])[rows] for rows in (slice(20), slice(45, 60)))
    assert above.max() == 0 and below.max() > 10


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({"seeds": [0, 1, 2]}, 16),
        ({"seeds": [0, 1], "texts": ["a red chair", "a blue chair"]}, 32),
        ({"seeds": [3], "image": "photo"}, 16),
    ],
)
def test_morphs_of_objects_and_of_edits(bundle, tmp_path, photo, options, width):
    if "image" in options:
        options = options | {"image": photo}
    config = MorphConfig(
        bundle=bundle, out=str(tmp_path / "m.mp4"), frames=6, size=16, turns=0.0, device="cpu",
        **options,
    )  # fmt: skip
    (path,) = verbs.morph(config)
    frames = read_video(path).astype(int)
    assert frames.shape == (6, 16, width, 3) and np.abs(frames[0] - frames[3]).max() > 10
