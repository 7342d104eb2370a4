"""Edits of known success are read as such."""

import math
from types import SimpleNamespace

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.edits import EditReport, Edits, edit_success, judge
from clipnerf.evaluation.recognizer import Readings
from clipnerf.evaluation.wishes import Wish


class Painter:
    """An 'editor' whose codes are colours; it paints tall boxes, and always obeys but for red."""

    colors = torch.tensor([[220, 30, 30], [30, 160, 60], [30, 60, 220]]) / 255
    order = ("red", "green", "blue")

    def __init__(self):
        self.strengths = []

    def sample(self, seeds):
        return [seed % 3 for seed in seeds]

    def edit(self, codes, text, shape, appearance):
        self.strengths.append((shape, appearance))
        wanted = self.order.index(text)
        return codes if wanted == 0 else [wanted] * len(codes)

    def render(self, codes, azimuth_deg, elevation_deg, size):
        pictures = torch.ones(len(codes), 3, size, size)
        high, wide = size // 7, size * 3 // 8
        for picture, code in zip(pictures, codes, strict=True):
            picture[:, high:-high, wide:-wide] = self.colors[code][:, None, None]
        return SimpleNamespace(rgb=pictures)


def test_what_was_asked_is_read(recognizer):
    painter = Painter()
    assert isinstance(painter, Edits)
    wishes = [
        Wish("green", {"color": "green"}, shape=0),
        Wish("red", {"color": "red"}, shape=0, appearance=0.5),
    ]
    report = edit_success(painter, recognizer, wishes, range(6), size=32)
    green, red = report.results
    assert green.before == pytest.approx(1 / 3) and green.after == 1 and green.changed == 1
    assert red.after == red.before and red.changed == 0
    assert green.kept == 1 and red.kept == 1
    assert painter.strengths == [(0, 1.0), (0, 0.5)]
    assert report.after == pytest.approx((green.after + red.after) / 2)
    assert "6 objects, 32 px" in report.lines()[-1] and len(report.lines()) == 5


def test_unknown_values_are_refused_before_anything_is_rendered(recognizer):
    with pytest.raises(UsageError, match="never 'pink'"):
        edit_success(Painter(), recognizer, [Wish("pink", {"color": "pink"})], [0])
    with pytest.raises(UsageError, match="0 wishes"):
        edit_success(Painter(), recognizer, [], [0])


def readings(**rows: list[int]) -> Readings:
    values = dict.fromkeys(rows, ("x", "y", "z"))
    index = {key: torch.tensor(row) for key, row in rows.items()}
    return Readings(index, {k: torch.ones(len(r)) for k, r in index.items()}, values)


def test_judging_by_hand():
    before = readings(a=[0, 0, 1, 2], b=[0, 1, 1, 0], c=[0, 0, 0, 0])
    after = readings(a=[1, 0, 1, 1], b=[0, 1, 0, 0], c=[0, 0, 0, 1])
    result = judge(Wish("p", {"a": "y"}), before, after)
    assert (result.before, result.after) == (0.25, 0.75)
    assert result.changed == pytest.approx(2 / 3)
    assert result.kept == pytest.approx(6 / 8)
    both = judge(Wish("p", {"a": "y", "b": "x"}), before, after)
    assert both.after == pytest.approx(3 / 4) and both.kept == pytest.approx(3 / 4)


def test_all_had_it_already():
    same = readings(a=[1, 1])
    result = judge(Wish("p", {"a": "y"}), same, same)
    assert result.before == result.after == 1
    assert math.isnan(result.changed) and math.isnan(result.kept)
    assert EditReport((result,), (0,), 64).after == 1
