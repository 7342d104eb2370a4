"""How a job of many ranks ends when one of them fails: every rank stops, one says why.

A rank that dies breaks the next message between the ranks, and torchrun sends SIGTERM to those
that are left. Both become one line, said by the rank that was first to know: the store, by which
ranks find each other, counts who has spoken.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from clipnerf.errors import ClipNerfError, UsageError

TIMEOUT_VARIABLE = "CLIPNERF_TIMEOUT_S"
RESUMES = "the last checkpoint is kept, and the same command resumes from it"

GRACE_S = 10.0
"""Seconds from SIGTERM until a rank that is deaf to it ends; torchrun kills after 30."""

_SPOKEN = "clipnerf/last words"
_PATIENCE = timedelta(seconds=10)
# What PyTorch and its backends write into a RuntimeError when a message between ranks fails.
_SIGNS = (
    "gloo",
    "nccl",
    "processgroup",
    "process group",
    "c10d",
    "connection closed by peer",
    "connection reset by peer",
    "socket",
)


class LostRank(ClipNerfError):
    """A message between the ranks failed: another rank has ended, or did not answer in time."""


class SilentError(ClipNerfError):
    """What rank 0 says already: the other ranks end with it, and with its exit code, in silence."""

    def __init__(self, message: str, exit_code: int = ClipNerfError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Stopped(BaseException):
    """SIGTERM; no Exception, so that nothing on the way takes it for a failure of its own."""


def lost_rank(who: str, timeout_s: float, error: BaseException) -> LostRank:
    """The line for a message that failed with ``error``; ``who`` is 'rank 0 of 2'."""
    reason = " ".join(str(error).split())
    if "timed out" in reason.lower() or "timeout" in reason.lower():
        what = f"another rank has not answered for {timeout_s:g} s ({TIMEOUT_VARIABLE})"
    else:
        what = "another rank has ended, or its machine cannot be reached"
    return LostRank(f"{who}: {what}; {RESUMES} ({type(error).__name__}: {_short(reason)})")


def exit_code(error: BaseException) -> int:
    """What a process that ends with ``error`` returns."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)


@contextmanager
def one_voice(who: str, store: Any, timeout_s: float, aloud: bool) -> Iterator[None]:
    """Makes whatever ends the body one line of one rank; the others leave by SystemExit.

    Args:
        who: 'rank 0 of 2', which the line begins with.
        store: where ranks count who has spoken; None speaks in any case.
        aloud: whether errors of this rank's own are said without ``who``, as rank 0's are.

    Raises:
        ClipNerfError: this rank is the first to know; one line.
        SystemExit: another rank has said it; with the exit code of the error.
    """
    before = _heed_sigterm()
    try:
        with nullcontext() if before is None else _ended_where_deaf(who, store):
            yield
    except SystemExit:
        raise
    except BaseException as error:
        # It is ending: torchrun's SIGTERM must not take the line from its lips.
        if before is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        said = _line(who, timeout_s, aloud, error)
        if isinstance(said, SilentError) or not _first_to_speak(store):
            raise SystemExit(exit_code(said)) from None
        if said is error:
            raise
        raise said from error
    if before is not None:
        signal.signal(signal.SIGTERM, before)


def _line(who: str, timeout_s: float, aloud: bool, error: BaseException) -> BaseException:
    if isinstance(error, _Stopped):
        return ClipNerfError(_told_to_stop(who))
    if isinstance(error, LostRank | SilentError):
        return error
    if isinstance(error, ClipNerfError):
        if aloud:
            return error
        kind = UsageError if isinstance(error, UsageError) else ClipNerfError
        return kind(f"{who}: {error}")
    if isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
    ):
        return lost_rank(who, timeout_s, error)
    return error


def _first_to_speak(store: Any) -> bool:
    if store is None:
        return True
    with suppress(RuntimeError):  # the store's own machine may be the one that is gone
        store.set_timeout(_PATIENCE)
        return int(store.add(_SPOKEN, 1)) == 1
    return True


def _heed_sigterm() -> Any:
    """SIGTERM raises from now on; returns the handler before it, None where none can be set."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(number: int, frame: Any) -> None:
        raise _Stopped

    return signal.signal(signal.SIGTERM, stop) or signal.SIG_DFL


@contextmanager
def _ended_where_deaf(who: str, store: Any) -> Iterator[None]:
    """Ends the process ``GRACE_S`` after SIGTERM if the body has not: no handler of Python's runs
    while the main thread waits for a message of a rank that is gone."""
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    over = threading.Event()

    def wait() -> None:
        with ear:
            while numbers := ear.recv(64):
                if signal.SIGTERM in numbers and not over.wait(GRACE_S):
                    if _first_to_speak(store):  # on a line of its own, below the progress bar
                        line = f"\nclipnerf: error: {_told_to_stop(who)}"
                        print(line, file=sys.stderr, flush=True)
                    os._exit(ClipNerfError.exit_code)

    threading.Thread(target=wait, name="deaf to SIGTERM", daemon=True).start()
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        mouth.close()


def _told_to_stop(who: str) -> str:
    return (
        f"{who} was told to stop (SIGTERM), as torchrun does when another rank has ended; {RESUMES}"
    )


def _short(reason: str) -> str:
    return reason if len(reason) <= 120 else reason[:117] + "..."
