import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training import checkpoints
from clipnerf.training.run_folder import RunFolder


@dataclass(frozen=True)
class Inner:
    levels: int = 6
    scales: tuple[float, ...] = (1.0, 0.25)


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    steps: int = 10
    path: Path = Path("pictures")
    lr: float = 1e-3


def _open(path, config=None, **changes):
    asked = {"command": "pretrain", "seed": 0, "dataset_fingerprint": "f00", **changes}
    return RunFolder.open(path, config=config or Outer(), **asked)


def _lines(path):
    return [json.loads(line) for line in (path / "stats.jsonl").read_text().splitlines()]


def test_a_fresh_folder_describes_the_run(tmp_path):
    with _open(tmp_path / "new" / "run") as run:
        assert run.load_state() is None
    written = yaml.safe_load((run.path / "config.yaml").read_text())
    assert written == {
        "inner": {"levels": 6, "scales": [1.0, 0.25]},
        "steps": 10,
        "path": "pictures",
        "lr": 1e-3,
    }
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["command"] == "pretrain" and manifest["seed"] == 0
    assert manifest["dataset_fingerprint"] == "f00"
    assert len(manifest["starts"]) == 1
    assert manifest["starts"][0]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_the_same_config_resumes(tmp_path):
    with _open(tmp_path) as run:
        run.save_state(3, {"w": torch.arange(4), "lr": 0.5, "names": ["a", "b"]})
    with _open(tmp_path, replace(Outer(), steps=99)) as run:
        step, state = run.load_state()
    assert step == 3 and state["lr"] == 0.5 and state["names"] == ["a", "b"]
    assert torch.equal(state["w"], torch.arange(4))
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["steps"] == 99
    assert len(json.loads((tmp_path / "manifest.json").read_text())["starts"]) == 2


def test_a_key_that_came_after_a_run_was_begun_had_its_default(tmp_path):
    _open(tmp_path).close()
    config = tmp_path / "config.yaml"
    # as runs were before that key and before digests
    text = config.read_text().partition("\n")[2]
    config.write_text(text.replace("lr: 0.001\n", ""))
    with pytest.raises(UsageError, match="lr = 0.001, and 0.5 is asked for"):
        _open(tmp_path, Outer(lr=0.5))
    _open(tmp_path).close()
    assert "lr: 0.001" in config.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": Outer(inner=Inner(levels=8))}, "inner.levels = 6, and 8 is asked for"),
        ({"config": Outer(inner=Inner(scales=(1.0,)))}, r"inner.scales = \[1.0, 0.25\]"),
        ({"config": Inner()}, "inner.levels = 6, and '\\(not set\\)' is asked for"),
        ({"command": "train-clip"}, "command = 'pretrain', and 'train-clip'"),
        ({"seed": 5}, "seed = 0, and 5"),
        ({"dataset_fingerprint": "bad"}, "have changed since it was begun .f00 then, bad now"),
    ],
)
def test_another_run_is_refused_and_left_alone(tmp_path, changes, message):
    _open(tmp_path).close()
    before = {file: (tmp_path / file).read_bytes() for file in ("config.yaml", "manifest.json")}
    with pytest.raises(UsageError, match=message) as caught:
        _open(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert before == {file: (tmp_path / file).read_bytes() for file in before}


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not a run folder and not empty.*thesis.tex"):
        _open(tmp_path)
    (tmp_path / "thesis.tex").unlink()
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="is not the manifest of a run"):
        _open(tmp_path)


def test_an_output_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a part of the path is a file"):
        _open(tmp_path / "file" / "run")


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    code = (
        "import sys\n"
        "from clipnerf.errors import UsageError\n"
        "from clipnerf.training.run_folder import _lock\n"
        "from pathlib import Path\n"
        "try:\n"
        "    _lock(Path(sys.argv[1]))\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with _open(tmp_path):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "another process is training in" in said
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "foreign"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_previous(tmp_path, damage):
    with _open(tmp_path) as run:
        run.save_state(3, {"w": torch.full((1000,), 3.0)})
        run.save_state(6, {"w": torch.full((1000,), 6.0)})
    newest = tmp_path / "checkpoints" / "state.pt"
    if damage == "missing":
        newest.unlink()
    elif damage == "foreign":
        torch.save({"a": 1}, newest)
    else:
        newest.write_bytes(newest.read_bytes()[: 900 if damage == "truncated" else 0])
    with _open(tmp_path) as run:
        if damage == "missing":
            step, state = run.load_state()
        else:
            with pytest.warns(UserWarning, match="resuming from state.prev.pt, step 3"):
                step, state = run.load_state()
        assert step == 3 and state["w"][0] == 3
        # The damaged file must not take the good one's place.
        run.save_state(4, {"w": torch.full((1000,), 4.0)})
        (tmp_path / "checkpoints" / "state.pt").unlink()
        step, _ = run.load_state()
    assert step == 3


def test_no_checkpoint_that_can_be_read(tmp_path):
    with _open(tmp_path) as run:
        run.save_state(3, {})
        (tmp_path / "checkpoints" / "state.pt").write_bytes(b"nonsense")
        with pytest.raises(ClipNerfError, match="no checkpoint.*remove that folder") as caught:
            run.load_state()
    assert not isinstance(caught.value, UsageError) and "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    with _open(tmp_path) as run:
        torch.save({"step": 1, "state": {"x": Evil()}}, tmp_path / "checkpoints" / "state.pt")
        with pytest.raises(ClipNerfError, match="no checkpoint"):
            run.load_state()
    assert not (tmp_path / "pwned").exists()


def test_a_full_disk_keeps_the_last_state(tmp_path, monkeypatch):
    def full(self, data):
        with open(self, "wb") as file:
            file.write(bytes(data)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with _open(tmp_path) as run:
        run.save_state(3, {"w": torch.ones(10)})
        run.save_state(4, {"w": torch.ones(10)})
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            with pytest.raises(ClipNerfError, match="state.pt.*disk is full"):
                run.save_state(5, {"w": torch.ones(10)})
        assert run.load_state()[0] == 4
        assert sorted(os.listdir(tmp_path / "checkpoints")) == ["state.prev.pt", "state.pt"]


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(checkpoints.os, "link", refuse)
    with _open(tmp_path) as run:
        run.save_state(1, {"a": 1})
        run.save_state(2, {"a": 2})
        (tmp_path / "checkpoints" / "state.pt").unlink()
        assert run.load_state() == (1, {"a": 1})


def test_a_kill_at_any_moment_of_saving_never_loses_a_state(tmp_path):
    code = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from clipnerf.training.checkpoints import load_state, save_state\n"
        "folder = Path(sys.argv[1])\n"
        "step = (load_state(folder) or (0, {}))[0]\n"
        "weights = torch.zeros(200_000)\n"
        "while True:\n"
        "    step += 1\n"
        "    save_state(folder, step, {'w': weights + step})\n"
        "    print(step, flush=True)\n"
    )
    draw = random.Random(0)
    last_said = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        said = [process.stdout.readline() for _ in range(3)]
        time.sleep(draw.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines()
        process.wait()
        assert int(said[0]) > last_said
        last_said = int([line for line in said if line.strip()][-1])
        step, state, _ = checkpoints.load_state(tmp_path)
        assert step >= last_said
        assert (state["w"] == step).all()
    assert not (tmp_path / checkpoints.BROKEN).exists()


def test_stats_are_trimmed_on_resume(tmp_path):
    with _open(tmp_path) as run:
        for step in range(1, 7):  # a step is logged when it is done
            run.log(step, loss=float(step), note="x")
            if step == 4:
                run.save_state(4, {})
    with (tmp_path / "stats.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    with _open(tmp_path) as run:
        assert run.load_state()[0] == 4
        assert [line["step"] for line in _lines(tmp_path)] == [1, 2, 3, 4]
        run.log(5, loss=50.0)
    assert [line["step"] for line in _lines(tmp_path)] == [1, 2, 3, 4, 5]
    assert _lines(tmp_path)[3] == {"step": 4, "loss": 4.0, "note": "x"}
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.value for event in board.Scalars("loss")] == [1.0, 2.0, 3.0, 4.0, 50.0]


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe{}\n", b"[" * 9000 + b"\n", b"[1]\n", b'{"step": "a"}\n']
)
def test_damaged_lines_of_stats_are_dropped_alone(tmp_path, damage):
    with _open(tmp_path) as run:
        run.log(1, loss=1.0)
        run.save_state(2, {})
    file = tmp_path / "stats.jsonl"
    file.write_bytes(damage + file.read_bytes().rstrip(b"\n"))
    with _open(tmp_path) as run:
        assert run.load_state()[0] == 2
        run.log(3, loss=3.0)
    assert [line["step"] for line in _lines(tmp_path)] == [1, 3]


def test_stats_of_a_run_without_checkpoint_start_again(tmp_path):
    with _open(tmp_path) as run:
        run.log(0, loss=1.0)
    with _open(tmp_path) as run:
        assert run.load_state() is None
    assert _lines(tmp_path) == []


def test_a_full_disk_while_logging(tmp_path):
    with _open(tmp_path) as run:
        (tmp_path / "stats.jsonl").symlink_to("/dev/full")
        with pytest.raises(ClipNerfError, match="stats.jsonl.*disk is full"):
            run.log(0, loss=1.0)
        run._stats = None


def test_pictures(tmp_path):
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    with _open(tmp_path) as run:
        path = run.picture(120, "rgb", picture)
    assert path == tmp_path / "previews" / "rgb-0000120.png"
    assert np.array_equal(np.asarray(Image.open(path)), picture)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Images("rgb")] == [120]


def test_what_a_killed_process_left_is_swept(tmp_path):
    _open(tmp_path).close()
    left = tmp_path / "checkpoints" / ".state.123-abc.tmp.pt"
    left.write_bytes(b"half")
    _open(tmp_path).close()
    assert not left.exists()


@pytest.mark.parametrize("name", [".lock", "manifest.json", "stats.jsonl", "checkpoints/state.pt"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_in_the_place_of_files_are_not_opened(tmp_path, name, kind):
    with _open(tmp_path / "run") as run:
        run.save_state(1, {"number": 1})
    file = tmp_path / "run" / name
    file.unlink(missing_ok=True)
    os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="no file but a pipe or a device; remove it"):
        _open(tmp_path / "run")


def test_a_file_in_the_place_of_the_checkpoints_is_named(tmp_path):
    _open(tmp_path / "run").close()
    (tmp_path / "run" / "checkpoints").rmdir()
    (tmp_path / "run" / "checkpoints").write_text("x")
    with pytest.raises(UsageError, match="checkpoints' is no folder; remove it"):
        _open(tmp_path / "run")
