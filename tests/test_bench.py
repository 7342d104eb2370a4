"""What ``clipnerf bench`` measures and writes; never how fast."""

import json

import pytest
import torch

from clipnerf.bench import Figure, bench, peak_memory_gb, table
from clipnerf.config.verbs import BenchConfig
from clipnerf.errors import UsageError
from tests.tiny_bundle import tiny_bundle

PRESET = """
data: {size: 16}
generator:
  box: [0.6, 0.6, 0.8]
  samples: 4
  render_samples: 4
  field: {code_dim: 16, style_dim: 8, levels: 2, log2_rows: 8, finest_resolution: 16,
          deform_width: 8, density_width: 8, color_width: 8}
discriminator: {patch: 8, width: 4, max_width: 8}
batch: 2
steps: 100
"""
TRAINING = ["generator forward", "generator backward", "discriminator without", "R1", "the rest"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr("clipnerf.bench.POINTS", 256)
    preset = tmp_path / "preset.yaml"
    preset.write_text(PRESET)
    return BenchConfig(
        bundle=str(tmp_path / "none"),
        preset=str(preset),
        out=str(tmp_path / "out" / "bench.json"),
        seconds=0.01,
        threads=1,
    )


def figures_of(path) -> dict[str, dict]:
    return {figure["name"].strip(): figure for figure in json.loads(path.read_text())["figures"]}


def test_the_table_and_the_file_without_a_bundle(small, capsys):
    path = bench(small)
    figures = figures_of(path)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(figures)
    for line, name in zip(printed[1:], figures, strict=True):
        assert line.strip().startswith(name)
    assert all(figure["value"] >= 0 for figure in figures.values())
    assert figures["hash grid, times a naive one"]["goal"] == ">= 2.5"
    for start in TRAINING:
        assert any(name.startswith(start) for name in figures), start
    parts = sum(f["value"] for f in figures.values() if f["unit"] == "ms/step")
    assert parts == pytest.approx(1000 * 2 / figures["training"]["value"], rel=0.5)
    assert "random weights" in figures["one view, 64 x 64"]["note"] and "edit" not in figures
    machine = json.loads(path.read_text())["machine"]
    assert machine["threads"] == 1 and "torch" in machine["versions"]


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_a_bundle_is_edited_with_both_mappers(small, tmp_path):
    (tmp_path / "bundle").mkdir()
    folder = tiny_bundle(tmp_path / "bundle")
    path = bench(BenchConfig(**{**vars(small), "bundle": str(folder)}))
    figures = figures_of(path)
    assert "both mappers" in figures["edit"]["note"]
    assert str(folder) in figures["orbit"]["note"]


def test_without_a_file_only_the_table_is_printed(small, capsys):
    assert bench(BenchConfig(**{**vars(small), "out": ""})) is None
    assert "hash grid" in capsys.readouterr().out


def test_a_preset_that_is_none_is_named(small, tmp_path):
    with pytest.raises(UsageError, match=r"missing\.yaml"):
        bench(BenchConfig(**{**vars(small), "preset": str(tmp_path / "missing.yaml")}))
    assert not (tmp_path / "out" / "bench.json").exists()


def test_lines_hold_value_unit_and_goal():
    machine = {"cpu": "a CPU", "threads": 2, "device": "CPU only"}
    lines = table([Figure("training", 31.25, "images/s", ">= 25", "batch 16")], machine)
    assert lines[0] == "a CPU, 2 threads, CPU only"
    assert lines[1].split() == "training 31.25 images/s goal >= 25 batch 16".split()


def test_peak_memory_is_that_of_this_process():
    assert 0.05 < peak_memory_gb(torch.device("cpu")) < 100
