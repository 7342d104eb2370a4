"""Hostile and clumsy input of every kind: no traceback, no hang, nothing silently wrong.

`python scripts/fuzz.py --cases 10000 --seed 7` runs more of them.
"""

import os
from pathlib import Path

import pytest

from tests.fuzz.run import KINDS, faults_of
from tests.fuzz.world import World, make_world

SEED = int(os.environ.get("CLIPNERF_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world") / "world")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_silently_wrong_or_says_more_than_a_line(world, tmp_path: Path, kind: str):
    numbers = range(KINDS[kind][0])
    found = [str(fault) for fault in faults_of(kind, world, tmp_path, SEED, numbers)]
    assert not found, "\n".join(found)
