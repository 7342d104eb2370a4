"""Generators side by side, and where their pictures and the real ones come from."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import UsageError
from clipnerf.evaluation.generation.feature_figures import NETWORK, TRAINED_AGAINST
from clipnerf.evaluation.generation.side_by_side import (
    RealPair,
    SideBySide,
    drawn_pair,
    named_files,
    read_pair,
    table,
)
from clipnerf.evaluation.generation.views_with_opacity import drawn_views, generated_views
from clipnerf.evaluation.metrics.crispness import crispness
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.picture_encoder import FILE_NAME, PictureEncoder

SCRIPT = Path(__file__).parents[3] / "scripts" / "measure_generators.py"


@pytest.fixture(scope="module")
def pair() -> RealPair:
    return drawn_pair("chairs", 10, 32, (1, 2))(30.0)


def test_drawn_views_are_those_of_synthesize(tmp_path):
    views = drawn_views("cars", 3, 48, seed=5)
    data = PictureDataset(synthesize("cars", 3, 48, 5, tmp_path / "cars"), 48)
    assert torch.equal(views.rgb, data.batch(range(3)))
    # what is white is not covered, what is covered is not white
    white = views.rgb.amin(1, keepdim=True) == 1
    assert float(views.opacity[white].max()) <= 1 / 9 + 1e-6
    assert float((views.opacity * 9 - (views.opacity * 9).round()).abs().max()) < 1e-5
    found = crispness(views)
    assert found.see_through == 0 and 1 < found.edge_width < 1.7


def test_generated_views_are_the_same_again(generator):
    codes = Codes.from_seeds(range(5), 8)
    views = generated_views(generator, codes, 16, 6)
    assert views.opacity.shape == (5, 1, 16, 16) and len(views) == 5
    fewer = generated_views(generator, codes[:3], 16, 6, cameras=5)
    assert float((fewer.rgb - views.rgb[:3]).abs().max()) < 1.5 / 255
    told: list[int] = []
    generated_views(generator, codes, 16, 6, on_progress=told.append)
    assert sum(told) == 5


def test_columns_and_table(pair, generator, judge, tmp_path):
    file = tmp_path / "generator.safetensors"
    generator.save(file)
    asked: list[float] = []

    def reals_for(fov_deg: float) -> RealPair:
        asked.append(fov_deg)
        return pair

    comparison = SideBySide(reals_for, judge)
    floor, mine = comparison.floor(30.0), comparison.measure("mine", file, 10, 32)
    assert asked == [30.0]  # drawn once, looked at once
    assert floor.features.frechet < mine.features.frechet
    assert mine.about["seeds"] == [100_000, 100_009] and mine.below_half is None
    assert mine.about["hash"] == generator.hash and mine.about["ray_samples"] == 8
    lines = table([floor, mine])
    assert lines[0].split() == ["other", "reals", "mine"] and len({*map(len, lines)}) == 1
    assert any("Frechet distance, EfficientNet-Lite2, ImageNet" in line for line in lines)
    bare = [replace(each, features=None) for each in (floor, mine)]
    assert not any("EfficientNet" in line for line in table(bare))


def test_reals_follow_the_field_of_view(pair, generator, tmp_path):
    camera = replace(generator.config.camera, fov_deg=24.0)
    Generator(replace(generator.config, camera=camera)).save(tmp_path / "g.safetensors")
    asked: list[float] = []
    comparison = SideBySide(lambda fov: asked.append(fov) or pair)
    comparison.measure("near", tmp_path / "g.safetensors", 8, 32)
    assert asked == [24.0]


def test_shares_below_half_are_named(pair, generator, recognizer, tmp_path):
    generator.save(tmp_path / "g.safetensors")
    comparison = SideBySide(lambda fov: pair, None, recognizer)
    found = comparison.measure("mine", tmp_path / "g.safetensors", 8, 32)
    assert all(ratio < 0.5 for ratio in found.below_half.values())
    text = "\n".join(table([replace(found, below_half={"color red": 0.2})]))
    assert "below half, mine: color red (0.20)" in text and "–" not in text.splitlines()[-2]


def test_the_judge_is_no_opponent(pair, generator, judge, tmp_path):
    generator.save(tmp_path / "g.safetensors", extra={TRAINED_AGAINST: NETWORK})
    with pytest.raises(UsageError, match="trained against"):
        SideBySide(lambda fov: pair, judge).measure("g", tmp_path / "g.safetensors", 8, 32)


def test_halves_of_a_folder(shapes, world):
    found = read_pair(shapes, 20)(30.0)
    assert len(found.reals) == len(found.others) == 20 and "ESTIMATED" in found.source
    assert not torch.equal(found.reals.rgb, found.others.rgb)
    assert len(read_pair(shapes, 1000)(30.0).reals) == 120
    with pytest.raises(UsageError, match="holds 9 pictures; at least 16"):
        read_pair(PictureDataset(world(9, 3), 32), 20)


def test_names_of_columns(tmp_path):
    (tmp_path / "chairs").mkdir()
    found = named_files([str(tmp_path / "chairs"), "new=a/b.safetensors", "c/old.safetensors"])
    assert found == {
        "chairs": tmp_path / "chairs" / "generator.safetensors",
        "new": Path("a/b.safetensors"),
        "old": Path("c/old.safetensors"),
    }
    with pytest.raises(UsageError, match="two generators are called 'old'; give one as NAME="):
        named_files(["a/old.safetensors", "b/old.safetensors"])


def test_the_script(generator, tmp_path, capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("measure_generators", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr("clipnerf.vision.feature_network._wheel_file", lambda package: None)
    generator.save(tmp_path / "mine.safetensors")
    out = tmp_path / "out.json"
    few = ["--category", "chairs", "--samples", "8", "--size", "16", "--out", str(out)]

    def run(*argv: str) -> int:
        monkeypatch.setattr(sys, "argv", ["measure_generators.py", *argv])
        return script.main()

    assert run(str(tmp_path / "mine.safetensors"), *few) == 0
    said = capsys.readouterr().out
    assert "seeds 100000 to 100007" in said and "other reals" in said
    assert "EfficientNet-Lite2: absent" in said and "8 chairs drawn with seed 1" in said
    content = json.loads(out.read_text())
    assert [each["name"] for each in content["columns"]] == ["other reals", "mine"]
    assert content["columns"][1]["about"]["hash"] == generator.hash
    encoder = PictureEncoder(8, generator.config.camera)
    encoder.save(tmp_path / FILE_NAME, {"generator_hash": generator.hash})
    reals = synthesize("chairs", 9, 16, 3, tmp_path / "reals")
    given = [str(tmp_path / "mine.safetensors"), *few, "--given-back", str(reals)]
    assert run(*given) == 0
    said = capsys.readouterr().out
    assert "mine, given back" in said and "mine: codes of 9 reals: mean" in said
    made = json.loads(out.read_text())["columns"]
    assert made[1]["about"]["seeds"] == [100000, 100007] and made[2]["about"]["seeds"] is None
    assert made[1]["crisp"] == content["columns"][1]["crisp"] != made[2]["crisp"]
    assert run(*given, "--samples", "10") == 2
    assert "--given-back has 9 pictures; at least --samples (10)" in capsys.readouterr().err
    assert run(str(tmp_path / "none.safetensors"), *few) == 2
    assert "none.safetensors" in capsys.readouterr().err
