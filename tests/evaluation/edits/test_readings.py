"""Objects read from several sides: averaged, counted where sure."""

import math

import pytest
import torch

from clipnerf.evaluation.edits.readings import CONFIDENT, read_objects, stayed
from clipnerf.vision.recognizer import Readings


def test_views_are_averaged_by_their_log_probabilities(recognizer, shapes):
    pictures = shapes.batch(range(12)).unflatten(0, (4, 3))
    found = read_objects(recognizer, pictures)
    logs = recognizer.log_chances(pictures.flatten(0, 1))
    assert len(found) == 4 and len(found.pictures) == 12 and found.views == 3
    for key, rows in logs.items():
        by_object = rows.unflatten(0, (4, 3))
        assert found.objects.index[key].tolist() == by_object.sum(1).argmax(1).tolist()
        assert torch.allclose(found.chances[key], by_object.exp().mean(1))
        assert torch.allclose(found.chances[key].sum(1), torch.ones(4), atol=1e-5)
        sure = found.chances[key][torch.arange(4), found.objects.index[key]]
        assert torch.equal(sure, found.objects.probability[key])
    alone = read_objects(recognizer, pictures[:, :1])
    single = recognizer.read(pictures[:, 0])
    assert all(torch.equal(alone.objects.index[k], single.index[k]) for k in single.values)


def test_one_doubtful_view_does_not_outvote_two_sure_ones(recognizer, shapes, monkeypatch):
    # two views say slightly "first", one says firmly "second": log-probabilities add up
    rows = torch.tensor([[0.55, 0.45, 1e-9], [0.55, 0.45, 1e-9], [0.01, 0.99, 1e-9]]).log()
    monkeypatch.setattr(recognizer, "log_chances", lambda pictures: {"color": rows})
    found = read_objects(recognizer, shapes.batch(range(3))[None])
    assert found.pictures.index["color"].tolist() == [0, 0, 1]
    assert found.objects.index["color"].tolist() == [1]
    assert found.objects.probability["color"].tolist() == pytest.approx([(0.45 * 2 + 0.99) / 3])


def some(index: list[int], probability: list[float]) -> Readings:
    return Readings({"a": torch.tensor(index)}, {"a": torch.tensor(probability)}, {"a": ("x", "y")})


def test_only_what_was_read_confidently_counts():
    before = some([0, 0, 1, 1], [CONFIDENT, 0.99, 0.79, 0.6])
    after = some([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5])
    sure, all_of_them = stayed(before, after, ["a"]), stayed(before, after, ["a"], 0)
    assert (sure.share, sure.counted) == (0.5, 0.5)
    assert (all_of_them.share, all_of_them.counted) == (0.5, 1)
    assert stayed(before, some([0, 0, 0, 0], [1.0] * 4), ["a"]).share == 1
    none = stayed(before, after, [])
    assert math.isnan(none.share) and none.by_attribute == {}
