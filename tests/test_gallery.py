"""The gallery is what its script makes: the page, small pictures, lines that are understood."""

import runpy
import shlex
from pathlib import Path

import pytest
from PIL import Image

from clipnerf.config.parse import parse
from clipnerf.io.camera_path import read_camera_path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_gallery.py"))
WORKS = SCRIPT["WORKS"]


def test_the_page_is_the_scripts():
    assert (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8") == SCRIPT["page"]()
    kept = {path.name for path in SCRIPT["PICTURES"].iterdir()}
    assert kept == {SCRIPT["shown_as"](work) for work in WORKS}


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_every_work_has_its_picture_and_a_line_that_is_understood(work):
    file = SCRIPT["PICTURES"] / SCRIPT["shown_as"](work)
    assert file.stat().st_size < 1e6
    with Image.open(file) as picture:
        film = work.made.endswith(".mp4")
        assert getattr(picture, "n_frames", 1) >= (24 if film else 1)
    if work.python:
        compile(work.lines, work.name, "exec")
    for line in [] if work.python else work.lines.splitlines():
        words = shlex.split(line)
        assert words[0] == "clipnerf" and parse(words[1:]).verb.name in line


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in SCRIPT["PICTURES"].iterdir()) < 4e6


def test_the_example_of_a_camera_path_can_be_read():
    path = read_camera_path(ROOT / "examples" / "camera_path.json")
    assert path.fps == pytest.approx(24) and len(path.camera) > 24
