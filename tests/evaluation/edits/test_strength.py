"""Spearman's correlation by hand; a sweep asks for what it says."""

import pytest
import torch

from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.strength import STRENGTHS, spearman, steadiness, sweep
from clipnerf.gan.codes import Codes


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [1, 10, 11, 500], 1),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        ([1, 2, 3, 4, 5], [1, 3, 2, 5, 4], 0.8),
        # ties share their ranks: 1, 2.5, 2.5, 4
        ([1, 2, 3, 4], [1, 2, 2, 3], 4.5 / (5 * 4.5) ** 0.5),
        ([1, 2, 3], [7, 7, 7], 0),
    ],
)
def test_by_hand(x, y, expected):
    assert spearman(x, y) == pytest.approx(expected)


def test_objects_and_their_mean_are_two_figures():
    up = torch.tensor(STRENGTHS)
    steady = steadiness(torch.stack((up, -0.1 * up), dim=1))
    assert steady.objects == pytest.approx(0) and steady.mean_curve == pytest.approx(1)
    assert steadiness(torch.stack((up, up.exp()), dim=1)).objects == pytest.approx(1)


def test_a_curve_that_stands_still_but_for_rounding_counts_as_nothing():
    still = 0.12345 + 1e-5 * torch.tensor([1.0, -1.0, 1.0, 1.0, 0.0, -1.0, 1.0, 1.0, 1.0])
    assert steadiness(torch.stack((still, still), dim=1)).objects == 0


class Mover:
    """Moves the appearance by the strength."""

    def __init__(self):
        self.strengths = []

    def edit(self, codes, text, *, shape, appearance):
        self.strengths.append((shape, appearance))
        return Codes(codes.shape, codes.appearance + 5 * appearance)


def test_a_sweep(generator):
    codes, mover, told = Codes.from_seeds([0, 1], 8), Mover(), []
    unedited = torch.zeros(2, 3, 16, 16)
    wish = Wish("red", {"color": "red"}, shape=0, appearance=0.5)
    found = sweep(mover, generator, codes, wish, {0.0: unedited}, size=16, on_progress=told.append)
    assert found.shape == (9, 2, 3, 16, 16) and torch.equal(found[4], unedited)
    assert mover.strengths == [(0, 0.5 * s) for s in STRENGTHS if s]
    assert sum(told) == 8 * 2
    assert float((found[0] - found[-1]).abs().max()) > 1 / 255
