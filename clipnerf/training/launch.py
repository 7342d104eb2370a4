"""Joining the other ranks under torchrun, and leaving them: in one line where it went wrong."""

import atexit
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training.allocator import keep_freed_memory
from clipnerf.training.failures import TIMEOUT_VARIABLE, exit_code, one_voice

TIMEOUT_S = 900.0
"""Seconds that a rank waits for another's message; CLIPNERF_TIMEOUT_S overrides. Longer than rank 0
takes for a preview or a checkpoint, during which the others wait."""

_store: Any = None
_failed: int | None = None


@contextmanager
def joined(device: str | None = None) -> Iterator[torch.device]:
    """Joins the group, as :func:`init_from_env`; yields this rank's device.

    What ends the body becomes one line, said by the first rank to know; the others end in silence
    with its exit code. That a collective failed, or that torchrun said SIGTERM since a rank has
    died, is such a line too. In a plain process errors pass as they are.

    Every training begins here, so here the process is told to keep freed memory.

    Raises:
        UsageError: as :func:`init_from_env`.
        ClipNerfError: the body's own, or another rank is lost.
        SystemExit: another rank has said why.
    """
    global _failed
    keep_freed_memory()
    if not _launched():
        yield init_from_env(device)
        return
    try:
        here = init_from_env(device)
        with one_voice(who(), _store, timeout_s(), is_main()), _warnings_once():
            yield here
    except BaseException as error:
        _failed = exit_code(error)
        raise


def init_from_env(device: str | None = None) -> torch.device:
    """Joins the group that torchrun describes in the environment; returns this rank's device.

    A plain process joins nothing. NCCL with CUDA, gloo without. May be called again.

    Args:
        device: 'auto' or None (CUDA where there is one), 'cpu', 'cuda', or another of torch's.

    Raises:
        UsageError: no such device, fewer GPUs than ranks, or a bad CLIPNERF_TIMEOUT_S.
        ClipNerfError: the other ranks did not come in time.
    """
    here = _device_of(device)
    if here.type == "cuda":
        torch.cuda.set_device(here)
    if _launched() and not dist.is_initialized():
        _join("nccl" if here.type == "cuda" else "gloo")
        atexit.register(_leave)
    return here


def timeout_s() -> float:
    """Seconds that a rank waits for another; UsageError for a CLIPNERF_TIMEOUT_S not above 0."""
    asked = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        seconds = float(asked) if asked else TIMEOUT_S
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise UsageError(f"{TIMEOUT_VARIABLE} is {asked!r}; allowed: seconds, above 0 up to 1e6")
    return seconds


def rank() -> int:
    """This process's number, 0 … world_size − 1."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def who() -> str:
    """This process in words, such as 'rank 0 of 2'."""
    return f"rank {rank()} of {world_size()}"


def _launched() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def _device_of(asked: str | None) -> torch.device:
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        device = torch.device(("cuda" if cards else "cpu") if asked in (None, "auto") else asked)
    except RuntimeError as error:
        raise UsageError(f"device is {asked!r}; allowed: auto, cpu, cuda") from error
    if device.type != "cuda":
        return device
    number = local if device.index is None or _launched() else device.index
    if number >= cards:
        raise UsageError(
            f"device is {asked or 'auto'}, and process {number} of this machine needs a GPU of its "
            f"own, but torch sees {cards}; lower --nproc-per-node, or give --device cpu"
        )
    return torch.device("cuda", number)


def _join(backend: str) -> None:
    global _store
    timeout = timedelta(seconds=timeout_s())
    if backend == "nccl" and "TORCH_NCCL_ASYNC_ERROR_HANDLING" not in os.environ:
        # A rank that waits in vain then gets an exception; else a watchdog aborts it without words.
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
    try:
        # The store is kept: by it ranks tell each other what a broken group cannot.
        _store, number, ranks = next(rendezvous("env://", timeout=timeout))
        _store.set_timeout(timeout)
        dist.init_process_group(
            backend, store=_store, rank=number, world_size=ranks, timeout=timeout
        )
    except (RuntimeError, ValueError) as error:
        raise ClipNerfError(
            f"{who()} could not join the others within {timeout.total_seconds():g} s "
            f"({TIMEOUT_VARIABLE}): {' '.join(str(error).split())[:120]}; start every rank with "
            "torchrun, and on every machine with the same --rdzv-endpoint"
        ) from error


def _leave() -> None:
    if _failed is not None:
        # A broken group may wait for the lost rank, or abort, while it is taken down. What had to
        # be written and said has been.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_failed)
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def _warnings_once() -> Iterator[None]:
    """One rank of each machine warns: the others would say the same of the same files."""
    with warnings.catch_warnings():
        if os.environ.get("LOCAL_RANK", "0") != "0":
            warnings.simplefilter("ignore")
        yield
