"""A measured number, and how time is taken."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

CPU_COPY = 2**25
GPU_COPY = 2**28
"""Numbers of a copy that measures bandwidth: more than a cache holds."""


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    goal: str = ""
    """What was promised, as words; empty where nothing was."""
    note: str = ""


def wait(device: torch.device) -> None:
    """Until a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, all that it gave a GPU to do included."""
    wait(device)
    start = time.perf_counter()
    action()
    wait(device)
    return time.perf_counter() - start


def repeat(
    action: Callable[[], object], seconds: float, device: torch.device, at_least: int = 3
) -> list[float]:
    """Durations of an action, once to warm up and then for about ``seconds``."""
    action()
    durations: list[float] = []
    while len(durations) < at_least or sum(durations) < seconds:
        durations.append(timed(action, device))
    return durations


def median_seconds(
    action: Callable[[], object], seconds: float, device: torch.device, at_least: int = 3
) -> float:
    """Median duration of an action; of many in a row on a GPU, whose clock is coarse for one."""
    if device.type != "cuda":
        return statistics.median(repeat(action, seconds, device, at_least))
    for _ in range(3):
        action()
    once = timed(action, device)
    together = max(1, min(100, round(0.02 / max(once, 1e-6))))

    def several() -> None:
        for _ in range(together):
            action()

    return statistics.median(repeat(several, seconds, device, at_least)) / together


def copy_bandwidth(seconds: float, device: torch.device) -> float:
    """Bytes a second, read and written, of a plain copy too large for any cache."""
    count = GPU_COPY if device.type == "cuda" else CPU_COPY
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(lambda: target.copy_(source), seconds, device)


def peak_memory_gb(device: torch.device) -> float | None:
    """Most memory that this process has held, 10^9 bytes; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def say(what: str) -> None:
    """Tells the person at the terminal what takes the time."""
    print(f"measuring: {what}", file=sys.stderr, flush=True)
