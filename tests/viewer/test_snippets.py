"""The lines that a page shows make what it shows."""

import shlex

import pytest
import torch

from clipnerf.commands.edit import edit_objects, load_objects
from clipnerf.config.parse import parse
from clipnerf.viewer import saving, snippets
from clipnerf.viewer.session import Session
from clipnerf.viewer.state import Edit, Source, State
from tests.viewer.test_drawing import view_of

STATES = {
    "plain": State(Source(3)),
    "words": State(Source(3), edits=(Edit("a red chair"),)),
    "dials": State(Source(3), edits=(Edit("a red chair", shape=-0.5, appearance=1.25),)),
    "quotes": State(Source(3), edits=(Edit("a 'red' \"chair\" $HOME; rm -rf /"),)),
    "parts": State(Source(3), edits=(Edit("red", "the seat"), Edit("blue", "the back"))),
    "both": State(Source(3), edits=(Edit("blue", "the seat"), Edit("a red chair"))),
    "one part": State(Source(3), edits=(Edit("red", "the seat", appearance=0.5),)),
    "off": State(Source(3), edits=(Edit("a red chair", on=False), Edit("a green chair"))),
    "two": State(Source(3), edits=(Edit("a red chair"), Edit("a wide chair"))),
    "blend": State(Source(3), Source(4), 7, (Edit("a red chair"), Edit("blue", "the seat"))),
}


def same(made, wanted) -> bool:
    pairs = [(made.shape, wanted.shape), (made.appearance, wanted.appearance)]
    pairs += [(a.strength, b.strength) for a, b in zip(made.layers, wanted.layers, strict=True)]
    pairs += [
        (a.appearance, b.appearance)
        for a, b in zip(made.layers, wanted.layers, strict=True)
        if b.appearance is not None
    ]
    return all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


@pytest.mark.parametrize("name", STATES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_python_lines_make_the_same(name, editor, bundle):
    lines = snippets.python_lines(str(bundle), STATES[name], 30.0, 20.0)
    made: dict = {}
    exec("\n".join(lines[:-2]), made)  # without picture and video
    assert same(made["codes"], Session(editor).edited(STATES[name]))
    assert lines[-1] == 'editor.orbit(codes, "orbit.mp4")'


@pytest.mark.parametrize("name", STATES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_commands_make_the_same(name, editor, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, session = STATES[name], Session(editor)
    whole = State(
        state.source, state.other, state.steps, tuple(e for e in state.edits if not e.part)
    )
    file = saving.codes_file(editor, session.edited(whole), view_of(editor), "mine")
    (tmp_path / snippets.CODES).write_bytes(file)
    commands = snippets.command_lines(str(bundle), state, 30.0, 20.0, mesh=True)
    assert any(line.startswith("clipnerf orbit ") for line in commands)
    for line in commands:
        words = shlex.split(line)
        assert words[0] == "clipnerf"
        config = parse(words[1:]).config
        codes, _ = load_objects(editor, config)
        some = config.text or config.edit or config.region
        made = edit_objects(editor, codes, config) if some else codes
        assert same(made, session.edited(state)), line


def test_a_photograph_is_inverted_first():
    state = State(Source(photo="my chair.png"), edits=(Edit("a red chair"),))
    invert, *others = snippets.command_lines("chairs", state, 30.0, 20.0, mesh=True)
    config = parse(shlex.split(invert)[1:]).config
    assert config.photo == "my chair.png"
    assert all("--codes out/found/codes.safetensors" in line for line in others)
    assert "editor.invert('my chair.png').codes" in snippets.python_lines("x", state, 0.0, 0.0)[3]


def test_what_commands_cannot_say_is_said():
    assert snippets.unsaid(STATES["words"]) == []
    assert "codes.safetensors" in snippets.unsaid(STATES["blend"])[0]
    dialed = State(edits=(Edit("red", "the seat", appearance=0.5), Edit("a red chair")))
    assert "Python alone" in snippets.unsaid(dialed)[0]
