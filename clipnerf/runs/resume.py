"""The run folder of a job of any number of ranks: rank 0 opens it and reads for all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clipnerf.runs import ddp
from clipnerf.runs.folder import RunFolder


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
        found = ddp.from_main(begin)
        yield run, found
    finally:
        if run is not None:
            run.close()
