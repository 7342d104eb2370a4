"""Codes: the same numbers everywhere, shape and appearance apart."""

import dataclasses

import numpy as np
import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.fields.masks import BoxRegion
from clipnerf.gan.codes import Codes, LocalEdit


def test_seeds_give_these_very_numbers_on_every_machine():
    codes = Codes.from_seeds([0, 7])
    assert codes.shape.shape == codes.appearance.shape == (2, 128)
    assert codes.shape.dtype == torch.float32
    first = [1.764052391052246, 0.40015721321105957, 0.978738009929657, 2.2408931255340576]
    assert codes.shape[0, :4].tolist() == first
    assert codes.appearance[0, :2].tolist() == [0.6722947359085083, 0.40746182203292847]
    assert codes.shape[1, :2].tolist() == [1.6905256509780884, -0.46593737602233887]
    assert codes.appearance[1, -1].item() == pytest.approx(0.97578263, abs=1e-8)


def test_a_seed_does_not_depend_on_its_neighbors():
    assert torch.equal(Codes.from_seeds([5, 3]).shape[1], Codes.from_seeds([3]).shape[0])
    assert Codes.from_seeds([2**32 - 1], dim=4).shape.shape == (1, 4)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_named(seed):
    with pytest.raises(UsageError, match=f"seeds is {seed}"):
        Codes.from_seeds([seed])


def test_samples_are_standard_normal_and_independent():
    codes = Codes.sample(4000, 8, torch.Generator().manual_seed(0))
    both = torch.cat((codes.shape, codes.appearance), dim=1)
    assert both.mean(0).abs().max() < 0.08
    torch.testing.assert_close(both.T.cov(), torch.eye(16), atol=0.1, rtol=0)


def test_selections_stay_batches_and_join_again():
    codes = Codes.from_seeds([1, 2, 3])
    assert len(codes) == 3 and len(codes[-1]) == 1
    assert torch.equal(codes[-1].shape, codes.shape[2:])
    assert torch.equal(codes[[2, 0]].appearance, codes.appearance[[2, 0]])
    joined = Codes.cat([codes[0], codes[1:]])
    assert torch.equal(joined.shape, codes.shape)
    assert torch.equal(joined.appearance, codes.appearance)


def test_codes_say_in_a_notebook_what_they_are():
    codes = Codes.from_seeds([1, 2], 16)
    assert "2 objects: codes of 16 numbers" in codes._repr_html_()
    box = BoxRegion(-torch.ones(2, 3), torch.ones(2, 3))
    layer = LocalEdit(box, None, codes.appearance, torch.ones(2, 1), "<b>: red" + 9999 * "x")
    shown = dataclasses.replace(codes, layers=(layer,) * 1000)._repr_html_()
    assert "&lt;b&gt;: red" in shown and "<b>" not in shown and len(shown) < 5000


def test_a_loop_over_codes_ends_and_a_wrong_index_is_said():
    codes = Codes.from_seeds([3, 4], 8)
    assert [len(each) for each in codes] == [1, 1]
    assert torch.equal(codes[np.int64(-1)].shape, codes.shape[1:])
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"codes.{index}. of 2 objects"):
            codes[index]
    for wrong in ("a", 0.5, None):
        with pytest.raises(UsageError, match="index of codes is .*; allowed: a number, a slice"):
            codes[wrong]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": torch.full((2, 8), float("nan"))}, "codes.shape hold NaN"),
        ({"shape": torch.zeros(2, 8).double()}, "codes.shape is .* float32"),
        ({"appearance": np.zeros((2, 8), np.float32)}, "codes.appearance is .* tensor"),
        ({"appearance": torch.zeros(1, 8)}, "codes.appearance are of 1 objects, codes.shape of 2"),
        ({"shape": torch.zeros(2, 8)[:0], "appearance": torch.zeros(2, 8)[:0]}, "of 0 objects"),
    ],
)
def test_codes_made_by_hand_are_looked_at(changes, said):
    made = object.__new__(Codes)
    whole = {"shape": torch.zeros(2, 8), "appearance": torch.zeros(2, 8), **changes}
    for name, value in {**whole, "detail": None, "layers": ()}.items():
        object.__setattr__(made, name, value)
    with pytest.raises(UsageError, match=said):
        Codes.check(made)
