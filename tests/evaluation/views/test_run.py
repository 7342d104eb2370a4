"""The study from the command line, on a tiny bundle and on folders of drawn pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipnerf.cli import main
from tests.tiny_bundle import tiny_bundle
from tests.vision.conftest import COLORS, draw

STUDY = ["study", "view-consistency"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


def write_views(folder: Path, azimuths: list[float], without: tuple[str, ...] = ()) -> Path:
    """Three objects by their colors; wide from the front, tall from the side.

    Opposite sides are 140 degrees apart, as the camera is 20 degrees above the horizon.
    """
    rng = np.random.RandomState(0)
    folder.mkdir()
    rows = []
    for color in COLORS:
        for azimuth in azimuths:
            name = f"{color}-{azimuth:g}.png"
            form = "wide" if azimuth % 180 < 45 else "tall"
            Image.fromarray(draw(color, form, rng)).save(folder / name)
            row = {"file_name": name, "object_id": color, "azimuth_deg": azimuth}
            row |= {"elevation_deg": 20}
            rows.append({key: value for key, value in row.items() if key not in without})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def run(*argv, out: Path) -> dict:
    assert main([*STUDY, *map(str, argv), "--out", str(out), "--device", "cpu"]) == 0
    return json.loads((out / "view-consistency.json").read_text())


def fails(capsys, *argv) -> str:
    assert main([*STUDY, *map(str, argv)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("clipnerf: error: ") and said.count("\n") == 1
    return said


def test_a_bundle(bundle, tmp_path, capsys):
    out = tmp_path / "study"
    found = run(bundle, "--objects", 3, "--views", 6, "--seed", 5, out=out)
    said = capsys.readouterr().out.splitlines()
    png = out / "view-consistency.png"
    assert said[-2:] == [str(out / "view-consistency.json"), str(png)]
    assert any(line.split() == "objects: 3, seeds 5 to 7".split() for line in said)
    assert found["same_object"]["pairs"] == 3 * 15 and found["same_view"]["pairs"] == 6 * 3
    assert sum(each["spread"]["pairs"] for each in found["by_angle"]) == 3 * 15
    assert 0 <= found["closer_interval"][0] <= found["closer"] <= found["closer_interval"][1] <= 1
    assert found["nearest_chance"] == pytest.approx(1 / 3)
    assert found["about"]["views"] == "6 of each, elevations 8 to 42 degrees"
    assert "18 of 16 px" in found["about"]["pictures"]
    assert found["config"]["seed"] == 5 and "torch" in found["versions"]
    with Image.open(png) as picture:
        assert picture.size == (1200, 470)
    again = run(bundle, "--objects", 3, "--views", 6, "--seed", 5, out=tmp_path / "again")
    assert {**again, "config": 0} == {**found, "config": 0}
    assert (tmp_path / "again" / png.name).read_bytes() == png.read_bytes()
    other = run(bundle, "--objects", 3, "--views", 6, "--seed", 6, out=tmp_path / "other")
    assert other["same_view"] != found["same_view"]


def test_a_folder_needs_no_generator(bundle, tmp_path):
    data = write_views(tmp_path / "data", [0.0, 90.0, 180.0, 270.0])
    clip = bundle / "clip.safetensors"
    found = run("nowhere", "--data", data, "--clip", clip, out=tmp_path / "out")
    assert found["same_object"]["pairs"] == 3 * 6 and found["same_view"]["pairs"] == 4 * 3
    assert [each["from_deg"] for each in found["by_angle"]] == [60, 120]
    assert found["about"]["objects"] == "3: blue, green, red"
    assert found["about"]["clip"].startswith(str(clip))
    assert "12 of 12, 16 px" in found["about"]["pictures"]


def test_some_of_a_folder_from_the_same_sides(bundle, tmp_path):
    data = write_views(tmp_path / "data", [0.0, 50.0, 100.0, 150.0, 200.0])
    asked = (bundle, "--data", data, "--objects", 2, "--views", 3)
    found = [run(*asked, "--seed", seed, out=tmp_path / f"{seed}") for seed in range(6)]
    for each in found:
        assert each["same_object"]["pairs"] == 2 * 3 and each["same_view"]["pairs"] == 3
    assert len({each["about"]["objects"] for each in found}) > 1
    assert "6 of 15" in found[3]["about"]["pictures"]
    assert "drawn by seed 3" in found[3]["about"]["pictures"]


def test_views_that_only_nearly_agree(bundle, tmp_path, capsys):
    data = write_views(tmp_path / "data", [0.0, 90.0])
    rows = [json.loads(line) for line in (data / "metadata.jsonl").read_text().split("\n")]
    for number, row in enumerate(rows):
        row["azimuth_deg"] += 2.0 * number
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = fails(capsys, bundle, "--data", data, "--out", tmp_path / "out")
    assert "no two objects are seen from one view" in said and "--same_view_deg" in said
    wide = run(bundle, "--data", data, "--same_view_deg", 10, out=tmp_path / "out")
    assert wide["same_view"]["pairs"] == 2 * 3


@pytest.mark.parametrize(
    ("without", "named"),
    [
        (("object_id",), "no object_id:"),
        (("azimuth_deg", "elevation_deg"), "no azimuth_deg or elevation_deg:"),
    ],
)
def test_a_folder_that_says_too_little(bundle, tmp_path, capsys, without, named):
    data = write_views(tmp_path / "data", [0.0, 90.0], without)
    said = fails(capsys, bundle, "--data", data, "--out", tmp_path / "out")
    assert f"6 of 6 pictures in {data} have {named} blue-0.png" in said
    assert "needs object_id, azimuth_deg, elevation_deg of every picture in metadata.jsonl" in said


def test_nothing_that_can_be_used(bundle, tmp_path, capsys):
    out = ["--out", tmp_path / "out"]
    assert "nowhere" in fails(capsys, "nowhere", *out)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "clip.safetensors").write_bytes((bundle / "clip.safetensors").read_bytes())
    assert "generator.safetensors" in fails(capsys, bare, *out)
    assert "5000 pictures" in fails(capsys, bundle, "--objects", 50, "--views", 100, *out)
    assert "objects is 1; allowed: 2 to" in fails(capsys, bundle, "--objects", 1, *out)
    assert "same_view_deg is 31.0; allowed" in fails(capsys, bundle, "--same_view_deg", 31, *out)
