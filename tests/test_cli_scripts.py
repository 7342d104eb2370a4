"""The scripts with a pretended environment: what they install, run and say."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Stands in for a Python: answers what the scripts ask and writes down what they have it do.
PYTHON = """#!/bin/bash
case "$*" in
    "-m pip --version") exit {pip} ;;
    "-c "*) exit {version} ;;
    "--version") echo "Python 3.7.1"; exit 0 ;;
    "-m venv "*)
        mkdir -p "$3/bin"
        sed 's/exit 9/exit 0/' "$0" >"$3/bin/python"
        chmod +x "$3/bin/python"
        ;;
esac
echo "python $*" >>{log}
if [[ "$*" == *" install "* ]]; then exit {install}; fi
"""
INSTALLED_FROM = ("pyproject.toml", "setup.py", "clipnerf/fields/native/field.c")
CLIPNERF = """#!/bin/bash
echo "clipnerf in $PWD:" "$@"
"""


class Checkout:
    """A copy of the scripts with a pretended .venv beside them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "some clone"
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for file in INSTALLED_FROM:
            (self.root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.root / file)
        for tool in ("bash", "cat", "cksum", "basename", "dirname", "mkdir", "sed", "chmod"):
            (self.bin / tool).symlink_to(shutil.which(tool))

    def python(self, path: Path, *, version=0, install=0, pip=0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = f"'{self.log}'"
        path.write_text(PYTHON.format(log=log, version=version, install=install, pip=pip))
        path.chmod(0o755)

    def environment(self, **answers) -> None:
        self.python(self.root / ".venv" / "bin" / "python", **answers)
        (self.root / ".venv" / "bin" / "clipnerf").write_text(CLIPNERF)
        (self.root / ".venv" / "bin" / "clipnerf").chmod(0o755)

    def run(self, script: str, *arguments: str, cwd: Path | None = None):
        command = [str(self.bin / "bash"), str(self.root / "scripts" / script), *arguments]
        environment = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/")}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_the_second_call_installs_nothing(checkout, tmp_path):
    checkout.environment()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = checkout.run("quickstart.sh", "--text", "a red chair", "--out", "x", cwd=elsewhere)
    assert first.returncode == 0, first.stderr
    # The caller's folder and every option arrive as they were.
    assert first.stdout == f"clipnerf in {elsewhere}: demo --text a red chair --out x\n"
    installed = checkout.done()
    assert len(installed) == 1 and installed[0].endswith(f"-e {checkout.root}")
    assert checkout.run("quickstart.sh").returncode == 0
    assert checkout.done() == installed


def test_the_page_is_installed_and_opened(checkout):
    checkout.environment()
    opened = checkout.run("quickstart.sh", "--view", "data/pretrained/cars", "--size", "256")
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout.endswith(": view --open data/pretrained/cars --size 256\n")
    assert checkout.done()[0].endswith(f"-e {checkout.root}[viewer]")


@pytest.mark.parametrize("changed", INSTALLED_FROM)
def test_changed_dependencies_and_a_changed_source_are_installed(checkout, changed):
    checkout.environment()
    checkout.run("quickstart.sh")
    with (checkout.root / changed).open("a") as file:
        file.write("# one more\n")
    checkout.run("quickstart.sh")
    assert len(checkout.done()) == 2


def test_a_failed_installation_is_tried_again(checkout):
    checkout.environment(install=1)
    failed = checkout.run("quickstart.sh")
    assert failed.returncode == 1 and failed.stdout == ""
    assert "quickstart.sh: the installation failed" in failed.stderr
    checkout.environment()
    assert checkout.run("quickstart.sh").returncode == 0
    assert len(checkout.done()) == 2


def test_an_environment_is_made_where_there_is_none(checkout):
    checkout.python(checkout.bin / "python3", pip=9)
    assert checkout.run("test.sh").returncode == 0
    said = checkout.done()
    assert said[0] == f"python -m venv {checkout.root}/.venv"
    assert said[1].endswith(f"-e {checkout.root}[dev]")
    assert said[2:] == [
        "python -m ruff check .",
        "python -m ruff format --check --quiet .",
        "python -m mypy",
        "python -m pytest -q -n 2",
    ]
    # The tools' environment serves the demo too.
    (checkout.root / ".venv" / "bin" / "clipnerf").write_text(CLIPNERF)
    (checkout.root / ".venv" / "bin" / "clipnerf").chmod(0o755)
    assert checkout.run("quickstart.sh").returncode == 0
    assert checkout.done() == said


def test_the_documentation_is_built_without_warnings(checkout):
    checkout.environment()
    assert checkout.run("docs.sh", "--site-dir", "x").returncode == 0
    installed, built = checkout.done()
    assert installed.endswith(f"-e {checkout.root}[docs]")
    assert built == "python -m mkdocs build --strict --site-dir x"


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh", "docs.sh"])
def test_no_python_or_an_old_one_is_one_line(checkout, script):
    missing = checkout.run(script)
    assert missing.returncode == 2
    assert missing.stderr == f"{script}: python3 is missing; install Python 3.10 or newer\n"
    checkout.python(checkout.bin / "python3", version=1)
    old = checkout.run(script)
    assert old.returncode == 2 and old.stderr.count("\n") == 1
    assert "Python 3.7.1 is too old; install Python 3.10 or newer" in old.stderr
    assert checkout.done() == [] and not (checkout.root / ".venv").exists()


def test_continuous_integration_runs_what_a_developer_runs():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "bash scripts/test.sh"
