"""A visitor's states: what the codes of each are, undo and redo, and what is heard."""

import threading
import warnings

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.viewer.hearing import heard, listening
from clipnerf.viewer.session import LONGEST_HISTORY, Session
from clipnerf.viewer.state import BLEND_STEPS, Edit, Source, State


def same(a, b) -> bool:
    return torch.equal(a.shape, b.shape) and torch.equal(a.appearance, b.appearance)


@pytest.fixture
def session(editor):
    return Session(editor)


def test_codes_are_those_that_the_editor_makes(session, editor):
    session.take(Source(5))
    session.prompt("a red chair")
    session.prompt("blue", "the seat")
    plain = editor.sample([5])
    assert same(session.unedited(), plain)
    wanted = editor.edit(editor.edit(plain, "a red chair"), "blue", region="the seat")
    assert same(session.edited(), wanted)
    assert [layer.name for layer in session.edited().layers] == ["the seat: blue"]


def test_parts_stand_on_top_of_the_whole_whatever_came_first(session):
    session.prompt("blue", "the seat")
    session.prompt("a red chair")
    assert [edit.part for edit in session.state.active] == ["", "the seat"]
    assert [edit.part for edit in session.state.edits] == ["the seat", ""]


def test_of_one_part_the_last_edit_stands(session):
    session.prompt("blue", "the seat")
    session.prompt("red", "the seat")
    assert [edit.text for edit in session.state.edits] == ["red"]


def test_undo_and_redo_lead_through_every_state(session):
    seen = [session.state]
    session.prompt("a red chair")
    seen.append(session.state)
    session.take(Source(1))
    seen.append(session.state)
    session.become(session.state.switched(0, False))
    seen.append(session.state)
    session.become(session.state.removed(0))
    seen.append(session.state)
    for state in seen[-2::-1]:
        session.undo()
        assert session.state == state
    assert not session.can_undo
    session.undo()
    assert session.state == seen[0]
    for state in seen[1:]:
        session.redo()
        assert session.state == state
    assert not session.can_redo
    session.undo()
    session.prompt("a blue chair")
    assert not session.can_redo


def test_a_dial_that_is_dragged_is_one_step_of_undo(session):
    session.prompt("a red chair")
    for strength in (0.1, 0.5, 1.5):
        session.become(session.state.dialed("appearance", strength), "appearance 0")
    assert session.state.edit.appearance == 1.5
    session.undo()
    assert session.state.edit.appearance is None
    assert session.state.edits[0].text == "a red chair"


def test_history_ends_somewhere(session):
    for seed in range(LONGEST_HISTORY + 20):
        session.take(Source(seed + 1))
    count = 0
    while session.can_undo:
        session.undo()
        count += 1
    assert count == LONGEST_HISTORY


def test_an_edit_that_is_off_changes_nothing(session):
    session.prompt("a red chair")
    session.become(session.state.switched(0, False))
    assert same(session.edited(), session.unedited())


def test_dials_give_the_strengths(session, editor):
    session.prompt("a red chair")
    session.become(session.state.dialed("shape", -0.5).dialed("appearance", 2.0))
    assert same(session.edited(), editor.edit(editor.sample([0]), "a red chair", -0.5, 2.0))
    assert session.strengths(session.state.edit) == {"shape": -0.5, "appearance": 2.0}
    assert session.strengths(Edit("red", "the seat")) == {"shape": 0.0, "appearance": 1.0}


def test_a_blend_lies_on_the_way_from_one_to_the_other(session, editor):
    session.become(State(Source(1), Source(2), BLEND_STEPS))
    assert same(session.unedited(), editor.sample([2]))
    session.become(State(Source(1), Source(2), 0))
    assert same(session.unedited(), editor.sample([1]))
    session.become(State(Source(1), Source(2), BLEND_STEPS // 2))
    middle = editor.interpolate(editor.sample([1]), editor.sample([2]), 3)[1]
    assert torch.allclose(session.unedited().shape, middle.shape, atol=1e-6)


def test_seeds_go_around_at_their_ends():
    assert Source(0).step(-1).seed == 2**32 - 1
    assert Source(2**32 - 1).step(1).seed == 0


def test_an_edit_that_fails_is_left_out_and_says_why(editor, monkeypatch):
    def edit(codes, text, *args, **kwargs):
        if kwargs["region"]:
            raise UsageError("no such part: 'the horn'")
        return codes

    monkeypatch.setattr(editor, "edit", edit)
    session = Session(editor)
    session.prompt("red", "the horn")
    assert same(session.edited(), session.unedited())
    assert session.failed == {("red", "the horn", ""): "no such part: 'the horn'"}


def test_no_words_are_refused(session):
    with pytest.raises(UsageError, match="prompt is empty"):
        session.prompt("  ")
    assert not session.can_undo


def test_ten_thousand_letters_are_one_edit_like_any_other(session):
    session.prompt("<b>red</b> " * 900)
    assert len(session.edited()) == 1
    assert not session.failed


def test_warnings_belong_to_the_visitor_who_caused_them(editor):
    first, second = Session(editor), Session(editor)
    first.prompt("a frobnicated chair")
    second.prompt("a red chair")
    with listening():
        threads = [threading.Thread(target=s.edited) for s in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (said,) = first.said.of(first.state.edit.key)
    assert "frobnicated" in said
    assert second.said.of(second.state.edit.key) == []


@pytest.mark.parametrize("first", ("strengths", "edited"))
def test_a_warning_is_kept_whoever_reads_the_words_first(editor, first):
    session = Session(editor)
    session.prompt(f"a befuddled chair, {first}")
    with listening():
        for ask in sorted(("strengths", "edited"), key=lambda name: name != first):
            getattr(session, ask)(*([session.state.edit] if ask == "strengths" else []))
    (said,) = session.said.of(session.state.edit.key)
    assert "befuddled" in said


def test_who_does_not_listen_is_warned_as_ever():
    with pytest.warns(UserWarning, match="aloud"), listening():
        warnings.warn("aloud", stacklevel=1)
    with listening(), heard() as said:
        warnings.warn("quietly", stacklevel=1)
    assert said == ["quietly"]


def test_a_closed_session_holds_no_codes(session):
    session.prompt("a red chair")
    session.edited()
    session.close()
    assert not session._codes and not session.can_undo
