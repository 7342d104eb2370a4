"""Kills trainings, and compares what the same command then makes with an undisturbed run.

Every child is forked from a process that has imported all and computed nothing, so that it begins
at once. At random moments it is killed. What a kill leaves at the boundaries between two writes is
gathered in one run: at each of Python's audit events, when a file of the run is opened, renamed,
linked or removed or a folder is made, and at each line of stats.jsonl, the folder is copied, if it
has changed. The same command is then given to each copy.
"""

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

import clipnerf.clip.train
import clipnerf.commands.recognizer
import clipnerf.gan.train
import clipnerf.inversion.encoder_train
import clipnerf.mappers.train
import clipnerf.segmentation.distill
import clipnerf.segmentation.train  # noqa: F401 : all of them, so that children need no import
from clipnerf.cli import main
from clipnerf.config.parse import parse
from clipnerf.inversion.rendered_data import KnownPictures
from clipnerf.io.provenance import git_commit
from clipnerf.segmentation.pseudo_labels import PseudoLabels
from clipnerf.training import checkpoints
from clipnerf.training.run_folder import RunFolder
from tests.tiny_world import tiny_world

PseudoLabels.PART = KnownPictures.PART = 3  # of 6 shapes, so that there are several, and soon

LIMIT_S = 120
"""A child that takes longer hangs."""
_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")


@dataclass
class Tally:
    """What became of a training that was killed.

    Attributes:
        boundaries: different states of its files, between two writes of an undisturbed run.
        resumed: those of them that were resumed from.
        killed: kills at random moments that met it.
        faults: what was not as promised, a line each.
    """

    training: str
    boundaries: int = 0
    resumed: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)


class Kills:
    """All that is read, in a new folder, and trainings that can be killed.

    Args:
        folder: of one's own; each run has a folder below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = 0
        (folder / "runs").mkdir(parents=True)
        status = _child(lambda: _write_commands(folder), folder / "world.log")
        if status != 0:
            raise RuntimeError((folder / "world.log").read_text())
        self.commands: dict[str, list[str]] = json.loads((folder / "commands.json").read_text())
        git_commit()  # what takes time to look up is there for the children
        for command in self.commands.values():
            parse(command)

    def kill(self, training: str, boundaries: int, moments: int, seed: int) -> Tally:
        """Resumes it from so many boundaries, drawn at random (0: each), and kills it at random
        moments, every other time twice."""
        draw, tally = random.Random(f"{seed} {training}"), Tally(training)
        whole, again = self._place(), self._place()
        began = time.monotonic()
        status = self._run(training, whole)
        taken = time.monotonic() - began
        if status or self._run(training, again, copies=self.folder / "copies"):
            tally.faults.append(f"does not run: {_said(whole)}{_said(again)}")
            return tally
        tally.faults += [f"twice is not the same: {said}" for said in differences(whole, again)]
        copies = sorted((self.folder / "copies").iterdir(), key=lambda copy: int(copy.name))
        tally.boundaries = len(copies)
        for copy in draw.sample(copies, min(boundaries, len(copies))) if boundaries else copies:
            tally.resumed += 1
            said = self._resumed(training, whole, copy)
            tally.faults += [f"boundary {copy.name}: {each}" for each in said]
        for number in range(moments):
            place, killed = self._place(), False
            for _ in range(1 + number % 2):  # every other one twice
                after = draw.uniform(0, taken)
                if self._run(training, place, kill_after=after) == -signal.SIGKILL:
                    killed = True
                else:  # it had ended
                    taken = after
            tally.killed += killed
            said = self._resumed(training, whole, place)
            tally.faults += [f"moment {number} ({after:.3f} s): {each}" for each in said]
        for folder in (whole, again, self.folder / "copies"):
            shutil.rmtree(folder)
        return tally

    def _resumed(self, training: str, whole: Path, place: Path) -> list[str]:
        """What is wrong after the same command has been given once more."""
        status = self._run(training, place)
        said = [f"exit {status}: {_said(place)}"] if status else differences(whole, place)
        if not said:
            shutil.rmtree(place)
        return said

    def _place(self) -> Path:
        self.places += 1
        place = self.folder / "runs" / str(self.places)
        place.mkdir()
        return place

    def _run(
        self,
        training: str,
        place: Path,
        kill_after: float = LIMIT_S,
        copies: Path | None = None,
    ) -> int:
        out = "out/recognizer.safetensors" if training == "train-recognizer" else "run"
        command = [*self.commands[training], "--out", out]

        def work() -> int:
            torch.set_num_threads(1)
            os.chdir(place)
            if copies is not None:
                _copy_at_boundaries(place, copies)
            return main(command)

        return _child(work, place / "log", kill_after)


def differences(whole: Path, place: Path) -> list[str]:
    """What differs between two runs of one command, but for times; empty where nothing does."""
    names = _names(whole)
    said = [f"{name} is left or missing" for name in sorted(names ^ _names(place))]
    for name in sorted(names & _names(place)):
        if _content(whole / name) != _content(place / name):
            said.append(f"{name} is not the same")
    found = checkpoints.load_state(place / "run/checkpoints")
    for name, digest in (found[2] if found else {}).items():
        file = place / "run" / name
        if not file.is_file() or _sha256(file) != digest:
            said.append(f"{name} is not what the checkpoint says was exported")
    return said


def _names(place: Path) -> set[str]:
    files = (path.relative_to(place).as_posix() for path in place.rglob("*"))
    return {name for name in files if "tensorboard/" not in name and name != "log"}


def _content(file: Path) -> Any:
    """What has to be the same; bytes, where nothing in them is a time."""
    if file.is_dir():
        return None
    if file.name in (checkpoints.NEWEST, checkpoints.PREVIOUS):
        content = torch.load(checkpoints._checked(file), weights_only=True)
        return _plain({key: content[key] for key in ("step", "state")})
    if file.suffix == ".safetensors":  # the order of its metadata is another each time
        with safe_open(str(file), framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
            return opened.metadata(), _plain(tensors)
    if file.name == "manifest.json":
        manifest = json.loads(file.read_text())
        return {key: manifest[key] for key in manifest if key not in ("starts", "digest")}
    if file.name == "stats.jsonl":
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]
    return file.read_bytes()


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        raw = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), hashlib.sha256(raw).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _copy_at_boundaries(place: Path, copies: Path) -> None:
    """From now on, each state of ``place`` between two writes is copied to a folder of its own."""
    states: list[Any] = []
    copying = False

    def tick() -> None:
        nonlocal copying
        copying = True
        state = _state(place)
        if state not in states:
            states.append(state)
            shutil.copytree(place, copies / str(len(states)), symlinks=True)
        copying = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not copying and event in _EVENTS and isinstance(arguments[0], str | os.PathLike):
            if os.path.abspath(os.fspath(arguments[0])).startswith(f"{place}/"):
                tick()

    def log(self: RunFolder, step: int, **scalars: Any) -> None:
        original(self, step, **scalars)
        tick()

    copies.mkdir()
    original = RunFolder.log
    RunFolder.log = log  # type: ignore[method-assign]
    sys.addaudithook(hook)


def _state(place: Path) -> dict[str, Any]:
    """What its files hold, but for the numbers in temporary names, and TensorBoard's."""
    found = {}
    for path in place.rglob("*"):
        name = re.sub(r"\d+-[0-9a-f]{8}", "", path.relative_to(place).as_posix())
        if "tensorboard/" not in name and name != "log":
            found[name] = None if path.is_dir() else hash(path.read_bytes())
    return found


def _child(work: Callable[[], int], log: Path, limit_s: float = LIMIT_S) -> int:
    """Its exit code, or the signal that ended it, negative."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            with log.open("a") as file, contextlib.redirect_stdout(file):
                with contextlib.redirect_stderr(file):
                    status = work()
        finally:
            os._exit(status)
    until = time.monotonic() + limit_s
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.002)


def _write_commands(folder: Path) -> int:
    torch.set_num_threads(1)
    commands = tiny_world(folder / "world")
    (folder / "commands.json").write_text(json.dumps(commands))
    return 0


def _said(place: Path) -> str:
    return " ".join((place / "log").read_text()[-600:].split())


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
