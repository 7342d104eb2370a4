"""Each alarm rings for its own symptom, only when that lasts, and names it in one line."""

import pytest
import torch

from clipnerf.errors import ClipNerfError
from clipnerf.gan.health import PATIENCE, HealthMonitor

REAL = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
FAKE = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
WHITE, ALIKE = torch.ones(8, 3, 8, 8), FAKE[:1].expand(8, -1, -1, -1)
HALF, EMPTY, FULL = (torch.full((8, 1, 8, 8), v) for v in (0.5, 0.0, 1.0))

SYMPTOMS = {
    "empty": (WHITE + 0.2 * FAKE, EMPTY),
    "filled": (FAKE, FULL),
    "alike": (ALIKE, HALF),
}


def watch(alarms: HealthMonitor, fake: torch.Tensor, opacity: torch.Tensor, times: int) -> None:
    for step in range(times):
        alarms.pictures(step, 10.0, REAL, fake, opacity)


def test_healthy_training_rings_nothing():
    alarms = HealthMonitor()
    watch(alarms, FAKE, HALF, 3 * PATIENCE)
    assert not any(alarms.counts.values())


@pytest.mark.parametrize("word", SYMPTOMS)
def test_a_symptom_that_lasts_stops_and_is_named(word):
    alarms = HealthMonitor()
    watch(alarms, *SYMPTOMS[word], PATIENCE - 1)
    with pytest.raises(ClipNerfError, match=f"{word}.*stopped; try") as error:
        watch(alarms, *SYMPTOMS[word], 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("word", SYMPTOMS)
def test_a_bad_moment_passes(word):
    alarms = HealthMonitor()
    for _ in range(3):
        watch(alarms, *SYMPTOMS[word], PATIENCE - 1)
        watch(alarms, FAKE, HALF, 1)


@pytest.mark.parametrize("word", SYMPTOMS)
def test_the_first_pictures_are_not_judged(word):
    alarms = HealthMonitor(grace_kimg=4.0)
    for step in range(3 * PATIENCE):
        alarms.pictures(step, 3.9, REAL, *SYMPTOMS[word])


def test_counts_survive_a_checkpoint():
    first, second = HealthMonitor(), HealthMonitor()
    watch(first, *SYMPTOMS["alike"], PATIENCE - 1)
    second.load(first.state())
    with pytest.raises(ClipNerfError, match="alike"):
        watch(second, *SYMPTOMS["alike"], 1)


def test_a_feature_discriminator_that_is_always_right_is_named_with_the_keys_to_turn():
    alarms = HealthMonitor()
    said = [alarms.features(step, 0.02) for step in range(2 * PATIENCE)]
    assert [n for n, line in enumerate(said) if line] == [PATIENCE - 1, 2 * PATIENCE - 1]
    line = said[PATIENCE - 1] or ""
    assert "\n" not in line
    assert all(key in line for key in ("features.weight", "features.lr", "features.start_kimg"))
    assert alarms.features(99, 1.2) is None and alarms.features(100, 0.02) is None
