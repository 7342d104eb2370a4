"""Random numbers that depend on names, never on the history of a process.

Every draw is seeded by (seed, rank, step, stream), so that a resumed run draws what an
uninterrupted one would have drawn, and a new stream does not disturb the others.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float32

from clipnerf.errors import UsageError

_LARGEST_SEED = 2**32 - 1


def seed_for(seed: int, rank: int, step: int, stream: str) -> int:
    """A 63-bit seed, the same on every machine and in every Python."""
    name = f"{int(seed)}/{int(rank)}/{int(step)}/{stream}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def torch_generator(
    seed: int, rank: int, step: int, stream: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh ``torch.Generator`` on ``device``, seeded by :func:`seed_for`."""
    return torch.Generator(device=device).manual_seed(seed_for(seed, rank, step, stream))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """Within it torch draws on the CPU from a seed of its own, for first weights; nothing else is
    disturbed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, 0, 0, stream))
        yield


def normal_codes(seed: int, dim: int) -> Float32[np.ndarray, " dim"]:
    """``dim`` standard normal numbers, the same on every machine.

    ``RandomState`` is used for its promise that its stream is frozen for ever.

    Raises:
        UsageError: a seed outside 0 … 4294967295.
    """
    if not 0 <= int(seed) <= _LARGEST_SEED:
        raise UsageError(f"seed is {seed}, but a seed is a whole number from 0 to {_LARGEST_SEED}")
    return np.random.RandomState(int(seed)).standard_normal(dim).astype(np.float32)
