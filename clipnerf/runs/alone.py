"""Short trainings, which one process does: their start, their run folder, their resumption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from clipnerf.errors import UsageError
from clipnerf.runs import ddp
from clipnerf.runs.folder import RunFolder
from clipnerf.runs.resume import opened_on_main


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
    if ddp.world_size() > 1:
        raise UsageError(
            f"{what} under {ddp.world_size()} processes; it is short work for one: run it without "
            "torchrun"
        )
    with ddp.joined(device) as found:
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
