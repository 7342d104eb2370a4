"""Errors and warnings for people: one line that names the thing, the value and the way out."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 1000


class ClipNerfError(Exception):
    """A failure that is nobody's misuse (a full disk, a training that collapsed). Exit code 1.

    Whatever it is made of, such as names that somebody else gave, it is one line of at most a
    thousand letters that can be printed.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class UsageError(ClipNerfError, ValueError):
    """Input or configuration that cannot be used as given. Exit code 2."""

    exit_code = 2


def one_line(text: str) -> str:
    """The text as a line for people; of a longer one the middle is left out."""
    text = printable(" ".join(text.splitlines()))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def printable(text: str) -> str:
    """The text with what cannot be printed, or would end a line, spelt out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def warn(message: str) -> None:
    """A UserWarning that points at the line outside of this package that led to it."""
    frame, level = sys._getframe(1), 2
    inside = ("clipnerf", "torch", "jaxtyping")  # the others wrap what is ours
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(one_line(message), UserWarning, stacklevel=level)


@contextmanager
def one_line_failures() -> Iterator[None]:
    """A script's work: a failure ends it with one line and its exit code, not with a traceback."""
    try:
        yield
    except ClipNerfError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
