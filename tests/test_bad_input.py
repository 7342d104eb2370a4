"""Bad input, through the command line: one line naming it, an exit code, nothing left behind."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clipnerf.cli import main
from tests.tiny_bundle import tiny_bundle, tiny_generator

SMALL = [
    "--data.size",
    "16",
    "--steps",
    "1",
    "--batch",
    "2",
    "--discriminator.patch",
    "8",
    "--device",
    "cpu",
    "--threads",
    "1",
]


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    errors: list[str]
    warnings: list[str]


@pytest.fixture
def say(capfd):
    """Runs a command: no traceback, every message one line, none at all on stdout if it failed."""

    def run(*argv: object) -> Said:
        code = main([str(word) for word in argv])
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("clipnerf: ")]
        assert "Traceback" not in err
        errors = [line for line in lines if line.startswith("clipnerf: error: ")]
        assert len(errors) == (code != 0), err
        assert code == 0 or not out
        assert not any("unexpected" in line for line in errors), errors
        return Said(code, errors, [line for line in lines if "warning: " in line])

    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Four pictures of a colored square, with captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for n in range(4):
        picture = np.full((16, 16, 3), 255, np.uint8)
        picture[4:12, 4 + n : 10 + n] = 40 * n
        Image.fromarray(picture).save(folder / f"{n}.png")
        lines.append(json.dumps({"file_name": f"{n}.png", "text": "a square", "object_id": n}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def failed(said: Said, code: int, *words: str) -> None:
    assert said.code == code, said
    for word in words:
        assert word in said.errors[0], said.errors[0]


@pytest.mark.parametrize("verb", ["pretrain", "train-clip", "data check"])
def test_no_picture_in_the_folder(say, tmp_path, verb):
    empty, out = tmp_path / "empty", tmp_path / "run"
    empty.mkdir()
    where = {
        "pretrain": ["--data.path", empty, "--out", out, *SMALL],
        "train-clip": ["--data", empty, "--out", out],
        "data check": [empty],
    }[verb]
    said = say(*verb.split(), *where)
    failed(said, 2, "empty", "no picture")
    assert not out.exists()


@pytest.mark.parametrize("verb", ["pretrain", "train-clip", "data check"])
def test_a_folder_that_is_not_there(say, tmp_path, verb):
    missing = tmp_path / "missing"
    where = {
        "pretrain": ["--data.path", missing, "--out", tmp_path / "run", *SMALL],
        "train-clip": ["--data", missing, "--out", tmp_path / "run"],
        "data check": [missing],
    }[verb]
    failed(say(*verb.split(), *where), 2, "missing")
    assert not list(tmp_path.iterdir())


def test_a_broken_picture_is_named_at_the_start(say, tmp_path, pictures):
    whole = (pictures / "2.png").read_bytes()
    (pictures / "2.png").write_bytes(whole[: len(whole) // 2])
    said = say("pretrain", "--data.path", pictures, "--out", tmp_path / "run", *SMALL)
    failed(said, 2, "2.png", "skip_broken")
    assert not (tmp_path / "run").exists()


def test_pictures_of_several_sizes_are_a_warning_that_names_them(say, tmp_path, pictures):
    Image.new("RGB", (20, 24), "white").save(pictures / "3.png")
    said = say("pretrain", "--data.path", pictures, "--out", tmp_path / "run", *SMALL, "--dry-run")
    assert said.code == 0 and any("16" in w and "24" in w for w in said.warnings), said


def test_a_caption_missing(say, tmp_path, pictures):
    lines = (pictures / "metadata.jsonl").read_text().splitlines()
    without = json.dumps({"file_name": "3.png", "object_id": 3})
    (pictures / "metadata.jsonl").write_text("\n".join([*lines[:3], without]))
    out = tmp_path / "run"
    said = say("train-clip", "--data", pictures, "--out", out, "--batch", "2", "--steps", "1")
    failed(said, 2, "3.png", "skip")
    assert not out.exists()


def test_a_misspelt_key_names_the_nearest_one(say, tmp_path, pictures):
    out = tmp_path / "run"
    said = say("pretrain", "--data.path", pictures, "--out", out, "--generator.feild.levels", "4")
    failed(said, 2, "generator.feild.levels", "generator.field.levels")
    config = tmp_path / "c.yaml"
    config.write_text("loss:\n  r1_gama: 2\n")
    said = say("pretrain", "--config", config, "--data.path", pictures, "--out", out)
    failed(said, 2, "r1_gama", "r1_gamma")
    assert not out.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", "0"),
        ("batch", "-1"),
        ("batch", "two"),
        ("loss.lr_generator", "nan"),
        ("data.size", "4"),
        ("generator.camera.fov_deg", "0"),
        ("generator.field.features", "3"),
        ("discriminator.patch", "20"),
        ("device", "tpu"),
    ],
)
def test_a_value_out_of_range(say, tmp_path, pictures, key, value):
    out = tmp_path / "run"
    said = say("pretrain", "--data.path", pictures, "--out", out, f"--{key}", value)
    failed(said, 2, key, value)
    assert not out.exists()


@pytest.mark.parametrize("key", ["shape", "appearance"])
@pytest.mark.parametrize("value", ["nan", "inf", "1000"])
def test_nan_as_strength(say, tmp_path, bundle, key, value):
    out = tmp_path / "edit.png"
    said = say("edit", bundle, "--text", "a red chair", f"--{key}", value, "--out", out)
    failed(said, 2, key, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_text(say, tmp_path, bundle, text):
    failed(say("edit", bundle, "--text", text, "--out", tmp_path / "edit.png"), 2, "text")
    assert not list(tmp_path.iterdir())


def test_text_longer_than_the_context_says_what_was_cut(say, tmp_path, bundle):
    text = "a red chair with high back and low armrests " * 6 + "in blue"
    said = say(
        "edit",
        bundle,
        "--text",
        text,
        "--seeds",
        "0",
        "--size",
        "8",
        "--device",
        "cpu",
        "--out",
        tmp_path / "edit.png",
    )
    assert said.code == 0 and any("in blue" in warning for warning in said.warnings), said


@pytest.mark.parametrize("text", ["красный стул", "一把红色的椅子", "zyxwv qwrtz", "!!!", "🪑"])
def test_text_of_unknown_words_is_a_warning_that_names_them(say, tmp_path, bundle, text):
    out = tmp_path / "edit.png"
    said = say("edit", bundle, "--text", text, "--seeds", "0", "--size", "8", "--out", out)
    assert said.code == 0 and out.is_file()
    warned = [line for line in said.warnings if "has never seen" in line]
    assert len(warned) == 1 and text.split()[0] in warned[0], said


def test_ten_thousand_characters_are_short_warnings(say, tmp_path, bundle):
    text = ("a red chair with armrests " * 400)[:10_000]
    out = tmp_path / "edit.png"
    said = say("edit", bundle, "--text", text, "--seeds", "0", "--size", "8", "--out", out)
    assert said.code == 0 and len([w for w in said.warnings if "was cut" in w]) == 1, said
    assert all(len(line) < 800 for line in said.warnings), said


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no picture", "is not a picture"), (b"", "is empty"), (None, "does not exist")],
)
@pytest.mark.parametrize("verb", ["edit", "orbit", "morph"])
def test_an_exemplar_that_is_no_picture(say, tmp_path, bundle, verb, content, words):
    photo = tmp_path / "photo.png"
    if content is not None:
        photo.write_bytes(content)
    out = tmp_path / ("e.png" if verb == "edit" else "e.mp4")
    failed(say(verb, bundle, "--image", photo, "--out", out), 2, "photo.png", words)
    assert not out.exists()


def test_an_exemplar_of_one_pixel(say, tmp_path, bundle):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "photo.png")
    said = say("edit", bundle, "--image", tmp_path / "photo.png", "--out", tmp_path / "e.png")
    failed(said, 2, "photo.png", "1 x 1 pixels", "8 or more")


def test_text_and_image_at_once(say, tmp_path, bundle):
    said = say("edit", bundle, "--text", "a chair", "--image", "a.png", "--out", tmp_path / "e.png")
    failed(said, 2, "text and image", "one of")


def test_weights_that_are_no_numbers(say, tmp_path, bundle):
    for weight in ("heavy", "nan", "1000"):
        prompts = f"{{a red chair: {weight}}}"
        said = say("edit", bundle, "--prompts", prompts, "--out", tmp_path / "e.png")
        failed(said, 2, "prompts", weight)
    said = say("edit", bundle, "--prompts", "a red chair", "--out", tmp_path / "e.png")
    failed(said, 2, "prompts", "a red chair")


def damaged(bundle: Path, folder: Path) -> Path:
    shutil.copytree(bundle, folder)
    return folder


@pytest.mark.parametrize(
    "name",
    ["generator.safetensors", "clip.safetensors", "mapper_shape.safetensors"],
)
def test_truncated_and_foreign_weights(say, tmp_path, bundle, name):
    copy = damaged(bundle, tmp_path / "copy")
    data = (copy / name).read_bytes()
    out = tmp_path / "edit.png"
    (copy / name).write_bytes(data[: len(data) // 2])
    failed(say("edit", copy, "--text", "a red chair", "--out", out), 2, name)
    save_file({"weight": torch.zeros(3)}, copy / name)
    failed(say("edit", copy, "--text", "a red chair", "--out", out), 2, name)
    assert not out.exists()


def test_a_mapper_of_another_generator(say, tmp_path, bundle):
    copy = damaged(bundle, tmp_path / "copy")
    tiny_generator(seed=5).save(copy / "generator.safetensors")
    said = say("edit", copy, "--text", "a red chair", "--out", tmp_path / "edit.png")
    failed(said, 2, "mapper_", "generator")


def test_a_bundle_that_is_none(say, tmp_path):
    said = say("orbit", tmp_path / "none", "--out", tmp_path / "o.mp4")
    failed(said, 2, "none", "generator.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["edit", "orbit", "demo", "pretrain", "data synthesize"])
def test_an_output_path_that_cannot_be_written(say, tmp_path, bundle, pictures, verb):
    # Below a file nobody can make a folder, not even root.
    (tmp_path / "file").write_text("precious")
    out = tmp_path / "file" / {"edit": "e.png", "orbit": "o.mp4"}.get(verb, "folder")
    options = {
        "edit": [bundle, "--text", "a red chair", "--size", "8"],
        "orbit": [bundle, "--frames", "2", "--size", "16"],
        "demo": ["--bundle", bundle, "--frames", "2", "--size", "16"],
        "pretrain": ["--data.path", pictures, *SMALL],
        "data synthesize": ["chairs", "--count", "1", "--size", "16"],
    }[verb]
    said = say(*verb.split(), *options, "--out", out)
    assert said.code in (1, 2)
    failed(said, said.code, "file", "cannot")
    assert (tmp_path / "file").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"file", "pictures"}


@pytest.mark.parametrize("verb", ["edit", "orbit", "morph", "export", "invert", "segment"])
def test_misuse_that_is_found_late_leaves_no_folder(say, tmp_path, bundle, verb):
    (tmp_path / "photo.png").write_bytes(b"no picture")
    out = (
        tmp_path
        / "new/deep"
        / {"edit": "e.png", "segment": "m.png", "export": "a.obj"}.get(verb, "e.mp4")
    )
    photo = tmp_path / "photo.png"
    options = {"invert": [bundle, photo], "segment": [photo, "--bundle", bundle, "--text", "seat"]}
    said = say(verb, *options.get(verb, [bundle, "--image", photo]), "--out", out)
    failed(said, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png"}


@pytest.mark.parametrize("verb", ["edit", "orbit"])
def test_a_disk_that_fills_up_leaves_nothing_half_written(say, tmp_path, bundle, monkeypatch, verb):
    def full(descriptor):
        raise OSError(28, os.strerror(28))

    # Whatever wrote the file, it is flushed before it gets its name.
    monkeypatch.setattr("clipnerf.io.atomic.os.fsync", full)
    name = {"edit": "e.png", "orbit": "o.mp4"}[verb]
    options = ["--size", "16", "--device", "cpu", "--seeds", "0", "--text", "a red chair"]
    if verb == "orbit":
        options += ["--frames", "2"]
    said = say(verb, bundle, *options, "--out", tmp_path / name)
    failed(said, 1, name, "disk is full")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_during_training_keeps_the_last_checkpoint(
    say, tmp_path, pictures, monkeypatch
):
    out = tmp_path / "run"
    tiny = [
        "--generator.field.levels",
        "2",
        "--generator.field.log2_rows",
        "6",
        "--generator.field.code_dim",
        "8",
        "--generator.samples",
        "2",
        "--generator.render_samples",
        "2",
        "--discriminator.width",
        "4",
        "--discriminator.max_width",
        "4",
    ]
    blank = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr("clipnerf.gan.train.preview_sheet", lambda generator, size: blank)
    command = ["pretrain", "--data.path", pictures, "--out", out, *SMALL, *tiny]
    assert say(*command).code == 0
    before = {p: p.read_bytes() for p in (out / "checkpoints").iterdir()}

    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("clipnerf.training.checkpoints.Path.write_bytes", full)
    failed(say(*command, "--steps", "3"), 1, "disk is full")
    assert {p: p.read_bytes() for p in (out / "checkpoints").iterdir()} == before


def test_a_truncated_checkpoint_falls_back_with_a_warning(say, tmp_path, pictures, monkeypatch):
    out = tmp_path / "run"
    blank = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr("clipnerf.gan.train.preview_sheet", lambda generator, size: blank)
    command = ["pretrain", "--data.path", pictures, "--out", out, *SMALL]
    command += ["--generator.samples", "2", "--checkpoint_every", "1"]
    assert say(*command, "--steps", "2").code == 0
    newest = out / "checkpoints" / "state.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    said = say(*command, "--steps", "2")
    assert said.code == 0 and any("state.prev.pt, step 1" in w for w in said.warnings), said
