"""demo, edit, orbit and morph: what they write, and that they look before they work."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.commands.demo import demo
from clipnerf.commands.edit import edit
from clipnerf.commands.morph import morph
from clipnerf.commands.orbit import orbit
from clipnerf.config.editing import DemoConfig, EditConfig, MorphConfig, OrbitConfig, parts_of
from clipnerf.config.parse import parse
from clipnerf.editor import Editor
from clipnerf.editor.regions import PhraseGrounding
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.fields.region import RegionField
from clipnerf.io.video import read_video
from tests.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle")))


def test_the_demo_writes_a_video_and_a_sheet(bundle, tmp_path):
    config = DemoConfig(
        text="A red chair!",
        out=str(tmp_path / "demo"),
        bundle=bundle,
        seeds=[0, 5],
        frames=4,
        size=16,
        device="cpu",
    )
    mp4, png = demo(config)
    assert (mp4.name, png.name) == ("a-red-chair.mp4", "a-red-chair.png")
    assert read_video(mp4).shape == (4, 16, 32, 3)
    sheet = np.asarray(Image.open(png))
    assert sheet.shape[1] > 4 * 16 and sheet.shape[0] > 2 * 16 and (sheet < 250).any()
    assert sorted(p.name for p in mp4.parent.iterdir()) == ["a-red-chair.mp4", "a-red-chair.png"]


def test_edit_writes_a_sheet(bundle, tmp_path):
    config = EditConfig(
        bundle=bundle,
        text="a red chair",
        out=str(tmp_path / "e.png"),
        seeds=[0, 1, 2],
        size=16,
        device="cpu",
    )
    (path,) = edit(config)
    assert np.asarray(Image.open(path)).shape[1] > 3 * 16


@pytest.mark.parametrize("text", ["", "a red chair"])
def test_orbit_with_and_without_words(bundle, tmp_path, text):
    config = OrbitConfig(
        bundle=bundle,
        text=text,
        out=str(tmp_path / "o.mp4"),
        seeds=[0, 1],
        frames=3,
        size=16,
        device="cpu",
    )
    (path,) = orbit(config)
    assert read_video(path).shape == (3, 16, 32, 3)


def _configs(bundle: str, where: str):
    return [
        (demo, DemoConfig(bundle=bundle, out=where)),
        (edit, EditConfig(bundle=bundle, text="a red chair", out=f"{where}/a.png")),
        (orbit, OrbitConfig(bundle=bundle, out=f"{where}/a.mp4")),
        (morph, MorphConfig(bundle=bundle, out=f"{where}/a.mp4")),
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
        edit(config)


def test_misuse_is_found_before_the_work(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    out = str(tmp_path / "out")
    with pytest.raises(UsageError, match="text"):
        demo(DemoConfig(text=" ", bundle=bundle, out=out))
    with pytest.raises(UsageError, match="shape"):
        demo(DemoConfig(shape=float("nan"), bundle=bundle, out=out))
    with pytest.raises(UsageError, match="even"):
        demo(DemoConfig(size=65, bundle=bundle, out=out))
    with pytest.raises(UsageError, match="text and image are all given"):
        orbit(OrbitConfig(text="a chair", image="a.png", bundle=bundle, out=f"{out}.mp4"))
    with pytest.raises(UsageError, match="'out/none.png' does not exist"):
        orbit(OrbitConfig(image="out/none.png", bundle=bundle, out=f"{out}.mp4"))
    with pytest.raises(UsageError, match="prompts.a wide chair is nan"):
        edit(EditConfig(prompts={"a wide chair": float("nan")}, out=f"{out}.png"))
    with pytest.raises(UsageError, match="seeds.*two or more"):
        morph(MorphConfig(seeds=[0], bundle=bundle, out=f"{out}.mp4"))
    assert not list(tmp_path.iterdir())


def test_no_bundle(tmp_path):
    with pytest.raises(UsageError, match="generator.safetensors"):
        demo(DemoConfig(bundle=str(tmp_path / "none"), out=str(tmp_path / "out")))


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
    (path,) = edit(config)
    sheet = np.asarray(Image.open(path)).astype(int)
    blue = np.abs(sheet - (30, 60, 200)).max(-1) == 0
    assert blue.sum() == 16 * 8 and np.argwhere(blue)[:, 0].min() > 2 * 24


def test_weights_of_prompts_change_the_edit(bundle, tmp_path):
    sheets = []
    for weight in (0.0, 1.0):
        config = EditConfig(
            bundle=bundle,
            prompts={"a red chair": 1.0, "a wide chair": weight},
            seeds=[0],
            size=16,
            out=str(tmp_path / f"{weight}.png"),
            device="cpu",
        )
        sheets.append(np.asarray(Image.open(edit(config)[0])).astype(int))
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
        bundle=bundle,
        out=str(tmp_path / "m.mp4"),
        frames=6,
        size=16,
        turns=0.0,
        device="cpu",
        **options,
    )
    (path,) = morph(config)
    frames = read_video(path).astype(int)
    assert frames.shape == (6, 16, width, 3) and np.abs(frames[0] - frames[3]).max() > 10


@pytest.mark.parametrize("verb", ["edit", "orbit"])
def test_a_part_is_edited_alone(bundle, tmp_path, verb):
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    box = [-1.0, -1.0, 0.0, 1.0, 1.0, 1.0]
    regions = [{"region_box": box}, {"region_mask": str(tmp_path / "mask.png")}]
    pictures = []
    for number, region in enumerate([{}, *regions]):
        options = dict(bundle=bundle, text="a red chair", shape=0.0, size=16, device="cpu")
        if verb == "edit":
            config = EditConfig(**options, **region, seeds=[0, 1], out=str(tmp_path / "e.png"))
            (path,) = edit(config)
            pictures.append(np.asarray(Image.open(path)).astype(int))
        else:
            out = str(tmp_path / f"{number}.mp4")
            config = OrbitConfig(**options, **region, seeds=[0], frames=2, out=out)
            (path,) = orbit(config)
            pictures.append(read_video(path).astype(int))
    whole, box, painted = pictures
    if verb == "edit":  # before, the part, after
        row = box.shape[0] - whole.shape[0]
        assert row > 16 and [len(sheet) for sheet in pictures] == [2 * row + 4] + [3 * row + 4] * 2
        assert abs(box - painted).max() > 10
    else:
        assert all(abs(one - whole).max() > 10 for one in (box, painted))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "the seat"}, "text is ''"),
        ({"region": "the seat", "text": "red", "region_mask": "m.png"}, "region and region_mask"),
        ({"region_box": [0.0, 1.0, 2.0], "text": "red"}, "six numbers"),
        ({"region": "the seat", "text": "red", "threshold": 1.0}, "threshold is 1.0"),
        ({"edit": ["the seat red"]}, "edit is 'the seat red'.*'the seat: red'"),
        ({"edit": [": red"]}, "edit is ': red'"),
        ({"edit": ["the seat: red"]}, "no region field.*train-region"),
        ({"region": "the seat", "text": "red"}, "no region field.*train-region"),
    ],
)
@pytest.mark.parametrize("verb", ["edit", "orbit"])
def test_local_edits_that_cannot_be(bundle, tmp_path, verb, options, message):
    kinds = {"edit": (EditConfig, "e.png"), "orbit": (OrbitConfig, "o.mp4")}
    kind, name = kinds[verb]
    rest = dict(bundle=bundle, size=16, seeds=[0], out=str(tmp_path / name), device="cpu")
    with pytest.raises(UsageError, match=message) as caught:
        {"edit": edit, "orbit": orbit}[verb](kind(**options, **rest))
    assert "\n" not in str(caught.value) and not (tmp_path / name).exists()


def test_the_command_line_takes_several_edits():
    argv = ["edit", "--edit", "the wheels: black", "--edit", "the body: a dark, green one"]
    config = parse([*argv, "--region_box", "-1,-1,0,1,1,1", "--text", "red"]).config
    assert config.edit == ["the wheels: black", "the body: a dark, green one"]
    assert parts_of(config.edit) == [("the wheels", "black"), ("the body", "a dark, green one")]
    assert config.region_box == [-1, -1, 0, 1, 1, 1]
    assert parse(["orbit", "--edit", "the seat: red"]).config.edit == ["the seat: red"]


def test_each_part_is_shown_between_before_and_after(bundle, tmp_path, monkeypatch):
    """A field that says yes everywhere: phrases need no training here."""
    loaded = Editor.load(bundle, device="cpu")
    width = loaded.generator.field.density_layers[0].weight.shape[0]
    field = RegionField(width, 8, 2, width=4, vector=2).requires_grad_(False)
    field.text.weight.zero_()
    field.text.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))

    class Sentences:
        def sentence(self, texts):
            return torch.zeros(len(texts), 2)

        def unknown_words(self, text):
            return []

    known = PhraseGrounding(field, Sentences(), "chair")
    monkeypatch.setattr(PhraseGrounding, "load", lambda folder, generator, clip: known)
    heights = []
    for edits in (["the seat: red"], ["the seat: red", "the back: blue"]):
        config = EditConfig(
            bundle=bundle,
            edit=edits,
            out=str(tmp_path / "e.png"),
            seeds=[0, 1],
            size=32,
            device="cpu",
        )
        (path,) = edit(config)
        heights.append(np.asarray(Image.open(path)).shape[0])
    row = heights[1] - heights[0]
    assert row > 32 and heights == [3 * row + 4, 4 * row + 4]
