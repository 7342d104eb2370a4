"""Edits of known success are read as such."""

import math

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.attributes import (
    Edits,
    by_attribute,
    check_wishes,
    find_floor,
    group_means,
    group_of,
    is_color,
    judge,
)
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.readings import ObjectReadings, read_objects
from clipnerf.evaluation.views_of_objects import shoot
from clipnerf.gan.codes import Codes
from clipnerf.vision.recognizer import Readings


def readings(sure: float = 1.0, views: int = 1, **rows: list[int]) -> ObjectReadings:
    """Objects read as the rows of x, y, z, all of them with one probability."""
    values = dict.fromkeys(rows, ("x", "y", "z"))
    index = {key: torch.tensor(row) for key, row in rows.items()}
    rest = (1 - sure) / 2
    chances = {
        key: torch.nn.functional.one_hot(row, 3) * (sure - rest) + rest
        for key, row in index.items()
    }
    objects = Readings(index, {k: torch.full((len(r),), sure) for k, r in index.items()}, values)
    many = Readings(
        {key: row.repeat_interleave(views) for key, row in index.items()},
        {key: torch.full((len(row) * views,), sure) for key, row in index.items()},
        values,
    )
    return ObjectReadings(many, objects, chances, views)


def test_judging_by_hand():
    before = readings(a=[0, 0, 1, 2], b=[0, 1, 1, 0], c=[0, 0, 0, 0])
    after = readings(sure=0.9, a=[1, 0, 1, 1], b=[0, 1, 0, 0], c=[0, 0, 0, 1])
    result = judge(Wish("p", {"a": "y"}), before, after, colors=("c",))
    assert (result.before, result.after) == (0.25, 0.75)
    assert result.changed == pytest.approx(2 / 3)
    assert result.kept.share == pytest.approx(6 / 8) and result.kept.counted == 1
    assert result.kept.by_attribute == {"b": 0.75, "c": 0.75}
    assert (result.kept_shape, result.kept_color) == (0.75, 0.75)
    assert result.has == (True, False, True, True) and result.read[1] == "a x"
    assert result.chances == pytest.approx((0.9, 0.05, 0.9, 0.9))
    assert result.raw.after == 0.75 and result.raw.kept == pytest.approx(6 / 8)

    both = judge(Wish("p", {"a": "y", "b": "x"}), before, after)
    assert both.after == pytest.approx(3 / 4) and both.kept.share == pytest.approx(3 / 4)
    assert both.chances == pytest.approx((0.9, 0.05, 0.9, 0.9))
    ignored = judge(Wish("p", {"a": "y"}), before, after, ignored=("b",))
    assert ignored.kept.by_attribute == {"c": 0.75}


def test_what_was_not_read_confidently_is_counted_in_the_raw_figure_alone():
    before, after = readings(sure=0.7, a=[0, 0], b=[0, 1]), readings(a=[1, 1], b=[0, 0])
    result = judge(Wish("p", {"a": "y"}), before, after)
    assert math.isnan(result.kept.share) and result.kept.counted == 0
    assert result.raw.kept == 0.5


def test_every_picture_for_itself_in_the_raw_figure():
    before, after = readings(a=[0, 0], b=[0, 0]), readings(a=[1, 1], b=[0, 0])
    views = Readings(
        {"a": torch.tensor([1, 0, 0, 0]), "b": torch.tensor([0, 0, 0, 1])},
        {key: torch.ones(4) for key in "ab"},
        after.objects.values,
    )
    twice = readings(views=2, a=[0, 0], b=[0, 0])
    mixed = ObjectReadings(views, after.objects, after.chances, 2)
    result = judge(Wish("p", {"a": "y"}), twice, mixed)
    assert (result.after, result.raw.after, result.raw.kept) == (1, 0.25, 0.75)
    assert before.first(1).objects.index["a"].tolist() == [0] and len(twice.first(1).pictures) == 2


def test_all_had_it_already():
    same = readings(a=[1, 1])
    result = judge(Wish("p", {"a": "y"}), same, same)
    assert result.before == result.after == 1
    assert math.isnan(result.changed) and math.isnan(result.kept.share)


def test_means_are_of_the_wishes_of_a_group():
    before, after = readings(a=[0, 0], b=[0, 0]), readings(a=[1, 0], b=[1, 1])
    wishes = [
        Wish("c", {"a": "y"}, shape=0),
        Wish("d", {"a": "x"}, shape=0),
        Wish("s", {"b": "y"}, appearance=0),
    ]
    means = group_means([judge(wish, before, after) for wish in wishes])
    assert set(means) == {"appearance", "shape"}
    assert means["appearance"].after == 0.5 and means["shape"].after == 1
    # the second wish was granted to all before, so that none could change
    assert means["appearance"].changed == 0.5
    assert means["appearance"].kept == 0 and means["shape"].kept == 0.5
    results = [judge(wish, before, after) for wish in wishes]
    assert by_attribute(results, "appearance") == {"b": 0}
    assert by_attribute(results, "shape") == {"a": 0.5} and by_attribute(results, "both") == {}


def test_which_codes_a_wish_moves_and_what_is_a_color():
    wishes = [Wish("w", {"windows": "dark"}, shape=0), Wish("v", {"body": "van"}, appearance=0)]
    assert [group_of(w) for w in [*wishes, Wish("b", {"a": "b"})]] == [
        "appearance",
        "shape",
        "both",
    ]
    assert is_color("windows", wishes) and is_color("wheel_color", wishes)
    assert not is_color("body", wishes)


def test_wishes_of_another_category_are_refused(recognizer):
    check_wishes([Wish("green", {"color": "green"})], recognizer)
    with pytest.raises(UsageError, match="wish 'pink' does not fit.*never 'pink'.*one category"):
        check_wishes([Wish("pink", {"color": "pink"})], recognizer)
    with pytest.raises(UsageError, match="does not read 'wheels'"):
        check_wishes([Wish("p", {"wheels": "large"})], recognizer)


def test_the_floor_of_a_reader_that_never_errs_and_of_one_that_does(recognizer, generator):
    codes = Codes.from_seeds(range(4), 8)
    before = read_objects(recognizer, shoot(generator, codes, size=32).rgb)
    floor = find_floor(generator, recognizer, codes, before, ("color",), size=32)
    assert set(floor.other_views.by_attribute) == {"color", "form"}
    assert set(floor.recolored.by_attribute) == {"form"}
    # a reader that sees forms of colors, so that another color is another form
    flipped = Readings(
        {key: 1 - row.clamp(max=1) for key, row in before.objects.index.items()},
        {key: torch.ones_like(p) for key, p in before.objects.probability.items()},
        before.objects.values,
    )
    wrong = ObjectReadings(before.pictures, flipped, before.chances, before.views)
    worse = find_floor(generator, recognizer, codes, wrong, ("color",), size=32)
    assert worse.recolored.share < 1 and worse.recolored.counted == 1


def test_an_editor_is_something_that_edits():
    from clipnerf.editor import Editor

    assert issubclass(Editor, Edits) and not issubclass(Codes, Edits)
