"""Errors and warnings are lines, whatever they are made of."""

import runpy
import sys
from pathlib import Path

import pytest

from clipnerf.errors import ClipNerfError, UsageError, one_line_failures, warn

SCRIPTS = Path(__file__).parents[1] / "scripts"

HOSTILE = ["two\nlines", "\x1b[31mred", "\u202egnp.a", "a\0b", "\u2028", "x" * 100_000, "\ud800"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", [ClipNerfError, UsageError])
def test_an_error_is_a_line_that_can_be_printed(kind, name):
    said = str(kind(f"begins {name} ends"))
    assert said.isprintable() and len(said) <= 1001
    assert said.startswith("begins ") and said.endswith(" ends")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_warning_is_one_too(name):
    with pytest.warns(UserWarning) as caught:
        warn(f"begins {name} ends")
    assert str(caught[0].message).isprintable() and len(str(caught[0].message)) <= 1001


def test_an_ordinary_error_is_as_it_was_written():
    assert str(UsageError("size is 'ü'; allowed: 8  to 2048")) == "size is 'ü'; allowed: 8  to 2048"
    assert str(ClipNerfError()) == ""


@pytest.mark.parametrize(
    "error, code", [(UsageError("no such file"), 2), (ClipNerfError("full"), 1)]
)
def test_what_a_script_cannot_do_is_one_line_and_an_exit_code(error, code, capsys):
    with pytest.raises(SystemExit) as end, one_line_failures():
        raise error
    assert end.value.code == code
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize(
    "line",
    [
        "assemble_bundle --run nowhere --out b",
        "draw_edits nowhere --out out.png",
        "draw_generators nowhere --out out.png",
        "draw_inversion nowhere photo.png --out out.png",
        "draw_parts nowhere --turn --edit the-seat:red --out out.png",
        "measure_facing nowhere --poses nowhere",
        "measure_generators nowhere --category chairs",
        "mesh_silhouettes nowhere",
    ],
)
def test_a_script_names_the_bundle_that_is_not_there(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / f"{sys.argv[0]}.py"), run_name="__main__")
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("error: ") and "nowhere" in said
    assert said.count("\n") == 1 and not list(tmp_path.iterdir())
