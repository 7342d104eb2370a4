"""The whole path through the command line, in small: from nothing to an edited orbit's video."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import imageio.v2 as imageio
import pytest
import torch
import yaml

from clipnerf import Editor
from clipnerf.cli import main
from clipnerf.io.weights import weights_hash
from clipnerf.mappers.paper import Mapper

PRETRAIN = {
    "data": {"size": 16},
    "generator": {
        "box": [0.65, 0.65, 0.9],
        "samples": 4,
        "render_samples": 4,
        "field": {
            "code_dim": 16,
            "style_dim": 8,
            "levels": 2,
            "log2_rows": 8,
            "finest_resolution": 16,
            "deform_width": 8,
            "density_width": 8,
            "color_width": 8,
        },
    },
    "discriminator": {"patch": 8, "width": 4, "max_width": 8},
    "steps": 2,
    "batch": 4,
    "log_every": 1,
    "threads": 1,
    "device": "cpu",
}
CLIP = {
    "model": {
        "image_size": 32,
        "embed_dim": 16,
        "vision_width": 2,
        "text_width": 32,
        "text_layers": 1,
    },
    "steps": 2,
    "batch": 8,
    "log_every": 1,
    "threads": 1,
    "device": "cpu",
}
MAPPER = {
    "library": {
        "neutral": "a chair",
        "shape": ["a chair with armrests", "a chair without armrests"],
        "appearance": ["a red chair", "a blue chair"],
    },
    "config": {
        "mapper": {"hidden": 8},
        "steps": 2,
        "objects": 2,
        "views": 1,
        "size": 8,
        "log_every": 1,
        "device": "cpu",
    },
}


def run(*argv: object) -> list[str]:
    """The command's lines on stdout; it has to succeed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in argv])
    assert code == 0, err.getvalue()
    return out.getvalue().splitlines()


def frames_of(path) -> list:
    # not list(reader): a reader says that it is infinitely long
    with imageio.get_reader(path) as reader:
        return [frame for frame in reader]


@dataclass(frozen=True)
class Pipeline:
    """Folders of one run through all trainings, and what each command said at last."""

    root: Path
    said: dict[str, list[str]]

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    root = tmp_path_factory.mktemp("pipeline")
    for name, content in (("gan", PRETRAIN), ("clip", CLIP), ("mapper", MAPPER["config"])):
        (root / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (root / "library.yaml").write_text(yaml.safe_dump(MAPPER["library"]))
    said = {}
    said["synthesize"] = run(
        "data", "synthesize", "chairs", "--count", 20, "--size", 32, "--out", root / "data"
    )
    said["check"] = run("data", "check", root / "data")
    pretrain = ("pretrain", "--config", root / "gan.yaml", "--data.path", root / "data")
    said["pretrain"] = run(*pretrain, "--out", root / "gan")
    said["train-clip"] = run(
        "train-clip",
        "--config",
        root / "clip.yaml",
        "--data",
        root / "data",
        "--out",
        root / "clip",
    )
    (root / "bundle").mkdir()
    shutil.copy(root / "gan" / "generator.safetensors", root / "bundle")
    shutil.copy(root / "clip" / "clip.safetensors", root / "bundle")
    for which in ("shape", "appearance"):
        said[which] = run(
            "train-mapper",
            "--config",
            root / "mapper.yaml",
            "--which",
            which,
            "--generator",
            root / "gan",
            "--clip",
            root / "clip" / "clip.safetensors",
            "--library",
            root / "library.yaml",
            "--out",
            root / which,
        )
        shutil.copy(root / which / f"mapper_{which}.safetensors", root / "bundle")
    return Pipeline(root, said)


def test_every_command_ends_with_the_path_of_what_it_made(pipeline):
    root, said = pipeline.root, pipeline.said
    assert Path(said["synthesize"][-1]) == root / "data"
    assert Path(said["pretrain"][-1]) == root / "gan"
    assert Path(said["train-clip"][-1]) == root / "clip"
    for which in ("shape", "appearance"):
        assert Path(said[which][-1]) == root / which / f"mapper_{which}.safetensors"
    assert any("20" in line for line in said["check"])


def test_each_training_leaves_a_run_folder_that_explains_itself(pipeline):
    for name, command in (
        ("gan", "pretrain"),
        ("clip", "train-clip"),
        ("shape", "train-mapper"),
        ("appearance", "train-mapper"),
    ):
        folder = pipeline.root / name
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["command"] == command and "torch" in str(manifest["starts"][0]["versions"])
        assert (folder / "config.yaml").is_file()
        steps = [json.loads(line)["step"] for line in (folder / "stats.jsonl").open()]
        assert steps and max(steps) == 2
        assert list((folder / "tensorboard").iterdir())


def test_the_mappers_belong_to_this_generator_and_left_it_as_it_was(pipeline):
    editor = Editor.load(pipeline.bundle, "cpu")
    assert set(editor.mappers) == {"shape", "appearance"}
    loaded = weights_hash(dict(editor.generator.state_dict()))
    for which in ("shape", "appearance"):
        path = pipeline.bundle / f"mapper_{which}.safetensors"
        Mapper.load(path, generator_hash=loaded, clip_hash=editor.clip.hash)


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_the_bundle_edits_views_and_films(pipeline, tmp_path):
    editor = Editor.load(pipeline.bundle, "cpu")
    codes = editor.sample(seeds=[0, 1])
    edited = editor.edit(codes, "a red chair", shape=0.0, appearance=1.0)
    assert torch.equal(edited.shape, codes.shape)
    assert not torch.equal(edited.appearance, codes.appearance)
    one = editor.render(codes, azimuth_deg=30, elevation_deg=20, size=16)
    other = editor.render(edited, azimuth_deg=30, elevation_deg=20, size=16)
    assert torch.equal(one.opacity, other.opacity) and torch.equal(one.depth, other.depth)
    path = editor.orbit(edited, tmp_path / "red.mp4", frames=3, size=16)
    assert len(frames_of(path)) == 3


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_edit_and_orbit_write_their_files_with_exact_sizes(pipeline, tmp_path):
    sheet = run(
        "edit",
        pipeline.bundle,
        "--text",
        "a red chair",
        "--seeds",
        "0,1",
        "--size",
        16,
        "--device",
        "cpu",
        "--out",
        tmp_path / "edit.png",
    )
    assert Path(sheet[-1]) == tmp_path / "edit.png" and imageio.imread(sheet[-1]).shape[2] == 3
    video = run(
        "orbit",
        pipeline.bundle,
        "--text",
        "a red chair",
        "--seeds",
        "0,1,2",
        "--frames",
        5,
        "--size",
        32,
        "--device",
        "cpu",
        "--out",
        tmp_path / "orbit.mp4",
    )
    assert Path(video[-1]) == tmp_path / "orbit.mp4"
    frames = frames_of(video[-1])
    assert len(frames) == 5 and {frame.shape for frame in frames} == {(32, 96, 3)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["edit.png", "orbit.mp4"]


def test_the_same_commands_again_find_everything_done(pipeline):
    root = pipeline.root
    files = [p for p in root.rglob("*.safetensors")]
    before = {path: path.read_bytes() for path in files}
    pretrain = ("pretrain", "--config", root / "gan.yaml", "--data.path", root / "data")
    assert run(*pretrain, "--out", root / "gan") == pipeline.said["pretrain"]
    run("data", "synthesize", "chairs", "--count", 20, "--size", 32, "--out", root / "data")
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize("verb", ["pretrain", "train-clip", "train-mapper"])
def test_a_dry_run_says_where_it_would_write_and_writes_nothing(pipeline, tmp_path, verb):
    root = pipeline.root
    options = {
        "pretrain": ("--config", root / "gan.yaml", "--data.path", root / "data"),
        "train-clip": ("--config", root / "clip.yaml", "--data", root / "data"),
        "train-mapper": (
            "--config",
            root / "mapper.yaml",
            "--generator",
            root / "gan",
            "--clip",
            root / "clip" / "clip.safetensors",
            "--library",
            root / "library.yaml",
        ),
    }
    lines = run(verb, *options[verb], "--out", tmp_path / "run", "--dry-run")
    keys = {line.partition(":")[0] for line in lines}
    assert {"data", "steps", "memory", "out"} <= keys or verb == "train-mapper"
    assert any(str(tmp_path / "run") in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_two_ranks_under_torchrun_train_together(pipeline, tmp_path):
    root = pipeline.root
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "clipnerf",
        "pretrain",
        "--config",
        str(root / "gan.yaml"),
        "--device",
        "auto",
        "--data.path",
        str(root / "data"),
        "--out",
        str(tmp_path / "run"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("RANK", None)
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [str(tmp_path / "run")]
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "stats.jsonl").open()]
    assert steps == [1, 2]
    assert (tmp_path / "run" / "generator.safetensors").is_file()
