"""One loop for every training: steps, status lines, checks, checkpoints, previews, resuming, ranks.

A training is a :class:`Task`: its stages, what a step is, what a checkpoint holds, how it is
validated and what it exports. The rest is here, once.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.weights import not_finite, weights_hash
from clipnerf.training import distributed
from clipnerf.training.progress import Progress
from clipnerf.training.run_folder import RunFolder


class Task(ABC):
    """What one training is, apart from the loop over it.

    Attributes:
        name: what the status line begins with.
        unit, each: what the status line counts, and how many of them one step is.
        advice: what to change where numbers are no longer finite.
        covered: keys that name files whose content the fingerprint stands for: a resumed run may
            spell them differently.
        early: whether every checkpoint exports; else the last one alone.
        shown: losses that the status line shows.
    """

    name = "train"
    unit, each = "step", 1
    advice = "lower lr, in a new --out"
    covered: Sequence[str] = ()
    early = False
    shown: Sequence[str] = ("loss",)
    step = 0
    """Steps done, over all stages."""

    @property
    @abstractmethod
    def stages(self) -> Mapping[str, int]:
        """Names of the stages and their steps, in order."""

    @property
    def total(self) -> int:
        """Steps of all stages."""
        return sum(self.stages.values())

    def place(self) -> tuple[str, int]:
        """The stage of the next step, and that step's number in it."""
        done = self.step
        for name, steps in self.stages.items():
            if done < steps:
                return name, done
            done -= steps
        return "end", 0

    def start(self) -> None:  # noqa: B027 : nothing to do is the usual case
        """Prepares a fresh run: a first guess, weights of another run; on every rank."""

    @abstractmethod
    def advance(self, stage: str, number: int) -> Mapping[str, float | Tensor]:
        """One step; what there is to log of it, under the same names on every rank."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""

    @abstractmethod
    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""

    def weights(self) -> Mapping[str, Tensor]:
        """Tensors that have to be the same on every rank before the first step."""
        return {}

    def watch(self, scalars: Mapping[str, float]) -> Sequence[str]:
        """Looks at a status line, on rank 0; returns warnings, or raises ClipNerfError."""
        return ()

    def validate(
        self, stage: str, run: RunFolder, say: Callable[[str], None]
    ) -> Mapping[str, float]:
        """Measures, writes previews to ``run``, says lines; returns what is to be logged."""
        return {}

    def export(self, folder: Path) -> Sequence[Path]:
        """Writes the files that people use, and returns them."""
        return ()

    def finish(self) -> None:  # noqa: B027
        """Clears away what only a training that goes on needs."""


@dataclass(frozen=True)
class Every:
    """How often, in steps. Whatever it says, the last step of every stage has them all.

    Attributes:
        log: a line of stats.jsonl.
        checkpoint: a state to resume from: what a kill loses at most.
        validate: a validation, with its previews; 0 for the ends of stages only.
    """

    log: int = 50
    checkpoint: int = 1000
    validate: int = 0


def train(task: Task, every: Every, run: RunFolder | None = None) -> None:
    """Steps until the last one.

    A checkpoint comes last of all that belongs to its step: what it holds and what was exported is
    finite, and export, previews and lines were written before it. So a run that says it has
    finished has all its files, whenever it was killed.

    Args:
        run: the open folder; None keeps nothing on the disk, as on every rank but the first.
    Raises:
        ClipNerfError: something is no longer finite, the disk failed, or another rank is lost.
    """
    since, seen = time.perf_counter(), task.step
    with Progress(task.total * task.each, task.step * task.each, task.name, task.unit) as bar:
        while task.step < task.total:
            stage, number = task.place()
            step, ended = task.step + 1, number + 1 == task.stages[stage]
            scalars = task.advance(stage, number)
            task.step = step
            shown: dict[str, Any] = {}
            if scalars and (step % every.log == 0 or ended):
                shown = distributed.average_scalars(scalars)
                _check_finite(task, shown)
                if distributed.is_main():
                    for line in task.watch(shown):
                        bar.write(line)
                if task.unit == "img":
                    now = time.perf_counter()
                    shown["images_per_second"] = (step - seen) * task.each / (now - since + 1e-9)
                    since, seen = now, step
            named = {"stage": stage} if len(task.stages) > 1 else {}
            bar.update(task.each, **named, **{k: shown[k] for k in task.shown if k in shown})
            if run is None:
                continue
            saving = step % every.checkpoint == 0 or ended
            validating = ended or (every.validate > 0 and step % every.validate == 0)
            if saving or validating:
                _check_finite(task, task.state())
            files = task.export(run.path) if saving and (task.early or step == task.total) else ()
            if validating:
                shown |= task.validate(stage, run, bar.write)
            if shown or (named and ended):
                run.log(step, **named, **shown)
            if saving:
                run.save_state(step, task.state(), files)
            if saving or validating:
                since, seen = time.perf_counter(), step
    task.finish()


def run_task(
    task: Task,
    config: Any,
    command: str,
    fingerprint: str,
    *,
    validate_every: int = 0,
    prepare: Callable[[], None] | None = None,
) -> None:
    """Trains in ``config.out``, from the last checkpoint where there is one.

    Args:
        config: has ``out``, ``seed``, ``log_every`` and ``checkpoint_every``.
        fingerprint: of data and models; another one is another run.
        prepare: called on rank 0 before anything is written: what may refuse, refuses there.
    Raises:
        UsageError, ClipNerfError: as :meth:`RunFolder.open`, and what the task raises.
    """
    distributed.check_same("data or models", fingerprint)
    with opened_on_main(
        config.out,
        command=command,
        config=config,
        seed=config.seed,
        dataset_fingerprint=fingerprint,
        covered=task.covered,
    ) as (run, found):
        if found is None:
            task.start()
        else:
            _resume(task, config.out, found)
        if task.step > task.total:
            raise UsageError(
                f"{config.out!r} is at step {task.step} already, and {task.total} are asked for; "
                "ask for more steps, or give another --out"
            )
        distributed.check_same("weights", weights_hash(dict(task.weights())))
        if run is not None:
            if prepare is not None:
                prepare()
            run.claim()
            if found is not None and (task.early or task.step == task.total) and run.stale():
                _check_finite(task, task.state())
                run.save_state(task.step, task.state(), task.export(run.path))
        train(task, Every(config.log_every, config.checkpoint_every, validate_every), run)


def _resume(task: Task, out: str, found: tuple[int, dict[str, Any]]) -> None:
    try:
        task.load(*found)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ClipNerfError(
            f"the checkpoint in {out!r} does not fit this training ({reason}); give another --out, "
            "or the version of clipnerf that began it"
        ) from error


def _check_finite(task: Task, values: Mapping[str, Any]) -> None:
    """Raises ClipNerfError that names what is NaN or infinite among numbers and tensors."""
    bad = list(not_finite(values))
    if bad:
        raise ClipNerfError(
            f"step {task.step}: not finite any more: {', '.join(bad[:4])}; the last checkpoint is "
            f"kept; {task.advice}"
        )


@contextmanager
def opened_on_main(
    path: str | Path,
    *,
    command: str,
    config: Any,
    seed: int,
    dataset_fingerprint: str = "",
    covered: Sequence[str] = (),
) -> Iterator[tuple[RunFolder | None, tuple[int, dict[str, Any]] | None]]:
    """Opens a run, or resumes it; closes it at the end. Arguments as of :meth:`RunFolder.open`.

    Only rank 0 touches the disk, so that machines need not share one.

    Yields:
        The folder, None on other ranks; and what :meth:`RunFolder.load_state` found, on every
        rank: steps done and the state with its tensors on the CPU, None for a fresh run.

    Raises:
        UsageError: on every rank, as :meth:`RunFolder.open`.
        ClipNerfError: on every rank: there are checkpoints, and none of them can be read.
    """
    run: RunFolder | None = None

    def begin() -> tuple[int, dict[str, Any]] | None:
        nonlocal run
        run = RunFolder.open(
            path,
            command=command,
            config=config,
            seed=seed,
            dataset_fingerprint=dataset_fingerprint,
            covered=covered,
            claim=False,
        )
        return run.load_state()

    try:
        found = distributed.from_main(begin)
        yield run, found
    finally:
        if run is not None:
            run.close()


@contextmanager
def single_process(what: str, device: str | None, threads: int = 0) -> Iterator[torch.device]:
    """The device of a training that is too short to be shared.

    Raises:
        UsageError: more than one process, which ``what`` is named in.
    """
    if distributed.world_size() > 1:
        raise UsageError(
            f"{what} under {distributed.world_size()} processes; it is short work for one: run it "
            "without torchrun"
        )
    with distributed.joined(device) as found:
        if threads:
            torch.set_num_threads(threads)
        yield found
