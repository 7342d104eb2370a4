"""Training state that survives a kill at any moment: the newest file and the one before it."""

import io
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clipnerf.errors import ClipNerfError
from clipnerf.io.atomic import atomic_write

NEWEST, PREVIOUS, BROKEN = "state.pt", "state.prev.pt", "state.broken.pt"


def save_state(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Saves ``state`` as of ``step`` steps done; the state before it is kept beside it.

    At no moment is the newest name missing or half-written, nor both states bad.

    Raises:
        ClipNerfError: the disk is full or the folder is gone; the last state is still there.
    """
    newest = folder / NEWEST
    # Into memory first: torch's own writer turns a full disk into an error nobody understands.
    buffer = io.BytesIO()
    torch.save({"step": int(step), "state": dict(state)}, buffer)
    with atomic_write(newest) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        # Inside, so that a disk that fills up has changed nothing yet.
        if newest.exists():
            with atomic_write(folder / PREVIOUS) as second_name:
                _second_name(newest, second_name)


def load_state(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """The step and the state to resume from, tensors on the CPU; None where there is none.

    A newest state that cannot be read gives way to the one before it, with a warning.

    Raises:
        ClipNerfError: there are states, and none of them can be read.
    """
    newest = folder / NEWEST
    reasons = []
    for file in (newest, folder / PREVIOUS):
        if not file.exists():
            continue
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            step, state = int(loaded["step"]), dict(loaded["state"])
        except Exception as error:  # torch raises many kinds for a damaged file
            reasons.append(f"{file.name}: {' '.join(str(error).split())[:100]}")
            continue
        if reasons:
            # Out of the way, or the next save would give it the good one's place.
            newest.replace(folder / BROKEN)
            warnings.warn(
                f"the newest checkpoint cannot be read ({reasons[0]}); "
                f"resuming from {file.name}, step {step}",
                UserWarning,
                stacklevel=3,
            )
        return step, state
    if reasons:
        raise ClipNerfError(
            f"no checkpoint in {str(folder)!r} can be read ({reasons[0]}); "
            "remove that folder to start again from step 0"
        )
    return None


def _second_name(existing: Path, name: Path) -> None:
    try:
        os.link(existing, name)
    except OSError:  # file systems without hard links
        shutil.copyfile(existing, name)
