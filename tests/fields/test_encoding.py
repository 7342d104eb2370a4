"""The frequency encoding and its window."""

import math

import pytest
import torch

from clipnerf.fields.encoding import frequency_encoding, frequency_features, octave_window


def test_equals_sines_and_cosines_one_by_one():
    x = torch.tensor([[-0.9, 0.0, 0.4], [1.0, 0.25, -0.33]], dtype=torch.float64)
    found = frequency_encoding(x, 4)
    assert found.shape == (2, frequency_features(3, 4)) == (2, 27)
    for row, point in zip(found.tolist(), x.tolist(), strict=True):
        waves = [2**k * math.pi / 2 * value for k in range(4) for value in point]
        expected = point + [math.sin(w) for w in waves] + [math.cos(w) for w in waves]
        assert row == pytest.approx(expected, abs=1e-12)


def test_no_octave_is_the_position_itself():
    x = torch.rand(5, 2, 3)
    assert torch.equal(frequency_encoding(x, 0), x) and frequency_features(3, 0) == 3


@pytest.mark.parametrize("window", [0.0, 0.5, 1.0, 2.25, 3.0])
def test_the_window_opens_one_octave_after_another(window):
    x = torch.rand(6, 3) * 2 - 1
    full = frequency_encoding(x, 3)
    found = full * octave_window(3, 3, torch.tensor(window))
    assert torch.equal(found[:, :3], x)
    for octave in range(3):
        opened = min(max(window - octave, 0.0), 1.0)
        weight = (1 - math.cos(math.pi * opened)) / 2
        for half in (3, 12):
            part = slice(half + 3 * octave, half + 3 * octave + 3)
            torch.testing.assert_close(found[:, part], weight * full[:, part])


def test_batch_dimensions_and_dtype_are_kept():
    x = torch.rand(2, 4, 5, 3, dtype=torch.float64)
    found = frequency_encoding(x, 2)
    assert found.shape == (2, 4, 5, 15) and found.dtype == torch.float64
    torch.testing.assert_close(found[1, 2], frequency_encoding(x[1, 2], 2))
