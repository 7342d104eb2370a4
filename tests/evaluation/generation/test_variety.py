"""Variety: the real set is as various as itself, a set that lacks a color is told so."""

import dataclasses
import json

import pytest
import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.generation import views_with_opacity
from clipnerf.evaluation.generation.variety import Variety, VarietyReport
from clipnerf.io.weights import weights_hash
from clipnerf.vision.features import as_8_bit, image_features


def pretend(variety: Variety, pictures: torch.Tensor) -> Variety:
    """The same measure of a generator that paints ``pictures``."""
    variety.generated = lambda generator: pictures  # type: ignore[method-assign]
    return variety


def test_a_perfect_generator(shapes, clip, recognizer, generator):
    variety = Variety(shapes, clip, recognizer, samples=120, size=32)
    report = pretend(variety, variety.real()).measure(generator)
    assert report.fd_clip == pytest.approx(0, abs=1e-6)
    assert (report.precision, report.recall, report.coverage) == (1, 1, 1)
    assert report.below_half == [] and report.scalars()["share_gap"] == 0
    assert all(report.ratio(k, v) == 1 for k, values in report.shares.items() for v in values)


def test_a_dropped_color_is_named(shapes, clip, recognizer, generator, world):
    others = PictureDataset(world(120, 5, colors=("green", "blue")), 32)
    variety = Variety(shapes, clip, recognizer, samples=120, size=32)
    report = pretend(variety, others.batch(range(120))).measure(generator)
    assert report.below_half == [("color", "red")]
    data, generated = report.shares["color"]["red"]
    assert data == pytest.approx(1 / 3, abs=0.12) and generated < 0.02
    assert report.precision > 0.9 and report.recall < 0.85 and report.coverage < 0.8
    text = "\n".join(report.lines())
    assert "color red (0.0" in text and "FD-CLIP" in text and "120 generated" in text
    assert report.scalars()["values_below_half"] == 1
    assert report.scalars()["share_ratio_min"] < 0.06


def test_a_real_generator_is_measured_and_left_alone(shapes, clip, recognizer, generator):
    before, state = weights_hash(dict(generator.state_dict())), torch.get_rng_state()
    variety = Variety(shapes, clip, recognizer, samples=20, size=16)
    reports = [variety.measure(generator) for _ in range(2)]
    assert reports[0] == reports[1]
    assert weights_hash(dict(generator.state_dict())) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert reports[0].protocol["size"] == 16 and reports[0].protocol["reals"] == 20
    assert reports[0].fd_clip > 0.01
    json.dumps(reports[0].as_json())
    assert all(isinstance(v, float) for v in reports[0].scalars().values())


def test_the_batch_does_not_matter(shapes, clip, generator, monkeypatch):
    variety = Variety(shapes, clip, None, samples=10, size=16)
    whole = variety.generated(generator)
    monkeypatch.setattr(views_with_opacity, "BATCH_PIXELS", 3 * 16 * 16)
    parts = variety.generated(generator)
    assert whole.shape == (10, 3, 16, 16)
    # a matrix product of another height may round otherwise, by one level of 255 at most
    assert float((whole - parts).abs().max()) < 1.5 / 255
    assert float((whole[1:] - whole[:1]).abs().amax((1, 2, 3)).min()) > 0


def test_both_are_seen_alike(shapes, clip, generator):
    variety = Variety(shapes, clip, None, samples=8, size=16)
    real, made = variety.real(), variety.generated(generator)
    assert real.shape == made.shape
    for pictures in (real, made):
        assert float((pictures * 255 - (pictures * 255).round()).abs().max()) < 1e-3
    full = Variety(shapes, clip, None, samples=8, size=32).real()
    # half the size: each point lies between four pixels
    assert torch.allclose(real, as_8_bit(torch.nn.functional.avg_pool2d(full, 2)), atol=1.1 / 255)


def test_without_clip_or_without_recognizer(shapes, clip, recognizer, generator):
    words = Variety(shapes, None, recognizer, samples=8, size=16).measure(generator)
    assert words.fd_clip is None and words.shares and "fd_clip" not in words.scalars()
    assert not any("FD-CLIP" in line for line in words.lines())
    features = Variety(shapes, clip, None, samples=8, size=16).measure(generator)
    assert features.coverage is not None and not features.shares
    assert "share_gap" not in features.scalars()
    with pytest.raises(UsageError, match="CLIP model, a recognizer or both"):
        Variety(shapes, None, None)


def test_the_judge_of_features(shapes, judge, generator):
    variety = Variety(shapes, None, None, samples=10, size=16, judge=judge)
    assert variety.others().shape == (10, 3, 16, 16)
    assert not torch.equal(variety.others(), variety.real())
    report = variety.measure(generator)
    assert report.fd_clip is None and report.features.floor.samples == 10
    assert report.features.generated.frechet > report.features.floor.frechet
    text = "\n".join(report.lines())
    assert "EfficientNet-Lite2, ImageNet (floor)" in text and "Frechet distance" in text
    assert report.scalars()["frechet_lite2"] == report.features.generated.frechet
    assert judge.hash in report.protocol["features"]
    whole = Variety(shapes, None, None, samples=240, size=16, judge=judge)
    assert whole.others() is None


def test_too_few_samples_are_refused(shapes, clip):
    with pytest.raises(UsageError, match="variety of 3 samples"):
        Variety(shapes, clip, None, samples=3)


def test_ratio_where_the_data_has_none():
    report = VarietyReport(
        None, None, None, None, None, None, {"a": {"x": (0.0, 0.5), "y": (1.0, 0.5)}}, {}
    )
    assert report.ratio("a", "x") == 1 and report.ratio("a", "y") == 0.5
    assert report.below_half == []
    worse = dataclasses.replace(report, shares={"a": {"y": (1.0, 0.49)}})
    assert worse.below_half == [("a", "y")]


def test_features_do_not_depend_on_the_batch(shapes, clip):
    pictures = shapes.batch(range(10))
    whole, parts = image_features(clip, pictures), image_features(clip, pictures, batch=3)
    assert torch.allclose(whole, parts) and torch.allclose(whole.norm(dim=1), torch.ones(10))
