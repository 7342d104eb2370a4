"""Chairs: within their box, the same for the same seed, and edits that touch one attribute."""

import numpy as np
import pytest

from clipnerf.data.procedural import category, chairs
from clipnerf.data.procedural.parts import bounds
from clipnerf.errors import UsageError


def chair(index: int, seed: int = 0):
    return chairs.sample(np.random.RandomState([seed, index]))


def same(a, b) -> bool:
    return all(
        p.name == q.name
        and p.color == q.color
        and np.array_equal(p.linear, q.linear)
        and np.array_equal(p.offset, q.offset)
        for p, q in zip(a.parts, b.parts, strict=True)
    )


def test_the_same_seed_gives_the_same_chair_and_another_index_another():
    assert same(chair(3), chair(3))
    assert chair(3).jitter != chair(4).jitter


def test_chairs_are_centered_and_stay_in_their_box():
    for index in range(150):
        low, high = bounds(chair(index).parts)
        np.testing.assert_allclose(low + high, 0, atol=1e-8)
        assert (high <= [0.65, 0.65, 0.9]).all(), (index, high)
        assert high[2] * 2 > 0.95, index


def test_every_named_value_occurs_with_a_fair_share():
    drawn = [chair(index).attributes for index in range(400)]
    for key, values in chairs.EDITS.items():
        if key == "color":
            continue
        for value in values:
            share = np.mean([attributes[key] == value for attributes in drawn])
            assert share > 0.2 / len(values), (key, value, share)
    same_color = np.mean([a["seat_color"] == a["back_color"] for a in drawn])
    assert 0.65 < same_color < 0.80


def test_attributes_are_what_the_parts_are():
    for index in range(60):
        made = chair(index)
        names = {part.name for part in made.parts}
        assert ("armrests" in names) == (made.attributes["armrests"] == "yes")
        seat = next(part for part in made.parts if part.name == "seat")
        assert (seat.primitive == "cylinder") == (made.attributes["seat_shape"] == "round")


@pytest.mark.parametrize(
    "key, part",
    [
        ("seat_color", "seat"),
        ("back_color", "back"),
        ("leg_color", "legs"),
        ("back_style", "back"),
        ("base", "legs"),
        ("thickness", "legs"),
        ("cushion", "seat"),
    ],
)
def test_an_edit_changes_its_part_and_no_other(key, part):
    for index in range(20):
        before = chair(index)
        value = next(v for v in chairs.EDITS[key] if v != before.attributes[key])
        after = chairs.edit(before, key, value)
        changed = {k for k in after.attributes if after.attributes[k] != before.attributes[k]}
        assert changed - {"arm_color"} == {key}
        untouched = [
            [
                repr((p.linear.tolist(), p.offset.tolist(), p.color))
                for p in thing.parts
                if p.name not in (part, "armrests", "legs" if key == "cushion" else part)
            ]
            for thing in (before, after)
        ]
        assert untouched[0] == untouched[1]


def test_an_edit_and_its_reverse_give_the_same_chair():
    before = chair(7)
    for key, value in [("back_height", "high"), ("back_height", "low"), ("width", "wide")]:
        there = chairs.edit(before, key, value)
        assert same(chairs.edit(there, key, before.attributes[key]), before)


def test_possible_edits_change_something_that_can_be_said():
    for index in range(10):
        made = chair(index)
        for key, values in chairs.possible_edits(made).items():
            for value in values:
                after = chairs.edit(made, key, value)
                assert after.attributes != made.attributes
                said = chairs.caption(after.attributes, np.random.RandomState(0), about=[key])
                assert said.startswith(("a ", "an "))


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="'sofas'; choose one of chairs"):
        category("sofas")
    with pytest.raises(UsageError, match="no attribute 'wheels'; choose one of color, "):
        chairs.edit(chair(0), "wheels", "yes")
    with pytest.raises(UsageError, match="'huge' is no width.*narrow, medium, wide"):
        chairs.edit(chair(0), "width", "huge")
