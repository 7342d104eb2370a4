"""The run folder of a training, opened or resumed: of any number of ranks, or of one process.

With many ranks, rank 0 opens it and reads for all. Short trainings, which one process does, have
their start and their resumption here as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from clipnerf.errors import UsageError
from clipnerf.training import distributed
from clipnerf.training.run_folder import RunFolder


@contextmanager
def opened_on_main(
    path: str | Path, *, command: str, config: Any, seed: int, dataset_fingerprint: str = ""
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
        )
        return run.load_state()

    try:
        found = distributed.from_main(begin)
        yield run, found
    finally:
        if run is not None:
            run.close()


@runtime_checkable
class Resumable(Protocol):
    """A trainer whose steps can be taken up."""

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Takes up a checkpoint."""
        ...

    def run(self, run: RunFolder) -> Path:
        """Steps until the last one; returns the file of what was learned."""
        ...


@contextmanager
def alone(what: str, device: str | None, threads: int = 0) -> Iterator[torch.device]:
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


def run_or_resume(trainer: Resumable, config: Any, command: str, fingerprint: str) -> Path:
    """Runs a trainer in ``config.out``, from its last checkpoint where there is one.

    Args:
        config: has ``out`` and ``seed``.
        fingerprint: of data and models; another one is another run.
    Raises:
        UsageError, ClipNerfError: as :meth:`RunFolder.open`, and what the trainer raises.
    """
    with opened_on_main(
        config.out, command=command, config=config, seed=config.seed,
        dataset_fingerprint=fingerprint,
    ) as (run, found):  # fmt: skip
        assert run is not None
        if found is not None:
            trainer.load(*found)
        return trainer.run(run)
