"""Renderer: one thread that draws for all visitors, in small pieces, the newest wish of each.

A drawing is a generator: it yields None after each piece of work, and whatever else it yields is
shown. Until its first picture it is not abandoned, or a visitor who never rests would see none;
afterwards a newer wish of the same visitor takes its place. First pictures go before finer ones,
and visitors take turns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

REST_SECONDS = 0.1
"""After a first picture, before a finer one is begun: the mouse may still be moving."""


@dataclass
class _Drawing:
    make: Callable[[], Iterator[Any]]
    show: Callable[[Any], None]
    fail: Callable[[Exception], None]
    work: Iterator[Any] | None = None
    shown: int = 0
    not_before: float = 0.0
    served: float = field(default_factory=time.monotonic)


class Renderer:
    """See the head of this file.

    Args:
        rest: seconds between a first picture and the work on a finer one.
    """

    def __init__(self, rest: float = REST_SECONDS) -> None:
        self.rest = rest
        self.abandoned = 0
        self._wished: dict[Hashable, _Drawing] = {}
        self._drawn: dict[Hashable, _Drawing] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="renderer", daemon=True)
        self._thread.start()

    def ask(
        self,
        who: Hashable,
        make: Callable[[], Iterator[Any]],
        show: Callable[[Any], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """A new wish of a visitor, in the place of the last.

        Args:
            make: begins the drawing; called in the renderer's thread.
            show: gets each picture.
            fail: gets what went wrong; the drawing ends there.
        """
        with self._changed:
            self._wished[who] = _Drawing(make, show, fail)
            self._changed.notify()

    def forget(self, who: Hashable) -> None:
        """A visitor has gone: nothing is drawn for them any more."""
        with self._changed:
            self._wished.pop(who, None)
            self._drawn.pop(who, None)

    def stop(self) -> None:
        """Ends the thread, after the piece that it is at."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                chosen = self._choose()
                while chosen is None and not self._stopped:
                    self._changed.wait(self._pause())
                    chosen = self._choose()
                if self._stopped:
                    return
            assert chosen is not None
            self._step(*chosen)

    def _choose(self) -> tuple[Hashable, _Drawing] | None:
        """The next piece of work; wishes that are due take their place here."""
        for who, wish in list(self._wished.items()):
            current = self._drawn.get(who)
            if current is None or current.shown:
                self.abandoned += current is not None
                wish.served = current.served if current else 0.0
                self._drawn[who] = self._wished.pop(who)
        now = time.monotonic()
        ready = [(w, d) for w, d in self._drawn.items() if d.not_before <= now]
        return min(ready, key=lambda pair: (pair[1].shown > 0, pair[1].served), default=None)

    def _pause(self) -> float | None:
        """Seconds until something is due."""
        due = [drawing.not_before for drawing in self._drawn.values()]
        return max(min(due) - time.monotonic(), 0.001) if due else None

    def _step(self, who: Hashable, drawing: _Drawing) -> None:
        try:
            if drawing.work is None:
                drawing.work = drawing.make()
            made = next(drawing.work)
        except StopIteration:
            self._end(who, drawing)
            return
        except Exception as error:  # of one visitor; the others go on
            self._end(who, drawing)
            drawing.fail(error)
            return
        drawing.served = time.monotonic()
        with self._changed:
            current = self._drawn.get(who) is drawing
        if made is None or not current:
            return
        try:
            drawing.show(made)
        except Exception:  # the browser has gone meanwhile
            self._end(who, drawing)
            return
        drawing.shown += 1
        if drawing.shown == 1:
            drawing.not_before = time.monotonic() + self.rest

    def _end(self, who: Hashable, drawing: _Drawing) -> None:
        with self._changed:
            if self._drawn.get(who) is drawing:
                del self._drawn[who]
