"""The Editor: exactly the names and arguments that others script against."""

import inspect
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import clipnerf
from clipnerf.editor import Editor
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.inference import CachedRenderer
from clipnerf.io.video import read_video
from clipnerf.mappers.paper import Mapper
from clipnerf.rendering.density_grid import DensityGrid
from tests.tiny_bundle import tiny_bundle, tiny_generator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def editor(bundle):
    return Editor.load(bundle, device="cpu")


def test_names_arguments_and_defaults():
    def of(function):
        parameters = inspect.signature(function).parameters
        return {name: p.default for name, p in parameters.items() if name != "self"}

    none = inspect.Parameter.empty
    assert of(Editor.load) == {"path": none, "device": None, "mapper": None}
    assert of(Editor.sample) == {"seeds": none}
    assert of(Editor.edit) == {
        "codes": none,
        "text": None,
        "shape": None,
        "appearance": None,
        "image": None,
        "region": None,
        "threshold": 0.5,
    }
    assert list(of(Editor.interpolate)) == ["before", "after", "steps"]
    assert list(of(Editor.morph))[:4] == ["stops", "path", "frames", "size"]
    render = of(Editor.render)
    assert list(render)[:5] == ["codes", "azimuth_deg", "elevation_deg", "size", "camera"]
    assert (render["azimuth_deg"], render["elevation_deg"], render["size"]) == (30, 20, 64)
    assert render["camera"] is None
    orbit = of(Editor.orbit)
    assert list(orbit)[:4] == ["codes", "path", "frames", "size"]
    assert (orbit["frames"], orbit["size"]) == (48, 128)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, clipnerf; assert not {'torch', 'open_clip'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert clipnerf.Editor is Editor


def test_the_issues_example(editor, tmp_path):
    codes = editor.sample(seeds=[0, 1, 2, 3])
    edited = editor.edit(codes, "a red chair", shape=0.0, appearance=1.0)
    view = editor.render(edited, azimuth_deg=30, elevation_deg=20, size=16)
    assert view.rgb.shape == (4, 3, 16, 16)
    assert view.opacity.shape == view.depth.shape == (4, 1, 16, 16)
    assert float(view.rgb.min()) >= 0 and float(view.rgb.max()) <= 1 + 1e-5
    path = editor.orbit(edited, tmp_path / "red.mp4", frames=5, size=16)
    assert read_video(path).shape == (5, 16, 4 * 16, 3)
    assert not torch.equal(edited.appearance, codes.appearance)
    assert edited.shape is codes.shape or torch.equal(edited.shape, codes.shape)


def test_a_seed_is_the_same_object_whatever_stands_beside_it(editor):
    many, one = editor.sample(seeds=[7, 3, 2**32 - 1]), editor.sample(seeds=[3])
    assert torch.equal(many.shape[1], one.shape[0])
    assert torch.equal(many.appearance[1], one.appearance[0])
    assert not torch.equal(one.shape, one.appearance)


@pytest.mark.parametrize("seeds", [[], [-1], [2**32]])
def test_bad_seeds(editor, seeds):
    with pytest.raises(UsageError, match="seed"):
        editor.sample(seeds=seeds)


def test_strength_zero_for_both_returns_the_same_bits(editor):
    codes = editor.sample(seeds=[0, 1])
    edited = editor.edit(codes, "a red chair", shape=0.0, appearance=0.0)
    assert torch.equal(edited.shape, codes.shape)
    assert torch.equal(edited.appearance, codes.appearance)


def test_an_appearance_edit_changes_no_bit_of_geometry(editor):
    codes = editor.sample(seeds=[0, 1])
    edited = editor.edit(codes, "a red chair", shape=0.0)
    before, after = editor.render(codes, size=16), editor.render(edited, size=16)
    assert torch.equal(before.opacity, after.opacity) and torch.equal(before.depth, after.depth)
    assert not torch.allclose(before.rgb, after.rgb)


def test_strengths_scale_the_change_of_their_own_code(editor):
    codes = editor.sample(seeds=[0])
    one = editor.edit(codes, "a red chair", shape=1.0, appearance=0.0)
    two = editor.edit(codes, "a red chair", shape=2.0, appearance=0.0)
    assert torch.equal(one.appearance, codes.appearance)
    assert torch.allclose(two.shape - codes.shape, 2 * (one.shape - codes.shape), atol=1e-5)


def test_one_prompt_for_each_object(editor):
    codes = editor.sample(seeds=[0, 1])
    both = editor.edit(codes, ["a red chair", "a blue chair"])
    for row, text in enumerate(["a red chair", "a blue chair"]):
        alone = editor.edit(codes[row], text)
        assert torch.allclose(both[row].appearance, alone.appearance, atol=1e-5)
        assert torch.allclose(both[row].shape, alone.shape, atol=1e-5)
    with pytest.raises(UsageError, match="3 prompts for 2 objects"):
        editor.edit(codes, ["a", "b", "c"])


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty_text(editor, text):
    with pytest.raises(UsageError, match="empty"):
        editor.edit(editor.sample(seeds=[0]), text)


@pytest.mark.parametrize("name", ["shape", "appearance"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_strength_that_is_no_number(editor, name, value):
    with pytest.raises(UsageError, match=f"strength of {name} is {value}"):
        editor.edit(editor.sample(seeds=[0]), "a red chair", **{name: value})


def test_unknown_words_are_warned_of_once(editor):
    codes = editor.sample(seeds=[0])
    with pytest.warns(UserWarning, match="zyxwv") as caught:
        editor.edit(codes, "a zyxwv chair")
        editor.edit(codes, "a zyxwv chair")
    assert len([w for w in caught if "zyxwv" in str(w.message)]) == 1


def test_text_that_is_too_long_is_warned_of(editor):
    with pytest.warns(UserWarning):
        editor.edit(editor.sample(seeds=[0]), "a chair " + "with armrests " * 60)


def test_a_camera_in_the_place_of_the_angles(editor):
    codes = editor.sample(seeds=[0, 1])
    one = editor.generator.camera(30.0, 20.0, 16)
    expected = editor.render(codes, 30, 20, 16)
    assert torch.equal(editor.render(codes, camera=one).rgb, expected.rgb)
    two = editor.generator.camera(torch.tensor([30.0, 90.0]), 20.0, 16)
    views = editor.render(codes, camera=two)
    assert torch.allclose(views.rgb[0], expected.rgb[0], atol=1e-5)
    turned = editor.render(codes[0], camera=two)
    assert len(turned.rgb) == 2 and not torch.allclose(turned.rgb[0], turned.rgb[1])
    with pytest.raises(UsageError, match="2 cameras for 3 objects"):
        editor.render(editor.sample(seeds=[0, 1, 2]), camera=two)


def test_an_angle_for_each_picture(editor):
    codes = editor.sample(seeds=[0])
    views = editor.render(codes, np.array([0.0, 90.0, 180.0]), 10, 16)
    assert torch.allclose(views.rgb[1], editor.render(codes, 90, 10, 16).rgb[0], atol=1e-5)
    with pytest.raises(UsageError, match="azimuth_deg is nan"):
        editor.render(codes, float("nan"))
    with pytest.raises(UsageError, match="2 values of azimuth_deg and 3"):
        editor.render(codes, [0.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="size is 0"):
        editor.render(codes, size=0)


def test_the_orbit_shows_its_objects_side_by_side_and_turns_once(editor, tmp_path):
    codes = editor.sample(seeds=[0, 1])
    frames = read_video(editor.orbit(codes, tmp_path / "a.mp4", frames=4, size=32, fps=5))
    for number, frame in enumerate(frames):
        view = editor.render(codes, number * 90.0, 20, 32).rgb
        expected = torch.cat(list(view), dim=2).permute(1, 2, 0).numpy() * 255
        assert np.abs(frame - expected).mean() < 12


def test_an_orbit_in_pieces_finds_each_objects_empty_space_once(editor, tmp_path, monkeypatch):
    codes = editor.sample(seeds=[0, 1])
    whole = read_video(editor.orbit(codes, tmp_path / "whole.mp4", frames=5, size=16))
    built: list[int] = []
    build = DensityGrid.build

    def counting(*arguments, **options):
        built.append(1)
        return build(*arguments, **options)

    monkeypatch.setattr(DensityGrid, "build", counting)
    monkeypatch.setattr("clipnerf.editor.views.ORBIT_PIXELS", 2 * 2 * 16 * 16)
    pieces = read_video(editor.orbit(codes, tmp_path / "pieces.mp4", frames=5, size=16))
    assert len(built) == 2
    assert pieces.shape == whole.shape and np.abs(pieces.astype(int) - whole).max() <= 1
    assert np.abs(whole[0].astype(int) - whole[2]).max() > 10


def test_an_error_while_frames_are_rendered_ahead_leaves_no_video(editor, tmp_path, monkeypatch):
    render = CachedRenderer.render

    def breaking(self, camera, *arguments, **options):
        if len(camera) == 1:
            raise ClipNerfError("the last frame cannot be rendered")
        return render(self, camera, *arguments, **options)

    monkeypatch.setattr(CachedRenderer, "render", breaking)
    monkeypatch.setattr("clipnerf.editor.views.ORBIT_PIXELS", 2 * 16 * 16)
    with pytest.raises(ClipNerfError, match="the last frame"):
        editor.orbit(editor.sample(seeds=[0]), tmp_path / "a.mp4", frames=5, size=16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"size": 15}, "height is 15"),
        ({"fps": 0}, "fps is"),
        ({"elevation_deg": float("nan")}, "elevation_deg is nan"),
        ({"path": "a.gif"}, "only .mp4"),
    ],
)
def test_an_orbit_that_cannot_be(editor, tmp_path, arguments, message):
    arguments = {"path": "a.mp4", "frames": 2, "size": 16, **arguments}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(UsageError, match=message):
        editor.orbit(editor.sample(seeds=[0]), **arguments)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_orbit_is_found_before_rendering(editor, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(CachedRenderer, "render", lambda *a, **k: pytest.fail("rendered"))
    with pytest.raises(ClipNerfError, match="file"):
        editor.orbit(editor.sample(seeds=[0]), tmp_path / "file" / "a.mp4", size=16)


def test_no_bundle(tmp_path):
    with pytest.raises(UsageError, match="no generator.safetensors"):
        Editor.load(tmp_path / "nothing")


def test_a_mapper_of_another_generator_is_refused(tmp_path):
    folder = tiny_bundle(tmp_path)
    tiny_generator(seed=99).save(folder / "generator.safetensors")
    with pytest.raises(UsageError, match="trained for generator") as caught:
        Editor.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_bundle_without_mappers_can_be_looked_at(bundle, tmp_path):
    shutil.copy(bundle / "generator.safetensors", tmp_path)
    editor = Editor.load(tmp_path, device="cpu")
    codes = editor.sample(seeds=[0])
    assert editor.render(codes, size=8).rgb.shape == (1, 3, 8, 8)
    assert editor.edit(codes, "a red chair", shape=0.0, appearance=0.0) is codes
    with pytest.raises(UsageError, match="no CLIP model"):
        editor.edit(codes, "a red chair")


def test_a_missing_mapper_is_named_only_if_it_is_needed(editor):
    half = Editor(editor.generator, editor.clip, [editor.mappers["appearance"]])
    codes = half.sample(seeds=[0])
    assert isinstance(half.edit(codes, "a red chair", shape=0.0), Codes)
    with pytest.raises(UsageError, match="no mapper for shape.*--which shape"):
        half.edit(codes, "a red chair")


def test_the_mappers_are_the_bundles(editor):
    assert set(editor.mappers) == {"shape", "appearance"}
    assert all(isinstance(mapper, Mapper) for mapper in editor.mappers.values())


def test_things_of_any_other_type_are_taken_or_refused_in_one_line():
    """Texts, seeds, paths, numbers, codes: in a process of its own, where nothing checks types."""
    quick = r"^(?!invert (mask|background|framing)|mesh resolution)"
    run = [sys.executable, "-m", "tests.editor.odd_arguments", "tell", quick]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    *said, count = done.stdout.splitlines()
    taken = {line.removeprefix("TAKEN ") for line in said if line.startswith("TAKEN ")}
    assert len(taken) == len([line for line in said if line.startswith("TAKEN ")])
    assert [line for line in said if not line.startswith("TAKEN ")] == []
    assert int(count) > 1500
    assert {"sample seeds: 5", "sample seeds: [5]", "sample seeds: {1, 2}"} <= taken
    assert not any("b'words'" in line or "bytearray" in line for line in taken)
