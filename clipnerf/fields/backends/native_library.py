"""The library of ``clipnerf/fields/native``: found, checked, and called on several threads."""

from __future__ import annotations

import ctypes
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from clipnerf.fields.layout import GridLayout

SWITCH = "CLIPNERF_NATIVE"
"""Environment variable: 0 turns the library off; avx2, avx512 or generic asks for one version."""
LEVELS = 24
"""Of a hash grid, at most."""


@lru_cache(maxsize=1)
def library() -> tuple[ctypes.CDLL, str] | str:
    """The library and the instruction set that this processor takes; or why there is none."""
    wanted = os.environ.get(SWITCH, "")
    if wanted == "0":
        return f"{SWITCH} is 0"
    folder = Path(__file__).parents[1] / "native"
    file = folder / "_field.so"
    if not file.is_file():
        return "it was not built, for there was no C compiler at the installation"
    try:
        loaded = ctypes.CDLL(str(file))
    except OSError as error:
        return f"it cannot be loaded ({error})"
    for kind in (wanted,) if wanted else ("avx512", "avx2", "generic"):
        runs, source = (getattr(loaded, f"{name}_{kind}", None) for name in ("runs", "source"))
        if runs is None or source is None or not runs():
            continue
        source.restype = ctypes.c_uint32
        if source() != zlib.crc32((folder / "field.c").read_bytes()):
            return "it was built from another field.c; install again"
        return loaded, kind
    return f"this processor has none of its instruction sets{f' ({wanted})' if wanted else ''}"


def problem(device: torch.device, layout: GridLayout) -> str | None:
    """Why the library cannot serve a field, in a few words; None if it can."""
    if device.type != "cpu":
        return "it is for CPUs"
    if layout.dim != 3 or layout.features != 2 or layout.levels > LEVELS:
        return f"it wants 3 dimensions, 2 features and up to {LEVELS} levels"
    found = library()
    return found if isinstance(found, str) else None


def instructions() -> str:
    """The instruction set in use; '' without a library."""
    found = library()
    return "" if isinstance(found, str) else found[1]


def call(name: str, jobs: int, *arguments: Any, share: int | None = None) -> None:
    """Run jobs 0 to ``jobs``, ``share`` of them a call, on as many threads as PyTorch has; ctypes
    lets go of Python meanwhile."""
    found = library()
    assert not isinstance(found, str)
    function, threads = getattr(found[0], f"{name}_{found[1]}"), torch.get_num_threads()
    share = share or max(-(-jobs // (4 * threads)), 1)

    def run(start: int) -> int:
        last = min(start + share, jobs)
        return function(*arguments, ctypes.c_int64(start), ctypes.c_int64(last))

    starts = range(0, jobs, share)
    threads = min(threads, len(starts))
    each = map if threads < 2 else _pool(os.getpid(), threads).map
    if any(list(each(run, starts))):  # all of them have ended, whatever happened
        raise MemoryError("the field has no memory for its blocks; use fewer threads")


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="field")
