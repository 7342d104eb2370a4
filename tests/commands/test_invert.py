"""The verb invert, its file, and editing what was found."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from clipnerf.commands import edit, orbit
from clipnerf.commands.invert import invert
from clipnerf.config.editing import EditConfig, OrbitConfig
from clipnerf.config.inversion import InversionConfig, InvertConfig
from clipnerf.editor import Editor
from clipnerf.errors import UsageError
from clipnerf.inversion.result import load_codes
from clipnerf.io.video import read_video
from tests.tiny_bundle import tiny_bundle

QUICK = InversionConfig(size=16, samples=4, starts=2, rough_steps=5, steps=6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def photo(bundle, tmp_path_factory):
    view = Editor.load(bundle, "cpu").render(Editor.load(bundle, "cpu").sample([3]), 40, 20, 32)
    levels = view.rgb[0].clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
    path = tmp_path_factory.mktemp("photo") / "a chair.png"
    Image.fromarray(levels).save(path)
    return path


@pytest.fixture(scope="module")
def written(bundle, photo, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "found"
    config = InvertConfig(
        bundle=str(bundle),
        photo=str(photo),
        out=str(out),
        video=True,
        device="cpu",
        frame="none",
        inversion=QUICK,
    )
    return invert(config), out


def test_codes_sheet_and_video_are_written(written):
    report, out = written
    names = ["codes.safetensors", "inversion.mp4", "inversion.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert np.asarray(Image.open(out / "inversion.png")).shape[1] > 7 * 128
    frames = read_video(out / "inversion.mp4")
    assert frames.shape[1:] == (128, 256, 3) and len(frames) >= 10
    said = report.lines()
    assert said[0].startswith("PSNR ") and "azimuth" in said[1]
    assert said[2:] == [str(path) for path in report.paths]


def test_the_file_brings_back_codes_and_cameras(written, bundle):
    report, out = written
    editor = Editor.load(bundle, "cpu")
    saved = load_codes(out / "codes.safetensors", editor.generator.hash)
    assert saved.names == ("a chair.png",) and saved.size == 16
    codes = report.found.codes
    assert torch.equal(saved.codes.shape, codes.shape)
    assert torch.equal(saved.codes.detail.appearance, codes.detail.appearance)
    camera = saved.cameras(editor.generator.config.camera)
    again = editor.render(saved.codes, camera=camera).rgb
    shown = editor.render(codes, camera=report.found.cameras, size=64).rgb
    assert torch.equal(again, shown)
    with pytest.raises(UsageError, match="belong to the generator"):
        load_codes(out / "codes.safetensors", "0" * 16)


def test_a_file_of_an_earlier_version_says_explained(written, tmp_path):
    _, out = written
    tensors, metadata = {}, {}
    with safe_open(out / "codes.safetensors", "pt") as file:
        metadata = file.metadata()
        for name in file.keys():  # noqa: SIM118
            tensors[name.replace("foreground_r2", "explained")] = file.get_tensor(name)
    assert "explained" in tensors
    metadata.pop("digest")
    metadata["format_version"] = "1"
    save_file(tensors, tmp_path / "codes.safetensors", metadata)
    new = load_codes(out / "codes.safetensors")
    assert torch.equal(load_codes(tmp_path / "codes.safetensors").foreground_r2, new.foreground_r2)


def test_what_was_found_is_edited_and_filmed(written, bundle, tmp_path):
    _, out = written
    codes = str(out / "codes.safetensors")
    (sheet,) = edit.edit(
        EditConfig(
            bundle=str(bundle),
            codes=codes,
            text="a red chair",
            size=16,
            out=str(tmp_path / "e.png"),
            device="cpu",
        )
    )
    assert sheet.is_file()
    (video,) = orbit.orbit(
        OrbitConfig(
            bundle=str(bundle),
            codes=codes,
            frames=3,
            size=16,
            out=str(tmp_path / "o.mp4"),
            device="cpu",
        )
    )
    assert read_video(video).shape == (3, 16, 16, 3)


def test_an_edit_of_colors_leaves_the_found_geometry_alone(written, bundle):
    report, _ = written
    editor = Editor.load(bundle, "cpu")
    codes = report.found.codes
    edited = editor.edit(codes, "a red chair", shape=0, appearance=1)
    assert edited.detail is codes.detail
    before, after = editor.render(codes, 30, 20, 16), editor.render(edited, 30, 20, 16)
    assert torch.equal(before.opacity, after.opacity)
    assert not torch.equal(before.rgb, after.rgb)
    way = editor.interpolate(editor.sample([0]), codes, 3)
    assert torch.equal(way[1].detail.shape, 0.5 * codes.detail.shape)


def test_the_editor_inverts_paths_and_tensors(bundle, photo):
    editor = Editor.load(bundle, "cpu")
    found = editor.invert([photo, photo], QUICK, framing="none")
    assert len(found) == 2
    # two places of one batch
    torch.testing.assert_close(found.psnr[0], found.psnr[1], atol=0.05, rtol=0)
    view = editor.render(editor.sample([1]), 10, 20, 16).rgb
    assert len(editor.invert(view, QUICK)) == 1
    with pytest.raises(UsageError, match="tensor of shape"):
        editor.invert(torch.zeros(3, 3), QUICK)


def test_a_photo_is_one_however_it_is_given(bundle, photo):
    editor = Editor.load(bundle, "cpu")
    levels = np.asarray(Image.open(photo))
    forms = [photo, str(photo), Image.open(photo), levels, torch.from_numpy(levels.copy())]
    found = editor.invert(forms, QUICK, mask=np.ones(levels.shape[:2], bool))
    assert all(torch.equal(found.pictures[0], each) for each in found.pictures[1:])
    rendered = editor.render(editor.sample([1]), 10, 20, 16).rgb
    mixed = editor.invert([photo, rendered, rendered.numpy()], QUICK)
    assert torch.equal(mixed.pictures[1:], rendered.clamp(0, 1).expand(2, -1, -1, -1))


def test_the_verb_is_the_editor(written, bundle, photo):
    report, _ = written
    found = Editor.load(bundle, "cpu").invert(photo, QUICK, framing="none")
    assert torch.equal(found.codes.shape, report.found.codes.shape)
    assert torch.equal(found.pictures, report.found.pictures)


def test_an_encoder_of_another_generator_is_refused(bundle, tmp_path):
    import shutil

    from clipnerf.config.inversion import EncoderConfig
    from clipnerf.inversion.encoder import Encoder
    from tests.tiny_bundle import CODE_DIM

    other = shutil.copytree(bundle, tmp_path / "bundle")
    Encoder(EncoderConfig(size=16, width=4), CODE_DIM, "f" * 16).save(other / "encoder.safetensors")
    with pytest.raises(UsageError, match="encoder .* belongs to the generator f+"):
        Editor.load(other, "cpu")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.png"], "the photo 'nothing.png' does not exist"),
        ([], "photo is ''"),
        (["photo.png", "--inversion.starts", "0"], "starts is 0"),
        (["photo.png", "--background", "green"], "background"),
    ],
)
def test_misuse_is_one_line(bundle, tmp_path, arguments, says):
    command = [sys.executable, "-m", "clipnerf", "invert", str(bundle), *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2 and says in run.stderr
    assert run.stderr.strip().count("\n") == 0
