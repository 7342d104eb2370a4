"""The command ``clipnerf``: parses, calls one function, prints where the result is. No logic.

Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted. Progress goes to stderr; the last lines
on stdout are the paths of what was made.
"""

import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clipnerf.config.parse import Command, overview, parse
from clipnerf.errors import ClipNerfError
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
            return _print(_plan(command) if command.dry_run else _run(command))
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
        what = " ".join(str(error).split())
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
    return RUN[command.verb.name](command.config)


def _plan(command: Command) -> list[str]:
    if command.verb.name in PLANS:
        module = importlib.import_module(PLANS[command.verb.name])
        plan = module.plan(command.config)
    else:
        plan = asdict(command.config)
    width = max(len(key) for key in plan) + 2
    return [f"{key + ':':<{width}}{value}" for key, value in plan.items()]


def _demo(config: Any) -> Any:
    from clipnerf.commands.demo import demo

    return demo(config)


def _edit(config: Any) -> Any:
    from clipnerf.commands.edit import edit

    return edit(config)


def _orbit(config: Any) -> Any:
    from clipnerf.commands.orbit import orbit

    return orbit(config)


def _morph(config: Any) -> Any:
    from clipnerf.commands.morph import morph

    return morph(config)


def _synthesize(config: Any) -> Any:
    from clipnerf.data.procedural.synthesize import synthesize

    return synthesize(
        config.category,
        config.count,
        config.size,
        config.seed,
        config.folder,
        views=config.views,
        pairs=config.pairs,
        masks=config.masks,
        regions=config.regions,
        fov_deg=config.fov_deg,
        oversampling=config.oversampling,
    )


def _check(config: Any) -> Any:
    from clipnerf.data.check import check

    return check(config.path)


def _pretrain(config: Any) -> Any:
    from clipnerf.commands.pretrain import pretrain

    return pretrain(config)


def _train_clip(config: Any) -> Any:
    from clipnerf.clip.train import train_clip

    return train_clip(config)


def _train_mapper(config: Any) -> Any:
    from clipnerf.mappers.train import train_mapper

    return train_mapper(config)


def _train_encoder(config: Any) -> Any:
    from clipnerf.inversion.encoder_train import train_encoder

    return train_encoder(config)


def _train_segmenter(config: Any) -> Any:
    from clipnerf.segmentation.train import train_segmenter

    return train_segmenter(config)


def _train_region(config: Any) -> Any:
    from clipnerf.segmentation.distill import train_region

    return train_region(config)


def _segment(config: Any) -> Any:
    from clipnerf.commands.segment import segment

    return segment(config)


def _invert(config: Any) -> Any:
    from clipnerf.commands.invert import invert

    return invert(config)


def _study_view_consistency(config: Any) -> Any:
    from clipnerf.evaluation.views.run import study_view_consistency

    return study_view_consistency(config)


def _evaluate(config: Any) -> Any:
    if config.inversion:
        from clipnerf.evaluation.inversion.run import evaluate_inversion

        return evaluate_inversion(config)
    if config.segmentation:
        from clipnerf.evaluation.segmentation.run import evaluate_segmentation

        return evaluate_segmentation(config)
    from clipnerf.commands.evaluate import evaluate

    return evaluate(config)


def _bench(config: Any) -> Any:
    from clipnerf.commands.bench import bench

    return bench(config)


def _doctor(config: Any) -> Any:
    from clipnerf.commands.doctor import doctor

    return doctor(config)


RUN: dict[str, Callable[[Any], Any]] = {
    "demo": _demo,
    "data synthesize": _synthesize,
    "data check": _check,
    "pretrain": _pretrain,
    "train-clip": _train_clip,
    "train-mapper": _train_mapper,
    "train-encoder": _train_encoder,
    "train-segmenter": _train_segmenter,
    "train-region": _train_region,
    "segment": _segment,
    "invert": _invert,
    "edit": _edit,
    "orbit": _orbit,
    "morph": _morph,
    "study view-consistency": _study_view_consistency,
    "evaluate": _evaluate,
    "bench": _bench,
    "doctor": _doctor,
}
PLANS = {
    "evaluate": "clipnerf.commands.evaluate",
    "pretrain": "clipnerf.gan.train",
    "train-clip": "clipnerf.clip.train",
    "train-mapper": "clipnerf.mappers.train",
    "train-encoder": "clipnerf.inversion.encoder_train",
    "train-segmenter": "clipnerf.segmentation.train",
    "train-region": "clipnerf.segmentation.distill",
}


def _print(result: Any) -> int:
    """Paths one a line, a report as it says itself; a report that is not ok is a failure."""
    if os.environ.get("RANK", "0") != "0":
        return 0
    if isinstance(result, str | Path):
        result = [result]
    lines = result.lines() if hasattr(result, "lines") else result
    for line in lines or []:
        print(line)
    sys.stdout.flush()
    return 0 if getattr(result, "ok", True) else 1


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
