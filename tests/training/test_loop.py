"""The loop of all trainings, with a training of one number."""

import dataclasses
import json
import math
import random
from pathlib import Path

import pytest
import torch

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io import atomic
from clipnerf.io.weights import load_weights, save_weights
from clipnerf.training import checkpoints
from clipnerf.training import loop as module
from clipnerf.training.loop import Task, run_task, single_process
from clipnerf.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Config:
    out: str = ""
    data: str = "here"
    steps: int = 6
    lr: float = 0.5
    seed: int = 0
    log_every: int = 1
    checkpoint_every: int = 2


class Sum(Task):
    """Two stages; the second adds up what the first has left."""

    name, advice, covered = "sum", "lower lr", ("data",)

    def __init__(self, config: Config, early: bool = True) -> None:
        self.config, self.early = config, early
        self.weight, self.average = torch.zeros(3), torch.zeros(3)

    @property
    def stages(self):
        return {"first": 2, "second": self.config.steps - 2}

    def advance(self, stage, number):
        self.weight = self.weight + (1 if stage == "first" else self.config.lr * (number + 1))
        self.average = self.average.lerp(self.weight, 0.5)
        return {"loss": self.weight.sum()}

    def state(self):
        return {"weight": self.weight, "average": self.average, "optimizer": {"m": [self.weight]}}

    def load(self, step, state):
        self.step, self.weight, self.average = step, state["weight"], state["average"]

    def validate(self, stage, run, say):
        (run.path / "previews" / f"{self.step}.txt").write_text("seen")
        return {"mean": float(self.average.mean())}

    def export(self, folder):
        return [
            save_weights(folder / "sum.safetensors", {"x": self.average}, kind="sum", config={})
        ]


def train(config, early=True, task=None, **more):
    task = task or Sum(config, early)
    run_task(task, config, "pretrain", "f00", validate_every=3, **more)
    return task


def outcome(config):
    """All that a finished run is, but for times."""
    out = Path(config.out)
    return (
        [json.loads(line) for line in (out / "stats.jsonl").read_text().splitlines()],
        sorted(path.name for path in (out / "previews").iterdir()),
        load_weights(out / "sum.safetensors", "sum").tensors["x"].tolist(),
        checkpoints.load_state(out / "checkpoints")[0],
    )


class Killed(BaseException):
    pass


@pytest.mark.parametrize("early", [True, False])
def test_killed_at_any_boundary_between_two_writes_the_same_command_gives_the_same_run(
    tmp_path, monkeypatch, early
):
    whole = Config(str(tmp_path / "whole"))
    train(whole, early)
    expected = outcome(whole)
    assert expected[1] == ["2.txt", "3.txt", "6.txt"] and expected[3] == 6
    replace, log = atomic.os.replace, RunFolder.log
    boundary = 0
    while True:
        config = dataclasses.replace(whole, out=str(tmp_path / f"killed {boundary}"))
        passed = 0

        def at(kill=boundary):
            nonlocal passed
            passed += 1
            if passed == kill + 1:
                raise Killed

        def replaced(*paths):
            at()
            replace(*paths)
            at()

        def logged(self, step, **scalars):
            at()
            log(self, step, **scalars)
            at()

        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "replace", replaced)
            patch.setattr(RunFolder, "log", logged)
            try:
                train(config, early)
            except Killed:
                pass
            else:
                break
        train(config, early)
        assert outcome(config) == expected, boundary
        boundary += 1
    assert boundary > 20


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("what", "log_every"),
    [("weight", 1), ("weight", 100), ("average", 1), ("average", 100), ("loss", 1)],
)
def test_nothing_that_is_not_finite_is_saved_or_exported(tmp_path, what, value, log_every):
    class Poisoned(Sum):
        def advance(self, stage, number):
            scalars = super().advance(stage, number)
            if self.step == 3:
                if what == "loss":
                    return {"loss": torch.tensor(value)}
                setattr(self, what, torch.tensor([0.0, value, 0.0]))
            return scalars

    config = Config(str(tmp_path / "run"), log_every=log_every)
    with pytest.raises(ClipNerfError, match=f"step 4: not finite any more: .*{what}.*lower lr"):
        train(config, task=Poisoned(config))
    step, state, _ = checkpoints.load_state(tmp_path / "run" / "checkpoints")
    assert step == 2 and not list(module.not_finite(state))
    load_weights(tmp_path / "run" / "sum.safetensors", "sum")
    with pytest.raises(ClipNerfError, match="not finite"):
        save_weights(tmp_path / "x", {"x": torch.tensor([value])}, kind="sum", config={})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("damage", ["missing", "of another state"])
def test_a_finished_run_whose_export_is_missing_or_stale_exports_again(tmp_path, early, damage):
    config = Config(str(tmp_path / "run"))
    train(config, early)
    file = tmp_path / "run" / "sum.safetensors"
    good = outcome(config)
    file.unlink()
    if damage != "missing":
        save_weights(file, {"x": torch.zeros(3)}, kind="sum", config={})
    train(config, early)
    assert outcome(config) == good
    inode = file.stat().st_ino
    train(config, early)  # as it is: not written again
    assert file.stat().st_ino == inode


def test_fewer_steps_than_there_are_is_said(tmp_path):
    config = Config(str(tmp_path / "run"))
    train(config)
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(UsageError, match="is at step 6 already, and 4 are asked for"):
        train(dataclasses.replace(config, steps=4))
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    longer = dataclasses.replace(config, steps=8)
    train(longer)
    assert outcome(longer)[3] == 8


def test_a_bit_that_flipped_in_a_checkpoint_is_noticed(tmp_path):
    config = Config(str(tmp_path / "run"))
    train(config)
    folder = tmp_path / "run" / "checkpoints"
    (folder / "state.prev.pt").unlink()
    newest = folder / "state.pt"
    good, draw = newest.read_bytes(), random.Random(0)
    for place in [*range(0, 90, 5), *(draw.randrange(len(good)) for _ in range(60))]:
        bad = bytearray(good)
        bad[place] ^= 1 << draw.randrange(8)
        newest.write_bytes(bad)
        with pytest.raises(ClipNerfError, match="no checkpoint in .* can be read") as error:
            train(dataclasses.replace(config, steps=8))
        assert "\n" not in str(error.value)
    newest.write_bytes(good)
    train(dataclasses.replace(config, steps=8))


@pytest.mark.parametrize("change", [{"weight": None}, {"average": 3}, {"optimizer": None}])
def test_a_state_of_another_shape_is_refused_in_a_line(tmp_path, change):
    class Strict(Sum):
        def load(self, step, state):
            super().load(step, state)
            self.weight.add(self.average.mean())
            state["optimizer"]["m"]

    config = Config(str(tmp_path / "run"))
    train(config)
    step, state, _ = checkpoints.load_state(tmp_path / "run" / "checkpoints")
    state |= change
    state = {key: value for key, value in state.items() if value is not None}
    checkpoints.save_state(tmp_path / "run" / "checkpoints", step, state)
    with pytest.raises(ClipNerfError, match="does not fit this training") as error:
        train(dataclasses.replace(config, steps=8), task=Strict(dataclasses.replace(config)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.yaml", "manifest.json"])
@pytest.mark.parametrize("damage", ["folder", "missing", "empty", "torn", "a list", "binary"])
def test_a_damaged_run_folder_is_refused_in_a_line(tmp_path, name, damage):
    config = Config(str(tmp_path / "run"))
    train(config)
    file = tmp_path / "run" / name
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        changed = {"empty": b"", "torn": content[: len(content) // 2], "a list": b"[1, 2]"}
        file.write_bytes(changed.get(damage, b"\x80\x00\xff"))
    with pytest.raises(UsageError) as error:
        train(config)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_what_refuses_before_the_first_step_claims_no_folder(tmp_path):
    def refuse():
        raise UsageError("metrics_clip is nowhere")

    config = Config(str(tmp_path / "new" / "run"))
    with pytest.raises(UsageError, match="nowhere"):
        train(config, prepare=refuse)
    assert list(tmp_path.iterdir()) == []
    train(dataclasses.replace(config, lr=0.25))


def test_the_same_data_by_another_path_resumes_and_other_data_is_named(tmp_path):
    config = Config(str(tmp_path / "run"))
    train(config)
    train(dataclasses.replace(config, data="./here", steps=8))
    with pytest.raises(UsageError, match="data or models .* have changed since it was begun"):
        run_task(Sum(config), config, "pretrain", "another")


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(module.distributed, "world_size", lambda: 3)
    with pytest.raises(UsageError, match="train-region under 3 processes"):
        with single_process("train-region", "cpu"):
            raise AssertionError("must not be entered")


def test_threads_are_set(monkeypatch):
    before = torch.get_num_threads()
    try:
        with single_process("train-region", "cpu", threads=1) as device:
            assert device.type == "cpu" and torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_key_that_ends_like_a_covered_one_is_compared(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Loss:
        data: float = 1.0

    @dataclasses.dataclass(frozen=True)
    class Weighted(Config):
        loss: Loss = dataclasses.field(default_factory=Loss)

    config = Weighted(str(tmp_path / "run"))
    train(config)
    with pytest.raises(UsageError, match=r"loss\.data = 1\.0, and 2\.0"):
        train(dataclasses.replace(config, loss=Loss(2.0)))
