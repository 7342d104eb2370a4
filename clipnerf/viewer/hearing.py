"""Warnings, heard by the thread that caused them: several visitors are served at once.

``warnings.catch_warnings`` belongs to the whole process, and would mix what visitors are told.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ears = threading.local()


@contextmanager
def listening() -> Iterator[None]:
    """For as long as visitors are served: warnings go to :func:`heard`, else where they went."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        # what is still said to a browser that has gone
        warnings.filterwarnings("ignore", "Queued a .* on a closed connection")
        before = warnings.showwarning

        def show(message, category, filename, lineno, file=None, line=None) -> None:
            said = getattr(_ears, "said", None)
            if said is None:
                before(message, category, filename, lineno, file, line)
            else:
                said.append(" ".join(str(message).split()))

        warnings.showwarning = show
        yield


@contextmanager
def heard() -> Iterator[list[str]]:
    """What this thread is warned of inside; nothing where nobody is :func:`listening`."""
    before = getattr(_ears, "said", None)
    said: list[str] = []
    _ears.said = said
    try:
        yield said
    finally:
        _ears.said = before


class Heard:
    """What was said of each edit. Some of it is said but once: embeddings are kept."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str, str], list[str]] = {}

    def keep(self, key: tuple[str, str, str], said: list[str]) -> None:
        """Adds what was said of an edit, each line once."""
        self._said[key] = list(dict.fromkeys([*self._said.get(key, []), *said]))[:8]

    def of(self, key: tuple[str, str, str]) -> list[str]:
        """What was said of an edit."""
        return self._said.get(key, [])
