"""Configuration of the verbs about this machine: bench, doctor.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass

from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class BenchConfig:
    """Measure what the project promises: hash grid, training, edit and orbit."""

    bundle: str = CHAIRS
    """Bundle whose edit and orbit are measured."""
    preset: str = "configs/pretrain-chairs.yaml"
    """Preset whose training is measured."""
    out: str = ""
    """JSON file for the figures; by default they are only printed."""
    seconds: float = 5.0
    """Seconds a measurement lasts at least, after warming up."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    sweep: bool = False
    """On a GPU, try launches of the Triton kernels as well and show the fastest."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(0 < self.seconds <= 3600, "seconds", self.seconds, "above 0, at most 3600")
        _check(0 <= self.threads <= 1024, "threads", self.threads, "0 to 1024")


@dataclass(frozen=True)
class DoctorConfig:
    """Say what this machine offers, what is missing, and what to do about it."""

    bundle: str = CHAIRS
    """Bundle to look for."""
