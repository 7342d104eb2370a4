"""Configuration of the verbs about this machine: bench, doctor.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import Config, Range, Threads


@dataclass(frozen=True)
class BenchConfig(Config):
    """Measure what the project promises: hash grid, training, edit and orbit."""

    bundle: str = CHAIRS
    """Bundle whose edit and orbit are measured."""
    preset: str = "configs/pretrain-chairs.yaml"
    """Preset whose training is measured."""
    out: str = ""
    """JSON file for the figures; by default they are only printed."""
    seconds: Annotated[float, Range(above=0, most=3600)] = 5.0
    """Seconds a measurement lasts at least, after warming up."""
    threads: Threads = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    sweep: bool = False
    """On a GPU, try launches of the Triton kernels as well and show the fastest."""


@dataclass(frozen=True)
class DoctorConfig(Config):
    """Say what this machine offers, what is missing, and what to do about it."""

    bundle: str = CHAIRS
    """Bundle to look for."""
