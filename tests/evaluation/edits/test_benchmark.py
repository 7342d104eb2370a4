"""Wishes from YAML, and the mistakes people make in YAML."""

from pathlib import Path

import pytest

from clipnerf.data.procedural import cars
from clipnerf.data.procedural.chairs import EDITS
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.benchmark import Wish, load_wishes

CHAIRS = Path(__file__).parents[3] / "configs" / "wishes-chairs.yaml"


def test_the_chairs_wishes_name_attributes_and_values_of_chairs():
    wishes = load_wishes(CHAIRS)
    assert len({wish.prompt for wish in wishes}) == len(wishes) == 25
    for wish in wishes:
        for attribute, value in wish.wanted.items():
            assert value in EDITS[attribute]
            assert value.split()[0] in wish.prompt or attribute in ("armrests", "base")
        assert {wish.shape, wish.appearance} == {0, 1}


def test_the_cars_wishes_name_attributes_and_values_of_cars():
    wishes = load_wishes(CHAIRS.with_name("wishes-cars.yaml"))
    prompts = {wish.prompt for wish in wishes}
    assert len(prompts) == len(wishes) == 28
    assert {"a long car", "a mini car", "an SUV", "a jeep", "a sports car"} <= prompts
    for wish in wishes:
        for attribute, value in wish.wanted.items():
            assert value in cars.EDITS[attribute]
            assert value in wish.prompt or attribute == "spoiler"
        of_shape = {"body", "length", "height", "wheels", "spoiler"}
        assert wish.shape == bool(of_shape & set(wish.wanted))
        assert wish.appearance == bool(set(wish.wanted) - of_shape)


def test_strengths_are_one_if_not_said(tmp_path):
    (tmp_path / "w.yaml").write_text("- {prompt: a red chair, wanted: {color: red}}")
    assert load_wishes(tmp_path / "w.yaml") == (Wish("a red chair", {"color": "red"}, 1.0, 1.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {prompt: x, wanted: {armrests: yes}}", "armrests is True, no word"),
        ("- {prompt: x}", "wish 1 of .*prompt, wanted"),
        ("- {prompt: x, wanted: {a: b}, strength: 1}", "it has the keys"),
        ("- {prompt: x, wanted: {a: b}, shape: big}", "shape is 'big'"),
        ("[]", "no list of wishes"),
        ("- {prompt: x, wanted: {}}", "wanted is"),
        ("- {prompt: null, wanted: {a: b}}", "prompt is None"),
        ("- {prompt: ' ', wanted: {a: b}}", "prompt is ' '"),
        (f"- {{prompt: x, wanted: [{'long, ' * 900}]}}", "wanted is .{,300}; give"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_wishes(tmp_path / "w.yaml")
