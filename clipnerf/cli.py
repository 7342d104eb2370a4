"""The command ``clipnerf``: parses, calls one function, prints where the result is. No logic.

Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted, 143 terminated. Progress goes to stderr,
and last what to do next; the last lines on stdout are the paths of what was made.
"""

import errno
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    except (KeyboardInterrupt, _Terminated) as error:
        how, code = ("terminated", 143) if isinstance(error, _Terminated) else ("interrupted", 130)
        _say(how + ("; the same command resumes" if resumes else ""))
        return code
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
    from clipnerf.io.atomic import check_writable
    from clipnerf.training.allocator import keep_freed_memory

    out = getattr(command.config, "out", "")
    if out and os.environ.get("RANK", "0") == "0":
        check_writable(out, file=command.verb.makes_file)
    keep_freed_memory()  # before the verb allocates; the process is ours
    run = load(command.verb.run)
    with _stoppable():
        return run(command.config)


class _Terminated(SystemExit):
    """SIGTERM: what has been begun is taken back, as after Ctrl-C."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, and SIGTERM raises too, where somebody sees it.

    In the midst of an import, or of what the garbage collector calls, exceptions are swallowed:
    there they wait for its end. What is swallowed elsewhere is raised again by ``Progress``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from clipnerf.training.interrupts import raised, seen

    mine, hook = os.getpid(), sys.unraisablehook

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != mine:  # a forked worker: as if nobody had asked
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not (_importing(frame) and _again(number)):
            how = KeyboardInterrupt() if number == signal.SIGINT else _Terminated(128 + number)
            raised.append(how)
            raise how

    def _again(number: int) -> bool:
        if not hasattr(signal, "setitimer"):
            return False
        signal.signal(signal.SIGALRM, lambda _, frame: stop(number, frame))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        return True

    def unraisable(said: Any) -> None:
        if isinstance(said.exc_value, KeyboardInterrupt | _Terminated):
            _again(signal.SIGINT if said.exc_type is KeyboardInterrupt else signal.SIGTERM)
        else:
            hook(said)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        sys.unraisablehook = unraisable
        for number in ours:
            signal.signal(number, stop)
        yield
    except Exception as error:
        if raised:  # a library has made an error of its own of it
            raise raised[0] from error
        raise
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in ours:
            signal.signal(number, before[number])
        sys.unraisablehook = hook
        seen()


def _importing(frame: Any) -> bool:
    """Whether a module is being imported by what :func:`_run` runs."""
    while frame and frame.f_code is not _run.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


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
