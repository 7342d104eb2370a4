"""Gives the program hostile and clumsy input, more of it than the tests do.

    python scripts/fuzz.py                                     as many as the tests, another seed
    python scripts/fuzz.py --cases 10000 --seed 7              so many of each kind
    python scripts/fuzz.py --only zip --seed 7 --first 17 --cases 1    one of them again

Prints every case that ends in a traceback, a line with "unexpected", a hang, too much memory, or
something silently wrong; the exit code is 1 if there was any.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzz.run import KINDS, faults_of  # noqa: E402
from tests.fuzz.world import make_world  # noqa: E402


def main() -> int:
    """Reads the arguments, runs the cases, prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=0, help="of each kind; 0: as in the tests")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", action="append", choices=list(KINDS), metavar="KIND")
    asked = parser.parse_args()
    total = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder).resolve() / "world")
        for kind in asked.only or KINDS:
            count, began = asked.cases or KINDS[kind][0], time.process_time()
            numbers = range(asked.first, asked.first + count)
            found = list(faults_of(kind, world, Path(folder), asked.seed, numbers))
            total, bad = total + count, bad + len(found)
            taken = time.process_time() - began
            print(f"{kind}: {count} cases, {taken:.1f} s, {len(found)} faults", flush=True)
            for fault in found:
                print(f"  {fault}", flush=True)
    print(f"{total} cases, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
