"""Errors and warnings for people: one line that names the thing, the value and the way out."""

import sys
import warnings


class ClipNerfError(Exception):
    """A failure that is nobody's misuse (a full disk, a training that collapsed). Exit code 1."""

    exit_code = 1


class UsageError(ClipNerfError, ValueError):
    """Input or configuration that cannot be used as given. Exit code 2."""

    exit_code = 2


def warn(message: str) -> None:
    """A UserWarning that points at the line outside of this package that led to it."""
    frame, level = sys._getframe(1), 2
    inside = ("clipnerf", "torch", "jaxtyping")  # the others wrap what is ours
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
