"""Where a file comes from: the versions and the commit that made it."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from clipnerf.version import __version__

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "safetensors")


@cache
def git_commit() -> str:
    """The commit of the checkout this package runs from, ``-dirty`` if changed, or ``unknown``."""
    root = Path(__file__).resolve().parents[2]
    # Installed into an environment inside somebody else's repository, its commit says nothing.
    if not (root / ".git").exists():
        return "unknown"
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(
            [*describe, "--exclude=*"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of the project, of Python and of the packages that figures depend on."""
    found = {"clipnerf": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def provenance(config: Any, device: object, started: float, **more: Any) -> dict[str, Any]:
    """What a report says of how it was made, for JSON.

    Args:
        config: a dataclass, the command's configuration.
        started: ``time.perf_counter()`` before the work.
        more: what else is to be said.
    """
    return {
        "command": shlex.join(["clipnerf", *sys.argv[1:]]),
        "config": asdict(config),
        **more,
        "versions": versions(),
        "commit": git_commit(),
        "device": str(device),
        "seconds": round(time.perf_counter() - started, 1),
    }
