"""Sizes of the hash grid against the formulas, worked out here a second time."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from clipnerf.fields.layout import PRIMES, GridLayout

SIZES = [
    (2, 5, 2, 8, 4, 40),
    (3, 8, 2, 14, 8, 128),
    (3, 8, 2, 14, 8, 96),
    (3, 1, 4, 19, 16, 16),
    (3, 16, 2, 19, 16, 2048),
    (4, 4, 1, 12, 3, 20),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_rows_and_offsets_follow_the_formula(size):
    dim, levels, features, log2_rows, base, finest = size
    layout = GridLayout(*size)
    growth = math.exp(math.log(finest / base) / (levels - 1)) if levels > 1 else 1.0
    start = 0
    for level in range(levels):
        log2_b = np.float32(math.log2(float(np.float32(growth))))
        power = np.float32(2 ** float(np.float32(level) * log2_b))
        scale = power * np.float32(base) - np.float32(1)
        vertices = math.ceil(scale) + 1
        rows = min(8 * math.ceil(vertices**dim / 8), 2**log2_rows)
        assert layout.scales[level] == float(scale)
        assert layout.resolutions[level] == vertices
        assert layout.rows[level] == rows
        assert layout.hashed[level] == (vertices**dim > 2**log2_rows)
        assert layout.offsets[level] == start
        start += rows
    assert layout.total_rows == layout.offsets[-1] == start
    assert layout.out_features == levels * features


def test_the_layout_of_the_issue_in_numbers():
    layout = GridLayout(dim=3, levels=8, features=2, log2_rows=14, base_resolution=8)
    assert layout.resolutions[0] == 8 and layout.scales[0] == 7.0
    assert layout.resolutions[-1] == 128 and layout.scales[-1] == 127.0
    assert layout.hashed == (False, False, False, True, True, True, True, True)
    assert layout.rows[:3] == (512, 1728, 5832) and set(layout.rows[3:]) == {2**14}


def test_a_level_that_just_fits_is_dense_and_one_that_just_does_not_is_hashed():
    fits = GridLayout(3, 1, 2, 9, 8, 8)
    does_not = GridLayout(3, 1, 2, 8, 8, 8)
    assert fits.rows == (512,) and fits.hashed == (False,)
    assert does_not.rows == (256,) and does_not.hashed == (True,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dim", 1),
        ("dim", 5),
        ("levels", 0),
        ("features", 3),
        ("log2_rows", 2),
        ("log2_rows", 25),
        ("base_resolution", 1),
        ("finest_resolution", 7),
    ],
)
def test_a_size_out_of_range_is_named(key, value):
    with pytest.raises(ValueError, match=f"{key} is {value}"):
        GridLayout(**{key: value})


RECORDED = json.loads(Path(__file__).with_name("tiny_cuda_nn_layout.json").read_text())["layouts"]


@pytest.mark.parametrize("theirs", RECORDED, ids=lambda d: f"{d['dim']}-{d['levels']}-{d['b']:.2f}")
def test_sizes_and_rows_are_those_of_tiny_cuda_nn_itself(theirs):
    finest = round(theirs["base"] * theirs["b"] ** (theirs["levels"] - 1))
    layout = GridLayout(
        theirs["dim"], theirs["levels"], 2, theirs["log2_rows"], theirs["base"], finest
    )
    assert layout.per_level_scale == pytest.approx(theirs["b"], rel=1e-15)
    assert layout.total_rows == theirs["total"]
    for level, their in enumerate(theirs["level"]):
        assert layout.scales[level] == pytest.approx(their["scale"], rel=1e-6)
        found = (layout.resolutions[level], layout.offsets[level], layout.rows[level])
        assert found == (their["resolution"], their["offset"], their["rows"])
        for *vertex, row in their["vertices"]:
            if layout.hashed[level]:
                own = 0
                for coordinate, prime in zip(vertex, PRIMES, strict=False):
                    own ^= coordinate * prime % 2**32
            else:
                own = sum(v * layout.resolutions[level] ** axis for axis, v in enumerate(vertex))
            assert own % layout.rows[level] == row
