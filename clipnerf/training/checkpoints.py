"""Training state that survives a kill at any moment: the newest file and the one before it."""

import hashlib
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clipnerf.errors import ClipNerfError, warn
from clipnerf.io.atomic import atomic_write

NEWEST, PREVIOUS, BROKEN = "state.pt", "state.prev.pt", "state.broken.pt"


_MARK = b"clipnerf state 1 "


def save_state(
    folder: Path, step: int, state: Mapping[str, Any], exports: Mapping[str, str] | None = None
) -> None:
    """Saves ``state`` as of ``step`` steps done; the state before it is kept beside it.

    The file begins with the SHA-256 of the rest: torch reads a file in which bits have flipped.
    At no moment is the newest name missing or half-written, nor both states bad.

    Args:
        exports: file name -> SHA-256 of what was exported of this state.
    Raises:
        ClipNerfError: the disk is full or the folder is gone; the last state is still there.
    """
    newest = folder / NEWEST
    # Into memory first: torch's own writer turns a full disk into an error nobody understands.
    buffer = io.BytesIO()
    content = {"step": int(step), "state": dict(state), "exports": dict(exports or {})}
    torch.save(content, buffer)
    body = buffer.getbuffer()
    head = _MARK + hashlib.sha256(body).hexdigest().encode() + b"\n"
    with atomic_write(newest) as temporary:
        temporary.write_bytes(head + body)
        # Inside, so that a disk that fills up has changed nothing yet.
        if newest.exists():
            with atomic_write(folder / PREVIOUS) as second_name:
                _second_name(newest, second_name)


def load_state(folder: Path) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    """The step and the state to resume from, tensors on the CPU, and the digests of what was
    exported of it; None where there is none.

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
            loaded = torch.load(_checked(file), map_location="cpu", weights_only=True)
            step, state = int(loaded["step"]), dict(loaded["state"])
            exports = dict(loaded.get("exports", {}))
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = " ".join(str(error).split())[:100] or "it ends too early"
            reasons.append(f"{file.name}: {reason}")
            continue
        if reasons:
            # Out of the way, or the next save would give it the good one's place.
            newest.replace(folder / BROKEN)
            warn(
                f"the newest checkpoint cannot be read ({reasons[0]}); "
                f"resuming from {file.name}, step {step}"
            )
        return step, state, exports
    if reasons:
        raise ClipNerfError(
            f"no checkpoint in {str(folder)!r} can be read ({reasons[0]}); "
            "remove that folder to start again from step 0"
        )
    return None


def _checked(file: Path) -> io.BytesIO:
    """What the file holds after its head; ValueError where the two do not belong together."""
    content = file.read_bytes()
    if not content.startswith(_MARK):  # written before states had a digest
        return io.BytesIO(content)
    digest, _, body = content[len(_MARK) :].partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its digest does not match: the file has been damaged")
    return io.BytesIO(body)


def _second_name(existing: Path, name: Path) -> None:
    try:
        os.link(existing, name)
    except OSError:  # file systems without hard links
        shutil.copyfile(existing, name)
