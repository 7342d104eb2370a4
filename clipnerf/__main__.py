"""The command ``clipnerf``, also as ``python -m clipnerf``; Ctrl-C ends it from the first line on.

What is imported takes seconds, and swallows an exception now and then, so a signal that comes
meanwhile ends the process on the spot: nothing has been begun. ``cli`` takes over for the work.
"""

import os
import signal
import sys
from typing import Any


def main() -> int:
    """Runs one command; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _leave)
    from clipnerf.cli import main as run

    return run()


def _leave(number: int, frame: Any) -> None:
    os.write(2, b"clipnerf: interrupted\n" if number == signal.SIGINT else b"")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
