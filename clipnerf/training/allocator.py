"""glibc's ``malloc``, told to keep the memory that is freed.

A step of a training frees some hundred megabytes and asks for as many again. As glibc comes, large
blocks go back to the kernel in between, which hands them out anew page by page, each zeroed. Kept,
they are there already; the process stays as large as it once was.

Nothing here happens on import: the command line and trainings call :func:`keep_freed_memory`, and
whoever uses the library may.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

SWITCH = "CLIPNERF_MALLOC"
"""Environment variable; 0 leaves the allocator as it is."""

# From malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_NEVER = -1
"""As M_TRIM_THRESHOLD, the largest there is."""
_GIB = 2**30
_OLD_LIMIT = 2**25
"""The largest M_MMAP_THRESHOLD that glibc before 2.35 accepts, with 64 bits."""
_USUAL = (2**25, 2**26)
"""Where glibc's own thresholds end as a process frees ever larger blocks; they move no more once
they have been set, so that this is how a process that was told to keep goes back."""


@dataclass(frozen=True)
class Allocator:
    """What became of this process's allocator."""

    keeps: bool
    why: str


_state = Allocator(False, "not asked for; the command line and trainings do")


def allocator() -> Allocator:
    """Whether freed memory is kept, and why or why not; changes nothing."""
    return _state


def keep_freed_memory() -> Allocator:
    """Tells glibc to keep freed memory for this process's next allocations; says what became of it.

    Another allocator, settings of the user and ``CLIPNERF_MALLOC=0`` are left alone. For the whole
    process, and for good; a second call changes nothing.
    """
    global _state
    if not _state.keeps:
        problem = obstacle()
        _state = Allocator(False, problem) if problem else _keep()
    return _state


def obstacle() -> str:
    """Why the allocator is to be left alone; empty where it need not be."""
    switch = os.environ.get(SWITCH, "")
    if switch.strip().lower() in ("0", "off", "no", "false"):
        return f"{SWITCH} is {switch!r}"
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no glibc"
    # Variables of glibc, of jemalloc (MALLOC_CONF) and others: somebody has chosen already.
    chosen = sorted(name for name in os.environ if name.startswith("MALLOC_"))
    if "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
        chosen.append("GLIBC_TUNABLES")
    if chosen:
        return f"{chosen[0]} is set"
    if _glibc() is None:
        return "the C library is not glibc"
    if _replaced():
        return "another allocator stands in the place of glibc's"
    return ""


def set_thresholds(keep: bool) -> bool:
    """Keeps freed memory, or gives it back as glibc usually does; for measuring one against the
    other. Only where :func:`keep_freed_memory` has succeeded; whether it was done."""
    libc = _glibc()
    if libc is None or not _state.keeps:
        return False
    return _set(libc, (_GIB, _NEVER) if keep else _USUAL)


def _keep() -> Allocator:
    libc = _glibc()
    if libc is None:
        return Allocator(False, "the C library is not glibc")
    if _set(libc, (_GIB, _NEVER)):
        return Allocator(True, f"glibc {glibc_version()} keeps freed memory")
    return Allocator(False, f"glibc {glibc_version()} refused (mallopt)")


def _set(libc: Any, thresholds: tuple[int, int]) -> bool:
    mmap, trim = thresholds
    set_mmap = libc.mallopt(_M_MMAP_THRESHOLD, mmap) or libc.mallopt(_M_MMAP_THRESHOLD, _OLD_LIMIT)
    return bool(set_mmap) and bool(libc.mallopt(_M_TRIM_THRESHOLD, trim))


@cache
def _glibc() -> Any:
    """glibc as ctypes knows it; None where the C library is another."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.gnu_get_libc_version.restype = ctypes.c_char_p
        libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return libc


def glibc_version() -> str:
    """Such as '2.36'; empty without glibc."""
    libc = _glibc()
    return "" if libc is None else libc.gnu_get_libc_version().decode()


def _replaced() -> bool:
    """Whether this process's ``malloc`` is another than glibc's, by LD_PRELOAD or by linking."""
    try:
        used = ctypes.CDLL(None).malloc
    except (OSError, AttributeError):
        return True
    return _address(used) != _address(_glibc().malloc)


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value
