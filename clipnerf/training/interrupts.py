"""Interrupts: what Ctrl-C or SIGTERM raised, until somebody has seen it.

C code swallows an exception now and then (one Ctrl-C in ten, while pictures are drawn), so it is
raised again where work goes on, at the next count of its progress.
"""

import threading

raised: list[BaseException] = []


def raise_again() -> None:
    """Raises what nobody has seen; only the main thread is interrupted."""
    if raised and threading.current_thread() is threading.main_thread():
        raise raised[0]


def seen() -> None:
    """Of whoever catches an interrupt and goes on by intent."""
    raised.clear()
