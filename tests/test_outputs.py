"""Where a command is to write is asked before anything is loaded: one line, exit code 2."""

import os
from pathlib import Path

import pytest

from clipnerf.cli import main
from clipnerf.config.parse import keys_of
from clipnerf.config.verbs import VERBS

WRITING = [verb for verb in VERBS if "out" in keys_of(verb.schema)]
# Nothing of this is there, and nobody is to find out.
NEEDED = {
    "data synthesize": ["chairs"],
    "pretrain": ["--data.path", "none"],
    "train-clip": ["--data", "none"],
    "train-region": ["--phrases", "the seat"],
    "train-segmenter": ["--data", "none"],
    "invert": ["none", "none.png"],
    "segment": ["none.png", "--text", "the seat"],
    "edit": ["none", "--text", "a red chair"],
    "train-recognizer": ["--data", "none"],
    "study variety": ["--data", "none"],
}
SUFFIX = {"segment": ".png", "edit": ".png", "orbit": ".mp4", "morph": ".mp4", "export": ".glb"}


def _below_a_file(folder, name):
    (folder / "file").write_text("precious")
    return folder / "file" / name


def _deep_below_a_file(folder, name):
    return _below_a_file(folder, "new") / "newer" / name


def _of_the_other_kind(folder, name):
    """A folder where a file is to be, and the other way round."""
    if name.endswith("/"):
        (folder / "there").write_text("precious")
    else:
        (folder / f"there{Path(name).suffix}").mkdir()
    return folder / f"there{Path(name).suffix}"


def _in_proc(folder, name):
    return Path("/proc/1/clipnerf") / name


def _below_a_link_to_nowhere(folder, name):
    (folder / "link").symlink_to(folder / "nowhere" / "at all")
    return folder / "link" / name


@pytest.mark.parametrize(
    "place",
    [
        _below_a_file,
        _deep_below_a_file,
        _of_the_other_kind,
        pytest.param(
            _in_proc, marks=pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="no /proc")
        ),
        _below_a_link_to_nowhere,
    ],
)
@pytest.mark.parametrize("verb", WRITING, ids=lambda verb: verb.name)
def test_an_output_that_cannot_be_is_refused_at_once(tmp_path, monkeypatch, capsys, verb, place):
    monkeypatch.chdir(tmp_path)
    name = f"o{SUFFIX.get(verb.name, '.json')}" if verb.makes_file else "o/"
    out = place(tmp_path, name)
    before = sorted(tmp_path.rglob("*"))
    code = main([*verb.name.split(), *NEEDED.get(verb.name, []), "--out", str(out)])
    said = capsys.readouterr()
    assert code == 2 and not said.out
    assert (
        said.err.startswith(f"clipnerf: error: cannot write '{out}'") and said.err.count("\n") == 1
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", ["pretrain", "train-clip", "train-segmenter", "segment"])
def test_an_output_that_can_be_is_not_made_for_a_command_that_fails(tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    assert main([verb, *NEEDED[verb], "--out", "new/newer/o.png"]) == 2
    assert not list(tmp_path.iterdir())


def test_each_file_of_several_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m-2-overlay.png").mkdir()
    argv = ["segment", "none.png", "--text", "the seat", "--text", "the back", "--out", "m.png"]
    assert main(argv) == 2
    assert "cannot write 'm-2-overlay.png': it is a folder" in capsys.readouterr().err
