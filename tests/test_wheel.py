"""A wheel built from the source distribution, installed where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FOLDERS = ("clipnerf", "data/pretrained")
READ_BY_TRAINING = ("discriminator", "features", "evaluation")


def run(*command: object, cwd: Path, path: Path | None = None) -> str:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built in a copy of the checkout, that nothing of it may be left in this one."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        built = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / name, source / name, ignore=built)
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(dist)!r})"
    run(sys.executable, "-c", build, cwd=source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", dist)
    run(*pip, "wheel", *options, *dist.glob("*.tar.gz"), cwd=dist)
    (built,) = dist.glob("*.whl")
    return built


def test_a_wheel_serves_every_python_and_is_of_a_sensible_size(wheel):
    assert "-py3-none-" in wheel.name
    assert wheel.stat().st_size < 25e6


def test_a_wheel_holds_every_file_of_the_package(wheel):
    files = {file.relative_to(ROOT) for file in (ROOT / "clipnerf").rglob("*") if file.is_file()}
    kept = {file.as_posix() for file in files if file.suffix not in (".pyc", ".so")}
    assert kept <= set(zipfile.ZipFile(wheel).namelist())


def test_a_wheel_holds_the_bundles_less_what_only_training_reads(wheel):
    bundles = ROOT / "data/pretrained"
    wanted = {
        f"clipnerf/pretrained/{file.relative_to(bundles)}"
        for file in bundles.rglob("*")
        if file.is_file()
        and not any(word in str(file.relative_to(bundles)) for word in READ_BY_TRAINING)
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if "/pretrained/" in name}
    assert held == wanted and len(wanted) > 15


def test_a_wheel_edits_anywhere(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=empty)
    script = """
import clipnerf
from clipnerf import Editor
print(clipnerf.__file__)
for name in ("chairs", "cars"):
    editor = Editor.from_pretrained(name, "cpu")
    codes = editor.sample([0])
    assert not editor.edit(codes, "red").appearance.equal(codes.appearance)
"""
    said = run(sys.executable, "-c", script, cwd=empty, path=site)
    assert said.strip() == str(site / "clipnerf/__init__.py")
    command = ("-m", "clipnerf", "edit", "chairs", "--text", "red", "--size", 16, "--out", "a.png")
    run(sys.executable, *command, cwd=empty, path=site)
    assert (empty / "a.png").is_file()
