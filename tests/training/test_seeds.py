import subprocess
import sys

import numpy as np
import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.training.seeds import normal_codes, seed_for, torch_generator


def test_a_seed_is_the_same_in_every_process():
    code = "from clipnerf.training.seeds import seed_for; print(seed_for(3, 1, 70, 'codes'))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert outputs == {str(seed_for(3, 1, 70, "codes"))}


def test_every_part_of_the_name_counts():
    seeds = {
        seed_for(seed, rank, step, stream)
        for seed in (0, 1)
        for rank in (0, 1)
        for step in (0, 1, 11)
        for stream in ("codes", "cameras")
    }
    assert len(seeds) == 24
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_torch_generator_depends_on_the_name_only():
    first = torch.randn(4, generator=torch_generator(0, 0, 5, "codes"))
    torch.randn(100)
    assert torch.equal(first, torch.randn(4, generator=torch_generator(0, 0, 5, "codes")))
    assert not torch.equal(first, torch.randn(4, generator=torch_generator(0, 0, 6, "codes")))


def test_normal_codes_are_frozen():
    # RandomState(0)'s first normal numbers, as NumPy has given them for ever.
    expected = np.array([1.7640524, 0.4001572, 0.978738, 2.2408931], dtype=np.float32)
    assert np.array_equal(normal_codes(0, 4), expected)
    assert normal_codes(1, 128).shape == (128,) and normal_codes(1, 128).dtype == np.float32
    many = np.stack([normal_codes(seed, 128) for seed in range(500)])
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed):
    with pytest.raises(UsageError, match=f"seed is {seed}, but"):
        normal_codes(seed, 4)
