"""The command ``clipnerf``: parses, calls one function, prints where the result is. No logic.

Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted. Progress goes to stderr, and last what
to do next; the last lines on stdout are the paths of what was made.
"""

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clipnerf.config.parse import Command, overview, parse
from clipnerf.config.ranges import shown
from clipnerf.config.verbs import load
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    resumes = False
    _let_threads_sleep()
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            return _print(overview())
        if argv[0] == "--version":
            return _print(__version__)
        if debug:
            logging.basicConfig(format="clipnerf: %(name)s: %(message)s")
            logging.getLogger("clipnerf").setLevel(logging.DEBUG)
        with warnings.catch_warnings():
            _one_line_warnings(debug)
            command = parse(argv)
            resumes = command.verb.resumes
            if command.dry_run:
                return _print(_plan(command))
            result = _run(command)
            code = _print(result)
            if code == 0 and result is not None:
                _say_what_is_next(command, result)
            return code
    except KeyboardInterrupt:
        _say("interrupted" + ("; the same command resumes" if resumes else ""))
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, ClipNerfError):
            _say(f"error: {' '.join(str(error).split())}")
            return error.exit_code
        if isinstance(error, OSError) and isinstance(error.filename, str):
            _say(f"error: {shown(error.filename)}: {error.strerror}")
            return UsageError.exit_code if error.errno == errno.ENAMETOOLONG else 1
        what = " ".join(str(error).split())[:500]
        hint = "" if debug else "; --debug shows where"
        _say(f"error: unexpected {type(error).__name__}: {what}{hint}")
        return 1


def _let_threads_sleep() -> None:
    """Threads of OpenMP that wait shall not spin: they would take the cores from the field's own
    threads, and from whatever else runs. OpenMP reads it once, with torch; the user's word wins.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _run(command: Command) -> Any:
    from clipnerf.training.allocator import keep_freed_memory

    keep_freed_memory()  # before the verb allocates; the process is ours
    return load(command.verb.run)(command.config)


def _plan(command: Command) -> list[str]:
    verb, config = command.verb, command.config
    plan = load(verb.plan)(config) if verb.plan else asdict(config)
    width = max(len(key) for key in plan) + 2
    return [f"{key + ':':<{width}}{value}" for key, value in plan.items()]


def _print(result: Any) -> int:
    """Paths one a line, a report as it says itself; a report that is not ok is a failure."""
    if not _speaks():
        return 0
    for line in _lines(result):
        print(line)
    sys.stdout.flush()
    return 0 if getattr(result, "ok", True) else 1


def _lines(result: Any) -> list[str]:
    if isinstance(result, str | Path):
        return [str(result)]
    return [str(line) for line in (result.lines() if hasattr(result, "lines") else result or [])]


def _say_what_is_next(command: Command, result: Any) -> None:
    lines = _lines(result)
    if command.verb.next and lines and _speaks():
        _say(f"next: {command.verb.advice(command.config, lines[-1])}")


def _speaks() -> bool:
    """Whether this process is the one of several that does."""
    return os.environ.get("RANK", "0") == "0"


def _one_line_warnings(debug: bool) -> None:
    def show(message, category, filename, lineno, file=None, line=None) -> None:
        where = f" ({filename}:{lineno})" if debug else ""
        _say(f"warning: {' '.join(str(message).split())}{where}")

    warnings.showwarning = show
    if not debug:
        # What libraries tell their developers is of no use to the person at the terminal.
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)


def _say(line: str) -> None:
    print(f"clipnerf: {line}", file=sys.stderr, flush=True)
