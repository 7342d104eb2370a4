"""clipnerf evaluate on a tiny bundle, from the command line: what it measures, says and refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from clipnerf.cli import main
from clipnerf.config.evaluation import RecognizerConfig
from clipnerf.editor import Editor
from clipnerf.evaluation.generation import feature_figures
from clipnerf.gan.generator import Generator
from clipnerf.io.html import LARGEST
from clipnerf.mappers.universal import FILE_NAME
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.recognizer import Recognizer
from tests.tiny_bundle import tiny_bundle, tiny_generator, tiny_universal

WISHES = [
    {"prompt": "a red chair", "wanted": {"color": "red"}, "shape": 0, "appearance": 1},
    {"prompt": "a blue chair", "wanted": {"color": "blue"}, "shape": 0, "appearance": 1},
    {"prompt": "a wide chair", "wanted": {"width": "wide"}, "shape": 1, "appearance": 0},
    {"prompt": "a narrow chair", "wanted": {"width": "narrow"}, "shape": 1, "appearance": 0},
]
FEW = ["--objects", "3", "--samples", "16", "--size", "16", "--device", "cpu"]


def write_recognizer(path: Path, seed: int = 0, **attributes: list[str]) -> Path:
    """With random weights: it reads something off every picture, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        attributes = attributes or {
            "armrests": ["no", "yes"],
            "color": ["blue", "red"],
            "width": ["narrow", "wide"],
        }
        config = RecognizerConfig(attributes=attributes, size=16, width=4)
        recognizer = Recognizer(config)
        recognizer.heads.weight.data.mul_(30)
        recognizer.heads.bias.data[0] += 8  # no armrests, confidently
        recognizer.save(path)
    return path


def entangled_generator() -> Generator:
    """Of the same size as that of the tiny bundle."""
    config = tiny_generator().config
    field = replace(config.field, conditioning="entangled")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        generator = Generator(replace(config, field=field))
        for table in generator.field.grid.parameters():
            table.normal_()
        for layer in [*generator.field.density_layers, *generator.field.color_layers]:
            layer.weight.mul_(2)
            if layer.film is not None:
                layer.film.weight.mul_(8)
    return generator


def write_evaluation(bundle: Path) -> Path:
    """The folder that a bundle brings along, but for a judge."""
    folder = bundle / "evaluation"
    folder.mkdir()
    write_recognizer(folder / "recognizer.safetensors")
    entangled_generator().save(folder / "entangled.safetensors")
    (folder / "wishes.yaml").write_text(yaml.safe_dump(WISHES))
    (folder / "evaluation.yaml").write_text("category: chairs\n")
    return folder


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("clipnerf.commands.evaluate.TIMED", 2)
    # absent, wherever the tests run: the network looks at 260 pixels
    monkeypatch.setattr(feature_figures.feature_network, "_wheel_file", lambda package: None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle"))
    write_evaluation(folder)
    return folder


@pytest.fixture()
def bare(tmp_path) -> Path:
    (tmp_path / "bare").mkdir()
    return tiny_bundle(tmp_path / "bare")


def fails(capsys, *argv) -> str:
    assert main(["evaluate", *map(str, argv)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("clipnerf: error: ") and said.count("\n") == 1
    return said


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
@pytest.mark.filterwarnings("ignore:.* pictures in .* are smaller than")
def test_everything_at_hand_is_measured(bundle, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", str(bundle), *FEW, "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [str(out / "evaluation.json"), str(out / "evaluation.html")]
    text = "\n".join(said)
    assert "judge: absent; not measured: matching" in text
    assert "seeds 1000 to 1002" in text and "16 chairs drawn with seed 1" in text

    found = json.loads((out / "evaluation.json").read_text())
    assert set(found["networks"]) == {"guide", "generator", "recognizer", "entangled"}
    assert found["networks"]["generator"]["hash"] == tiny_generator().hash
    paper = found["kinds"]["paper"]
    assert [r["prompt"] for r in paper["results"]] == [wish["prompt"] for wish in WISHES]
    assert paper["silhouette_iou"] == 1 and paper["opacity_equal"] is True
    assert paper["palette_distance"] > 0 and set(paper["seconds"]) == {"64", "128"}
    assert set(paper["distances"]["guide"]) == {"appearance", "shape"}
    assert paper["distances"]["guide"]["shape"]["pictures"] == 8
    assert paper["words"]["guide"]["matching"]["shape"]["ways"] == 2
    assert len(paper["results"][0]["has"]) == 3 and paper["routing"]["objects"] == 3
    assert found["disentanglement"]["silhouette_iou"] == 1
    assert found["entangled"]["silhouette_iou"] < 1
    assert found["variety"]["guide"]["protocol"]["reals"] == 16
    assert found["provenance"]["config"]["first_seed"] == 1000
    names = [row["name"] for row in found["targets"]]
    assert "named attribute is true, colors" in names and len(names) == len(set(names))
    # a reader of random weights is not to be trusted with anything
    assert found["accuracy"]["armrests"] < 0.75 and "not counted:     armrests, color" in text

    page = (out / "evaluation.html").read_text()
    assert len(page.encode()) <= LARGEST
    assert "a narrow chair" in page and "<script" not in page
    assert sorted(p.name for p in out.iterdir()) == ["evaluation.html", "evaluation.json"]


@pytest.mark.filterwarnings("ignore:.* pictures in .* are smaller than")
def test_the_network_that_no_training_sees(bare, tmp_path, capsys, monkeypatch):
    (bare / "clip.safetensors").unlink()
    argv = ["evaluate", str(bare), *FEW, "--category", "chairs", "--out", str(tmp_path / "out")]
    assert main([*argv, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "EfficientNet-Lite2: absent; pip install 'clipnerf[features]'" in " ".join(said.split())
    torch.manual_seed(0)
    network = FeatureNetwork(feature_figures.NETWORK, "random")
    network.size = 32
    monkeypatch.setattr("clipnerf.commands.evaluate.features_absence", lambda: None)
    monkeypatch.setattr("clipnerf.commands.evaluate.load_judge", lambda device: network)
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert "EfficientNet-Lite2, ImageNet, random" in text and "floor, other real pictures" in text
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["variety"] == {} and found["networks"]["features"]["hash"] == network.hash
    assert found["features"]["floor"]["samples"] == found["features"]["generated"]["samples"] == 16
    assert (
        "Frechet distance, EfficientNet-Lite2, ImageNet"
        in (tmp_path / "out" / "evaluation.html").read_text()
    )

    trained = {feature_figures.TRAINED_AGAINST: feature_figures.NETWORK}
    tiny_generator().save(bare / "generator.safetensors", extra=trained)
    said = fails(capsys, *argv[1:])
    assert "was trained against the features of tf_efficientnet_lite2" in said


def write_universal(bundle: Path) -> None:
    """A universal mapper with random weights, bound to the bundle."""
    editor = Editor.load(bundle, "cpu")
    assert editor.clip is not None
    hashes = {"generator_hash": editor.generator.hash, "clip_hash": editor.clip.hash}
    tiny_universal(editor.clip.embed_dim, **hashes).save(bundle / FILE_NAME)


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
@pytest.mark.filterwarnings("ignore:'a .* chair' ")
def test_two_kinds_of_mapper_stand_side_by_side(bare, bundle, tmp_path, capsys):
    write_universal(bare)
    out, folder = tmp_path / "out", bundle / "evaluation"
    files = ["--wishes", str(folder / "wishes.yaml"), "--neutral", "a chair"]
    files += ["--recognizer", str(folder / "recognizer.safetensors")]
    assert main(["evaluate", str(bare), *FEW, *files, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    head = next(line for line in said.splitlines() if line.endswith("target"))
    assert head.split() == ["bundle", "paper", "universal", "target"]
    found = json.loads((out / "evaluation.json").read_text())
    paper, universal = found["kinds"]["paper"], found["kinds"]["universal"]
    assert [r["prompt"] for r in paper["results"]] == [r["prompt"] for r in universal["results"]]
    assert universal["silhouette_iou"] == 1 and universal["left_out"] == {}
    assert "others stay, colors" in [row["name"] for row in found["targets"]]
    assert paper["words"]["guide"]["direction"] != universal["words"]["guide"]["direction"]
    assert "below: after the edit by paper, then by universal" in (
        (out / "evaluation.html").read_text()
    )
    assert main(["evaluate", str(bare), *FEW, *files, "--out", str(out), "--dry-run"]) == 0
    assert "paper, universal" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_a_judge_that_is_the_guide_is_said_to_be(bundle, tmp_path, capsys):
    out, clip = tmp_path / "out", bundle / "clip.safetensors"
    argv = ["evaluate", str(bundle), *FEW, "--judge", str(clip), "--out", str(out)]
    assert main(argv) == 0
    assert "THE SAME WEIGHTS AS THE GUIDE" in capsys.readouterr().out
    assert "no independent judgement" in (out / "evaluation.html").read_text().replace("\n", " ")
    found = json.loads((out / "evaluation.json").read_text())
    matches = [row for row in found["targets"] if row["name"].startswith("5-way")]
    assert [row["met"] for row in matches] == [{"paper": None}] * 2


def test_without_anything_the_codes_are_still_measured(bare, tmp_path, capsys):
    (bare / "clip.safetensors").unlink()
    for file in bare.glob("mapper_*"):
        file.unlink()
    out = tmp_path / "out"
    assert main(["evaluate", str(bare), *FEW, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for name in ("clip", "wishes", "data", "judge", "recognizer", "entangled"):
        assert f"{name}: absent; not measured: " in text
    found = json.loads((out / "evaluation.json").read_text())
    assert found["kinds"] == {} and found["variety"] == {} and found["views"] is None
    assert [row["name"] for row in found["targets"]] == [
        "silhouette IoU under appearance swaps",
        "palette distance under shape swaps",
    ]


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_wishes_that_a_bundle_cannot_make_are_named(bundle, tmp_path):
    poor = tmp_path / "poor"
    poor.mkdir()
    for name in ("generator", "clip", "mapper_appearance"):
        (poor / f"{name}.safetensors").symlink_to(bundle / f"{name}.safetensors")
    out = tmp_path / "out"
    wishes = bundle / "evaluation" / "wishes.yaml"
    assert main(["evaluate", str(poor), *FEW, "--wishes", str(wishes), "--out", str(out)]) == 0
    paper = json.loads((out / "evaluation.json").read_text())["kinds"]["paper"]
    assert set(paper["left_out"]) == {"a wide chair", "a narrow chair"}
    assert set(paper["words"]["guide"]["direction"]) == {"a red chair", "a blue chair"}
    assert "mapper for shape" in (out / "evaluation.html").read_text()


def test_the_plan_says_what_is_missing_and_writes_nothing(bundle, bare, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["evaluate", str(bundle), *FEW, "--out", str(out), "--dry-run"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "pictures, edited:      36" in said and "entangled.safetensors" in said
    # three views, from other sides, recolored, and as often as the two colors drawn at once
    assert "pictures, unedited:    45" in said
    assert "judge:                 absent; give --judge" in said
    assert main(["evaluate", str(bare), "--quick", "--out", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "wishes:             absent" in said and "pictures, unedited: 24" in said
    assert not out.exists()


def test_nothing_that_can_be_used(bundle, bare, tmp_path, capsys):
    out = ["--out", tmp_path / "out"]
    assert "nowhere" in fails(capsys, "nowhere", *out)
    none = tmp_path / "none.safetensors"
    for key in ("recognizer", "entangled", "wishes", "judge", "data"):
        said = fails(capsys, bundle, *FEW, f"--{key}", none, *out)
        assert "none.safetensors" in said
    said = fails(capsys, bundle, "--entangled", bundle / "generator.safetensors", *out)
    assert "is no entangled generator (conditioning is 'disentangled')" in said
    assert "category is 'sofas'; allowed: chairs or cars" in fails(
        capsys, bundle, "--category", "sofas", *out
    )
    assert "objects is 1; allowed: 2 to 1024" in fails(capsys, bundle, "--objects", 1, *out)


def test_a_recognizer_of_another_category(bundle, tmp_path, capsys):
    cars = write_recognizer(tmp_path / "cars.safetensors", body=["van", "jeep"])
    said = fails(capsys, bundle, *FEW, "--recognizer", cars, "--out", tmp_path / "out")
    assert "the wish 'a red chair' does not fit the recognizer" in said
    assert "does not read 'color'; it reads body" in said and "of one category" in said


def test_an_output_that_cannot_be_written_is_found_first(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Editor, "load", lambda *a, **k: pytest.fail("loaded first"))
    (tmp_path / "file").write_text("")
    assert "file" in fails(capsys, bundle, "--out", tmp_path / "file" / "out")
    (tmp_path / "taken" / "evaluation.html").mkdir(parents=True)
    said = fails(capsys, bundle, "--out", tmp_path / "taken")
    assert "evaluation.html' is a folder; give another --out" in said
