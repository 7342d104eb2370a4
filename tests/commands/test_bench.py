"""What ``clipnerf bench`` measures and writes; never how fast."""

import json
from pathlib import Path

import pytest
import torch

from clipnerf.commands.bench import bench
from clipnerf.commands.bench.fields import fields
from clipnerf.commands.bench.hash_grids import backends, hash_grids, sweep
from clipnerf.commands.bench.report import _preset, table
from clipnerf.commands.bench.timing import Figure, copy_bandwidth, peak_memory_gb
from clipnerf.commands.bench.training import GPU_STEP, large, training
from clipnerf.config.generator import FieldConfig, GeneratorConfig
from clipnerf.config.machine import BenchConfig
from clipnerf.config.pretrain import PretrainConfig
from clipnerf.errors import UsageError
from clipnerf.fields.backends import native_library
from clipnerf.fields.layout import GridLayout
from clipnerf.gan.autoencoder import Autoencoder
from clipnerf.gan.trainer import Trainer
from clipnerf.training.allocator import Allocator
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
ENTANGLED = FieldConfig(conditioning="entangled")
TRAINING = ["generator forward", "generator backward", "discriminator without", "R1", "the rest"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr("clipnerf.commands.bench.hash_grids.CPU_POINTS", 256)
    monkeypatch.setattr("clipnerf.commands.bench.fields.CPU_POINTS", 64)
    monkeypatch.setattr("clipnerf.commands.bench.timing.CPU_COPY", 2**12)
    monkeypatch.setattr("clipnerf.commands.bench.views.SIZES", (16,))
    monkeypatch.setattr("clipnerf.commands.bench.views.ORBIT_SIZES", (16,))
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
    assert "random weights" in figures["one view, 16 x 16"]["note"]
    assert not any(name.startswith("edit") for name in figures)
    assert figures["hash grid torch"]["unit"] == "Mpoints/s"
    assert figures["copy bandwidth"]["value"] > 0.01
    machine = json.loads(path.read_text())["machine"]
    assert machine["threads"] == 1 and "torch" in machine["versions"]


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_a_bundle_is_edited_with_both_mappers(small, tmp_path):
    (tmp_path / "bundle").mkdir()
    folder = tiny_bundle(tmp_path / "bundle")
    path = bench(BenchConfig(**{**vars(small), "bundle": str(folder)}))
    figures = figures_of(path)
    assert "both mappers" in figures["edit, 16 x 16"]["note"]
    assert str(folder) in figures["orbit, 16 x 16, rendered"]["note"]
    assert figures["orbit, 16 x 16"]["unit"] == "frames/s"


def test_without_ffmpeg_frames_are_rendered_and_no_video_is_written(small, monkeypatch, capsys):
    monkeypatch.setattr("clipnerf.commands.bench.views.video_problem", lambda: "ffmpeg is missing")
    names = figures_of(bench(small))
    assert "orbit, 16 x 16, rendered" in names and "orbit, 16 x 16" not in names
    assert "no video, since ffmpeg is missing" in capsys.readouterr().err


def test_the_parts_of_a_step_are_measured_on_the_trainer_as_it_is(small):
    figures = figures_of(bench(small))
    shares = [f["note"] for f in figures.values() if f["unit"] == "ms/step"]
    assert len(shares) == 8 and all(share.endswith("%") for share in shares)


def test_what_giving_back_costs_is_seen(small, monkeypatch):
    preset = Path(small.preset)
    preset.write_text(preset.read_text() + "autoencoder: {weight: 20, fakes: 2}\n")
    weights = []
    inner = Autoencoder.weight

    def weight(self, kimg_after_soft):
        weights.append(inner(self, kimg_after_soft))
        return weights[-1]

    monkeypatch.setattr(Autoencoder, "weight", weight)
    monkeypatch.setattr(Trainer, "kimg", 64.0)  # the middle of a preset of 128
    figures = {f.name: f.value for f in training(_preset(small.preset), 0.01, torch.device("cpu"))}
    assert figures["training"] > 0 and figures["training, nothing given back"] > 0
    assert set(weights) == {12.0}


def test_a_step_with_freed_memory_kept_against_one_without(small, monkeypatch, capsys):
    told = []
    monkeypatch.setattr("clipnerf.commands.bench.memory.set_thresholds", told.append)
    monkeypatch.setattr("clipnerf.commands.bench.memory.allocator", lambda: Allocator(True, "kept"))
    figure = figures_of(bench(small))["training, freed memory kept"]
    assert figure["value"] > 0 and figure["unit"] == "x" and "page faults" in figure["note"]
    assert told == [False, True, True, False, False, True, True]
    off = Allocator(False, "it is off")
    monkeypatch.setattr("clipnerf.commands.bench.memory.allocator", lambda: off)
    assert "training, freed memory kept" not in figures_of(bench(small))
    assert "since it is off" in capsys.readouterr().err


def test_the_large_step_is_the_promised_one():
    config = large(PretrainConfig())
    assert (config.batch, config.discriminator.patch) == (GPU_STEP["batch"], GPU_STEP["patch"])
    assert config.generator.samples == 48 and config.data.size == 256


def test_a_cpu_has_the_reference_backend_alone_and_no_launches_to_try():
    cpu = torch.device("cpu")
    assert set(backends(GridLayout(), torch.float32, cpu)) == {"torch"}
    assert sweep(0.01, cpu) == []
    assert [f.name for f in hash_grids(0.01, cpu, 64)][:3] == [
        "copy bandwidth",
        "hash grid, times a naive one",
        "hash grid torch",
    ]
    assert copy_bandwidth(0.01, cpu) > 1e7


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


@pytest.mark.parametrize("field", [FieldConfig(), FieldConfig(view_direction=True), ENTANGLED])
def test_every_backend_of_the_field_is_timed_in_turn(field, monkeypatch):
    monkeypatch.setattr("clipnerf.commands.bench.fields.CPU_POINTS", 64)
    cpu = torch.device("cpu")
    found = {f.name.strip(): f for f in fields(GeneratorConfig(field=field), 0.01, cpu)}
    ahead, back = (found[f"field torch, {way}"].value for way in ("forward", "with backward"))
    assert (
        ahead > 0.5 * back > 0
    )  # 64 points in a hundredth of a second, on a machine that is shared
    if native_library.problem(cpu, GridLayout()) is None:
        assert found["native, times torch, forward"].value > 0
        assert "on the CPU" in found["field native, forward"].note
