import importlib
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import clipnerf
from clipnerf.cli import main
from clipnerf.config.parse import parse
from clipnerf.config.verbs import VERBS, load
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training.progress import Progress

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Report:
    ok: bool

    def lines(self) -> list[str]:
        return ["one", "two"]


def _with(monkeypatch, verb, action):
    run = next(each.run for each in VERBS if each.name == verb)
    module, _, name = run.partition(":")
    monkeypatch.setattr(importlib.import_module(f"clipnerf.{module}"), name, action)


def _raising(error):
    def action(config):
        raise error

    return action


def test_alone_it_prints_the_verbs(capsys):
    for argv in ([], ["--help"], ["-h"]):
        assert main(argv) == 0
        said = capsys.readouterr().out
        assert all(verb.name in said for verb in VERBS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{clipnerf.__version__}\n"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_can_be_run(verb):
    assert callable(load(verb.run)) and (not verb.plan or callable(load(verb.plan)))


@pytest.mark.parametrize(
    ("result", "printed", "code"),
    [
        (Path("a/b.mp4"), "a/b.mp4\n", 0),
        ([Path("a.mp4"), Path("b.png")], "a.mp4\nb.png\n", 0),
        (Report(ok=True), "one\ntwo\n", 0),
        (Report(ok=False), "one\ntwo\n", 1),
        (None, "", 0),
    ],
)
def test_what_is_printed(monkeypatch, capsys, result, printed, code):
    _with(monkeypatch, "demo", lambda config: result)
    assert main(["demo"]) == code
    assert capsys.readouterr().out == printed


NEEDED = {
    "data synthesize": ["chairs"],
    "data check": ["a b"],
    "segment": ["a.png", "--text", "the seat"],
    "invert": ["a", "a.png"],
    "train-region": ["--phrases", "the seat"],
    "pretrain": ["--data.path", "a"],
    "edit": ["--text", "red"],
    "study variety": ["--data", "a", "--clip", "a"],
}
WORDS = {"WORDS": "red", "PART": "seat", "PHOTO": "a.png", "FOLDER": "a", "BUNDLE": "a"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_ends_with_what_to_do_next(monkeypatch, capsys, verb):
    """And what it says to type is understood; view makes nothing, and is ended by Ctrl-C."""
    made = "x/made here.out"
    _with(monkeypatch, verb.name, lambda config: [Path("x/other"), Path(made)])
    assert main([*verb.name.split(), *NEEDED.get(verb.name, [])]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == made
    if verb.name == "view":
        assert captured.err == ""
        return
    (line,) = captured.err.splitlines()
    assert line.startswith("clipnerf: next: ") and len(line) < 220
    for page in re.findall(r"docs/\w+\.md", line):
        assert (ROOT / page).is_file()
    for command in re.findall(r"clipnerf (?!next)((?:data |study )?[a-z][a-z-]*[^;)]*)", line[10:]):
        words = [WORDS.get(word, word) for word in shlex.split(command)]
        # what follows the command is a sentence
        end = next((n for n, w in enumerate(words) if w in SENTENCE), len(words))
        assert parse(words[:end]).verb.name in line


SENTENCE = ("opens", "edits", "films", "teaches", "changes", "blends", "measures")


def test_a_failed_report_and_a_plan_say_nothing_of_what_is_next(monkeypatch, capsys):
    _with(monkeypatch, "demo", lambda config: Report(ok=False))
    assert main(["demo"]) == 1 and main(["demo", "--dry-run"]) == 0
    assert "next" not in capsys.readouterr().err


def test_other_ranks_print_nothing(monkeypatch, capsys):
    _with(monkeypatch, "demo", lambda config: Path("a"))
    monkeypatch.setenv("RANK", "1")
    assert main(["demo"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (UsageError("x is 3;\n  allowed: 4"), "clipnerf: error: x is 3; allowed: 4\n", 2),
        (ClipNerfError("the disk is full"), "clipnerf: error: the disk is full\n", 1),
        (
            FileNotFoundError(2, "No such file", "a.png"),
            "clipnerf: error: 'a.png': No such file\n",
            1,
        ),
        (
            KeyError("k"),
            "clipnerf: error: unexpected KeyError: 'k'; --debug shows where\n",
            1,
        ),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, said, code):
    _with(monkeypatch, "demo", _raising(error))
    assert main(["demo"]) == code
    captured = capsys.readouterr()
    assert captured.err == said and captured.out == ""
    assert main(["demo", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_misuse_of_the_command_line(capsys):
    assert main(["demo", "--texxt", "a"]) == 2
    captured = capsys.readouterr()
    assert "did you mean 'text'" in captured.err and captured.err.count("\n") == 1
    assert main(["dmo"]) == 2
    assert "did you mean 'demo'" in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "hint"), [("data synthesize", True), ("demo", False)])
def test_interrupted(monkeypatch, capsys, verb, hint):
    _with(monkeypatch, verb, _raising(KeyboardInterrupt()))
    assert main(verb.split()) == 130
    said = capsys.readouterr().err
    assert said == "clipnerf: interrupted" + ("; the same command resumes" if hint else "") + "\n"


def test_warnings_are_one_line(monkeypatch, capsys):
    def action(config):
        warnings.warn("the text is too long;\n 'chair' was cut", UserWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)

    _with(monkeypatch, "demo", action)
    before = warnings.showwarning
    assert main(["demo"]) == 0
    assert capsys.readouterr().err == "clipnerf: warning: the text is too long; 'chair' was cut\n"
    assert warnings.showwarning is before


def test_dry_run_of_a_verb_without_plan(monkeypatch, capsys):
    _with(monkeypatch, "orbit", _raising(AssertionError("it ran")))
    assert main(["orbit", "--text", "a red chair", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "text:" in said and "a red chair" in said and "frames:" in said


def test_dry_run_asks_the_training_for_its_plan(monkeypatch, capsys):
    import clipnerf.mappers.train

    monkeypatch.setattr(
        clipnerf.mappers.train, "plan", lambda config: {"steps": f"{config.steps} of them"}
    )
    _with(monkeypatch, "train-mapper", _raising(AssertionError("it ran")))
    assert main(["train-mapper", "--steps", "7", "--dry-run"]) == 0
    assert capsys.readouterr().out == "steps: 7 of them\n"


def test_synthesize_and_check_from_the_command_line(capsys, tmp_path):
    out = tmp_path / "chairs"
    argv = ["data", "synthesize", "chairs", "--count", "3", "--size", "16", "--out", str(out)]
    assert main([*argv, "--pairs", "1", "--seed", "5"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert (out / "metadata.jsonl").read_text().count("\n") == 3
    assert (out / "pairs.jsonl").read_text().count("\n") == 1
    assert main(["data", "check", str(out)]) == 0
    assert "ready for training" in capsys.readouterr().out
    (out / "00001.png").write_bytes(b"no picture")
    assert main(["data", "check", str(out)]) == 1
    assert "00001.png" in capsys.readouterr().out


def test_a_folder_without_pictures(capsys, tmp_path):
    assert main(["data", "check", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("clipnerf: error: ") and str(tmp_path) in said
    assert said.count("\n") == 1


def test_python_m_and_a_reader_that_leaves():
    command = f"{sys.executable} -m clipnerf --help | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("clipnerf VERB") and done.stderr == ""


def test_ctrl_c_while_working(tmp_path):
    """The same command then completes what the interrupted one began."""
    argv = [sys.executable, "-m", "clipnerf", "data", "synthesize", "chairs"]
    argv += ["--size", "16", "--out", str(tmp_path / "chairs")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*argv, "--count", "100000"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # a suite in the background of a shell ignores Ctrl-C, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("chairs/*.png")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.strip().endswith("clipnerf: interrupted; the same command resumes")
    assert "Traceback" not in said
    assert not (tmp_path / "chairs" / "metadata.jsonl").exists()


def _catches(process: subprocess.Popen, number: int) -> bool:
    """Whether a process has its own handler; Python has none for SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _stopped(argv, number, ready, seconds: float) -> subprocess.CompletedProcess:
    """Runs a command and sends it a signal so many seconds after it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clipnerf", *argv],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not ready(process):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    time.sleep(seconds)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_at_any_moment_of_starting_up(number):
    draw = random.Random(number)
    for _ in range(5):
        done = _stopped(
            ["doctor"], number, lambda p: _catches(p, signal.SIGTERM), 2 * draw.random() ** 2
        )
        if done.returncode != 0:  # a fast machine may have ended before
            assert done.returncode == 128 + number, done
            assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1, done


def test_an_exception_that_a_library_swallows_while_it_is_imported_comes_again(
    monkeypatch, capsys, tmp_path
):
    """In an import, in a finalizer, and by whoever goes on; with both signals."""
    (tmp_path / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n    signal.raise_signal(NUMBER)\n    time.sleep(0.2)\n"
        "except BaseException:\n    pass\n"
        "open('imported', 'w').close()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    class Last:
        def __del__(self):
            signal.raise_signal(number)

    def imports(config):
        __import__("swallows")
        time.sleep(5)

    def collects(config):
        last = Last()
        del last
        time.sleep(5)

    def converts(config):
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raise ValueError("no sequence") from error

    def goes_on(config):
        with suppress(BaseException):
            signal.raise_signal(number)
        with Progress(2) as progress:
            progress.update()

    source = (tmp_path / "swallows.py").read_text()
    for number, code, said in ((2, 130, "interrupted"), (15, 143, "terminated")):
        (tmp_path / "swallows.py").write_text(source.replace("NUMBER", str(number)))
        for action in (imports, collects, converts, goes_on):
            sys.modules.pop("swallows", None)
            importlib.invalidate_caches()
            _with(monkeypatch, "demo", action)
            # a shell has what it starts in the background ignore Ctrl-C
            found = signal.signal(number, signal.default_int_handler)
            try:
                assert main(["demo"]) == code
                assert capsys.readouterr().err.endswith(f"clipnerf: {said}\n")
                assert signal.getsignal(number) is signal.default_int_handler
            finally:
                signal.signal(number, found)
        assert (tmp_path / "imported").exists()
        (tmp_path / "imported").unlink()
        sys.dont_write_bytecode = True


@pytest.mark.parametrize(("set_to", "found"), [(None, "passive"), ("active", "active")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(set_to, found):
    code = """
import os, sys
from clipnerf.cli import main
main(["--version"])
print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    env |= {} if set_to is None else {"OMP_WAIT_POLICY": set_to}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-2:] == [found, "False"]
