"""Whole runs of two ranks: they resume as one rank and back, only rank 0 writes, and a rank that
dies or refuses ends them all. Command lines, real ranks, gloo."""

import json
import time
from pathlib import Path

import pytest

from clipnerf.cli import main
from clipnerf.training.checkpoints import load_state
from tests.training.conftest import VERBS, command_line
from tests.training.launch import finish, start_ranks, torchrun

FILES = {
    "pretrain": "generator.safetensors",
    "train-clip": "clip.safetensors",
    "train-mapper": "mapper_shape.safetensors",
}


def steps_of(out: Path) -> list[int]:
    """The steps in stats.jsonl that have a loss."""
    found = [json.loads(line) for line in (out / "stats.jsonl").read_text().splitlines()]
    return [line["step"] for line in found if "loss" in line or "loss_g" in line]


@pytest.mark.filterwarnings("ignore:the mapper rarely reaches")
@pytest.mark.parametrize("verb", VERBS)
def test_a_run_goes_on_with_another_number_of_ranks(job, verb):
    out = job.places[0] / verb
    assert steps_of(out) == [1, 2, 3, 4, 5, 6]
    assert load_state(out / "checkpoints")[0] == 6 and (out / FILES[verb]).is_file()
    manifest = json.loads((out / "manifest.json").read_text())
    assert [start["ranks"] for start in manifest["starts"]] == [2, 1, 2]


def test_only_rank_0_writes(job):
    assert list(job.places[1].rglob("*")) == []


def test_another_run_in_the_folder_ends_every_rank_and_is_said_once(job):
    (code, _, err), (other_code, _, other_err) = job.ended
    assert (code, other_code) == (2, 2)
    said = [line for line in (err + other_err).splitlines() if "error" in line]
    assert said == [
        "clipnerf: error: 'pretrain' holds a run with seed = 0, and 1 is asked for; "
        "give another --out, or the same value to resume"
    ]


@pytest.mark.parametrize("verb, key", [("pretrain", "batch"), ("train-mapper", "objects")])
def test_a_batch_that_ranks_cannot_share(inputs, tmp_path, monkeypatch, capsys, verb, key):
    monkeypatch.setenv("WORLD_SIZE", "2")
    command = command_line(inputs, verb, f"--{key}", "5", "--out", str(tmp_path / "out"))
    assert main(command) == 2
    assert f"{key} is 5, which 2 ranks cannot share evenly" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_rank_that_is_killed_ends_the_job_with_a_line_and_a_good_checkpoint(inputs, tmp_path):
    out = tmp_path / "out"
    checkpoint = out / "checkpoints" / "state.pt"
    command = command_line(inputs, "pretrain", "--steps", "1000000", "--out", str(out))
    job = torchrun("tests.training.rank_verbs", "--dies-after", str(checkpoint), *command)
    code, _, err = finish(job)
    assert code != 0
    said = [line for line in err.splitlines() if line.startswith("clipnerf: error")]
    assert len(said) == 1 and said[0].startswith("clipnerf: error: rank 0 of 2"), err
    assert "the last checkpoint is kept, and the same command resumes from it" in said[0]
    step = load_state(out / "checkpoints")[0]
    assert step >= 2 and step % 2 == 0
    assert main(command_line(inputs, "pretrain", "--steps", str(step + 1), "--out", str(out))) == 0
    assert steps_of(out) == list(range(1, step + 2))


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs proc(5)")
def test_a_rank_that_waits_for_one_that_is_silent_heeds_sigterm_all_the_same(inputs, tmp_path):
    """No handler of Python's runs while it waits; torchrun would kill it without a word."""
    checkpoint = tmp_path / "out" / "checkpoints" / "state.pt"
    command = command_line(inputs, "pretrain", "--steps", "1000000", "--out", str(tmp_path / "out"))
    waits, silent = start_ranks(
        "-m", "tests.training.rank_verbs", "--freezes-after", str(checkpoint), *command
    )
    try:
        until = time.monotonic() + 60
        while state_of(silent.pid) != "T" and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1)  # until it waits for the message
        waits.terminate()
        code, _, err = finish(waits)
    finally:
        silent.kill()
        silent.communicate()
    assert code == 1
    said = [line for line in err.splitlines() if line.startswith("clipnerf: error")]
    assert len(said) == 1 and said[0].startswith("clipnerf: error: rank 0 of 2 was told to stop")
    assert load_state(checkpoint.parent)[0] >= 2


def state_of(pid: int) -> str:
    """A process's state in the words of proc(5): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
