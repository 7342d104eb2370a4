"""Strengths, several prompts at once, edits one after another, and many objects in one call."""

import pytest
import torch

from clipnerf.clip.prompts import text_embedding
from clipnerf.editor import Editor
from clipnerf.editor.conditions import ConditionEncoder, Prompts, bare_prompt, shortened, some_of
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.mappers.paper import Mapper
from tests.tiny_bundle import tiny_bundle

STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return Editor.load(tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


def close(one: Codes, other: Codes) -> bool:
    return torch.allclose(one.shape, other.shape, atol=1e-4) and torch.allclose(
        one.appearance, other.appearance, atol=1e-4
    )


def test_prompts_together_add_their_weighted_changes(editor):
    codes = editor.sample([0, 1])
    red, high = (editor.edit(codes, text) for text in ("a red chair", "a chair with a high back"))
    both = editor.edit(codes, {"a red chair": 1.0, "a chair with a high back": 0.5})
    expected = Codes(
        codes.shape + (red.shape - codes.shape) + 0.5 * (high.shape - codes.shape),
        codes.appearance
        + (red.appearance - codes.appearance)
        + 0.5 * (high.appearance - codes.appearance),
    )
    assert close(both, expected) and not close(both, red)
    half = editor.edit(codes, {"a red chair": 0.5})
    assert close(half, editor.edit(codes, "a red chair", 0.5, 0.5))
    away = editor.edit(codes, {"a red chair": 1, "a blue chair": -1})
    assert not close(away, codes) and not close(away, red)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({}, "empty"),
        ({"  ": 1.0}, "empty"),
        ([], "empty"),
        (["a red chair", ""], "empty"),
        ({"a red chair": float("nan")}, "weight of 'a red chair' is nan"),
        ({"a red chair": float("inf")}, "weight of 'a red chair' is inf"),
        (["a", "b", "c"], "3 prompts for 2 objects.*several at once with weights"),
    ],
)
def test_words_that_cannot_be(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        Prompts.parse(text, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "noun", "prompt"),
    [
        ("red", "chair", "a red chair"),
        ("orange", "chair", "an orange chair"),
        (" dark red ", "car", "a dark red car"),
        ("red", "", None),
        ("", "chair", None),
        ("red chair", "chair", None),
        ("A red", "chair", None),
        ("with armrests", "chair", None),
        ("a chair with a high back", "chair", None),
    ],
)
def test_a_bare_word_is_a_prompt_for_the_category(text, noun, prompt):
    assert bare_prompt(text, noun) == prompt


def test_a_condition_holds_what_its_mapper_is_to_follow_and_how_far(editor):
    encoder = ConditionEncoder(editor.generator, editor.clip, editor.mappers)
    red = text_embedding(editor.clip, "a red chair")[None]
    asked = {"a red chair": 2.0, "a wide chair": 1.0}
    both = encoder.encode(3, asked, 0.5, None, None)
    assert [(some.which, some.strength) for some in both] == [
        ("shape", 1.0),
        ("shape", 0.5),
        ("appearance", 2.0),
        ("appearance", 1.0),
    ]
    assert torch.equal(both[0].embedding, red) and torch.equal(both[2].embedding, red)
    each = encoder.encode(2, ["a red chair", "a wide chair"], 0, 3, None)
    assert [(some.which, some.strength, len(some.embedding)) for some in each] == [
        ("appearance", 3.0, 2)
    ]
    assert encoder.encode(1, "a red chair", 0, 0.0, None) == []


def test_warnings_point_at_the_line_that_asked(editor):
    for text in ("a zyxwv chair", ["a zyxwu chair", "a chair"]):
        with pytest.warns(UserWarning, match="has never seen") as caught:
            editor.edit(editor.sample([0, 1]), text)
        assert [warning.filename for warning in caught] == [__file__]


def test_edits_compose_in_order_and_leave_what_was_before(editor):
    codes = editor.sample([0, 1])
    kept = Codes(codes.shape.clone(), codes.appearance.clone())
    red = editor.edit(codes, "a red chair")
    high = editor.edit(red, "a chair with a high back")
    # the undo: what stood before is still there, bit for bit
    assert torch.equal(codes.shape, kept.shape) and torch.equal(codes.appearance, kept.appearance)
    assert close(editor.edit(red, "a red chair", -1.0, -1.0), codes)
    assert close(editor.edit(high, {"a red chair": -1, "a chair with a high back": -1}), codes)
    assert not close(high, red) and not close(red, codes)


def test_a_hundred_objects_are_one_pass_with_one_embedding(editor, monkeypatch):
    fresh = Editor(editor.generator, editor.clip, list(editor.mappers.values()))
    encoded: list[str] = []
    passes: list[int] = []
    forward = Mapper.forward

    def encoding(clip, prompt):
        encoded.append(prompt)
        return text_embedding(clip, prompt)

    def counting(self, embedding, codes):
        passes.append(len(codes))
        return forward(self, embedding, codes)

    monkeypatch.setattr("clipnerf.editor.conditions.text_embedding", encoding)
    monkeypatch.setattr(Mapper, "forward", counting)
    codes = fresh.sample(range(100))
    edited = fresh.edit(codes, "a red chair")
    fresh.edit(codes, "a red chair", shape=0.5)
    assert encoded == ["a red chair"] and passes == [100] * 4
    assert close(edited[99], fresh.edit(codes[99], "a red chair"))


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("a chair with a high back", "shape"),
        ("a wide chair", "shape"),
        ("a red chair", "appearance"),
    ],
)
def test_strength_moves_the_bundles_objects_along_the_words(text, which):
    """Spearman of strength, -2 to 2, and CLIP's direction, over 4 objects; docs/editing.md."""
    editor = Editor.load("data/pretrained/chairs", device="cpu")
    assert editor.clip is not None
    codes = editor.sample([0, 1, 2, 3])
    direction = text_embedding(editor.clip, text) - editor.mappers[which].centre
    off = {"shape": 0.0, "appearance": 0.0}
    along = []
    for strength in STRENGTHS:
        edited = editor.edit(codes, text, **(off | {which: strength}))
        assert (strength == 0) == (edited is codes)
        along.append(editor.clip.encode_image(editor.render(edited, size=64).rgb) @ direction)
    mean = torch.stack(along).mean(1)
    assert spearman(torch.tensor(STRENGTHS), mean) >= 0.7
    assert mean[-1] > mean[2] + 0.02 and mean[-1] > mean[0] + 0.02


def spearman(one: torch.Tensor, other: torch.Tensor) -> float:
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def test_spearman():
    assert spearman(torch.tensor([1.0, 2, 3]), torch.tensor([10.0, 20, 21])) == pytest.approx(1)
    assert spearman(torch.tensor([1.0, 2, 3]), torch.tensor([3.0, 2, 1])) == pytest.approx(-1)


def test_long_words_are_shown_short():
    assert shortened("x" * 100, 10) == "x" * 9 + "…" and shortened("chair") == "chair"
    assert some_of(["a", "b", "a"]) == "'a', 'b'"
    assert some_of([str(n) for n in range(8)]).endswith("'4' and 3 more")
