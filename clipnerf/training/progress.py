"""One line of status on stderr: share done, images a second, time left, a few numbers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from tqdm import tqdm

from clipnerf.training import interrupts
from clipnerf.training.distributed import is_main

_listener: ContextVar[Callable[[int, int], None] | None] = ContextVar("listener", default=None)


@contextmanager
def told(listener: Callable[[int, int], None]) -> Iterator[None]:
    """Inside, in this thread, ``listener`` also gets the count done and the total of each step."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Progress:
    """A context manager around tqdm that counts ``unit`` s (images, as a rule, not steps).

    Args:
        total: the count at the end, e.g. steps × batch.
        initial: the count already done by the run that is resumed; not counted in the rate.
        desc: what is being done, e.g. ``pretrain``.
        unit: what is counted, e.g. ``img``; the rate is shown as img/s.
    """

    def __init__(self, total: int, initial: int = 0, desc: str = "", unit: str = "img") -> None:
        terminal = sys.stderr.isatty()
        self._done, self._total = initial, total
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=desc,
            unit=unit,
            dynamic_ncols=True,
            # A log file wants a line now and then, a terminal a line that moves.
            mininterval=0.5 if terminal else 30.0,
            file=sys.stderr,
            disable=not is_main(),
        )

    def update(self, n: int = 1, **postfix: float | int | str) -> None:
        """Counts ``n`` more, and shows ``postfix`` (numbers in 3 figures) behind the rate.

        Raises:
            KeyboardInterrupt: an earlier one was swallowed on its way.
        """
        interrupts.raise_again()
        if postfix:
            shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in postfix.items()}
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(n)
        self._done += n
        listener = _listener.get()
        if listener is not None:
            listener(self._done, self._total)

    def write(self, line: str) -> None:
        """Prints ``line`` above the status line."""
        self._bar.write(line, file=sys.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
