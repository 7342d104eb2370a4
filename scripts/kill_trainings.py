"""Kills every training with SIGKILL at random moments, and resumes it from what a kill leaves at
every boundary between two writes.

    python scripts/kill_trainings.py                          all of it: about ten minutes of a core
    python scripts/kill_trainings.py --moments 3 --boundaries 5 --only train-encoder

After each kill the same command is given once more. What it makes has to be what an undisturbed
run makes, bit for bit: weights, checkpoints, previews, lines of stats.jsonl; and nothing else may
be left. Prints a table; the exit code is 1 if anything was otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process that has started threads cannot be forked
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.training.kills import Kills, Tally  # noqa: E402


def main() -> int:
    """Reads the arguments, kills, prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition(".")[0])
    parser.add_argument("--moments", type=int, default=30, help="random moments for each training")
    parser.add_argument(
        "--boundaries", type=int, default=0, help="so many, drawn at random; 0: each of them"
    )
    parser.add_argument("--seed", type=int, default=0, help="of moments and boundaries")
    parser.add_argument("--only", action="append", help="name of a training, or how it begins")
    asked = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(Path(folder).resolve() / "kills")
        print("| training | boundaries | resumed | kills at moments | other than undisturbed |")
        print("|---|---|---|---|---|")
        for name in kills.commands:
            if asked.only and not name.startswith(tuple(asked.only)):
                continue
            tally = kills.kill(name, asked.boundaries, asked.moments, asked.seed)
            print(row(tally), flush=True)
            for fault in tally.faults:
                print(f"{name}: {fault}", file=sys.stderr, flush=True)
            faults += len(tally.faults)
    return 1 if faults else 0


def row(tally: Tally) -> str:
    """A line of the table."""
    told = (tally.boundaries, tally.resumed, tally.killed, len(tally.faults))
    return f"| {tally.training} | " + " | ".join(map(str, told)) + " |"


if __name__ == "__main__":
    sys.exit(main())
