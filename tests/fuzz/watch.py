"""What a case may cost and say: time, memory, one line for an error, nothing left behind."""

import contextlib
import io
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipnerf.cli import main
from clipnerf.errors import ClipNerfError

LIMIT_S = 20
LIMIT_MB = 1500
"""More than before the case: with what torch takes, below 2 GB."""
LONGEST_LINE = 1500
_CONFIG = "Config.__init__"
"""Here the tests' own check of types comes before the program's: null where a number is wanted."""


class Hang(BaseException):
    """A case took longer than LIMIT_S."""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    error: str
    """The line after ``clipnerf: error:``; empty where there was none."""
    faults: tuple[str, ...]


def command(argv: list[str]) -> Said:
    """Runs a command line in this process, and judges how it ends."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as left:  # --help and --print_config
            code = left.code if isinstance(left.code, int) else 1
    lines = err.getvalue().replace("\r", "\n").split("\n")
    errors = [line for line in lines if line.startswith("clipnerf: error: ")]
    faults = []
    if any("TypeCheckError" in line and _CONFIG in line for line in errors):
        return Said(2, out.getvalue(), "".join(errors), ())
    if code not in (0, 1, 2):
        faults.append(f"exit code {code}")
    if "Traceback" in err.getvalue():
        faults.append("a traceback")
    if len(errors) != (code != 0) and "data check" not in " ".join(argv[:2]):
        faults.append(f"exit code {code}, and {len(errors)} lines of error")
    faults += [fault for line in lines for fault in about_line(line)]
    return Said(code, out.getvalue(), "".join(errors), tuple(faults))


def about_line(line: str) -> list[str]:
    """What is wrong with a line that a person reads."""
    faults = []
    if "error: unexpected " in line:
        faults.append(f"a kind of error that nobody foresaw: {line[:300]}")
    if len(line) > LONGEST_LINE:
        faults.append(f"a line of {len(line)} letters: {line[:200]}…")
    if not line.replace("\t", " ").isprintable():
        faults.append(f"letters that cannot be printed: {ascii(line)[:300]}")
    return faults


def read(work: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a function of the library returns, and what is wrong with how it refuses.

    A refusal is a ClipNerfError of one line, and gives None.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work(), []
        except ClipNerfError as error:
            text = str(error)
            return None, about_line(text.replace("\n", " ")) + ["several lines"] * ("\n" in text)
        except Exception as error:  # whatever it is, it is the fault looked for
            if type(error).__name__ == "TypeCheckError" and _CONFIG in str(error):
                return None, []
            said = " ".join(str(error).split())[:300]
            return None, [f"{type(error).__name__} instead of a ClipNerfError: {said}"]


@contextlib.contextmanager
def watched(faults: list[str]) -> Iterator[None]:
    """Adds to ``faults`` where the body takes too long, or too much memory."""

    def stop(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    peak, began = _forget_peak(), time.monotonic()
    signal.alarm(LIMIT_S + 1)
    try:
        yield
    except Hang as hang:
        last = traceback.extract_tb(hang.__traceback__)[-4:]
        where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in last)
        faults.append(f"hangs: stopped after {LIMIT_S} s at {where}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    grown = _peak_mb() - peak
    if time.monotonic() - began > LIMIT_S:
        faults.append(f"takes {time.monotonic() - began:.0f} s")
    if grown > LIMIT_MB:
        faults.append(f"takes {grown:.0f} MB")


def _forget_peak() -> float:
    """Memory in use, MB; the peak is counted anew from here, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def _peak_mb() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
