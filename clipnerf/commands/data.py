"""``clipnerf data``: draw a procedural data set, or say what a folder of pictures holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from clipnerf.config.data import CheckConfig, SynthesizeConfig
from clipnerf.data.check import CheckReport, check
from clipnerf.data.procedural.synthesize import synthesize


def synthesize_data(config: SynthesizeConfig) -> Path:
    """Draws the pictures; see :func:`clipnerf.data.procedural.synthesize.synthesize`."""
    return synthesize(**{**asdict(config), "out": config.folder})


def check_data(config: CheckConfig) -> CheckReport:
    """Looks at the pictures; see :func:`clipnerf.data.check.check`."""
    return check(config.path)
