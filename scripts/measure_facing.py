"""How many of a generator's objects face its front: read off their pictures by a small network that
learns azimuths from posed pictures (three minutes of one core), which the generator never saw.

    clipnerf data synthesize chairs --count 3000 --size 64 --seed 1 --out out/chairs-posed
    python scripts/measure_facing.py data/pretrained/chairs --poses out/chairs-posed
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError, one_line_failures
from clipnerf.evaluation.generation.side_by_side import named_files
from clipnerf.evaluation.generation.variety import FIRST_SEED
from clipnerf.evaluation.inversion.front_reader import (
    estimate_front_azimuth,
    facing,
    read_azimuth,
    train_front_reader,
)
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

HELD_OUT = 300


def main() -> None:
    """Read the arguments, measure, print; the exit code is 2 for misuse."""
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("generators", nargs="+", help="bundles or generator files; NAME=PATH")
    parser.add_argument("--poses", required=True, help="pictures with azimuth_deg; not trained on")
    parser.add_argument("--samples", type=int, default=200, help="objects, seeds from 100000 on")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    with one_line_failures():
        measure(parser.parse_args())


def measure(a: argparse.Namespace) -> None:
    """Prints the reader's own error on held-out pictures, then a line a generator."""
    files: dict[str, Path] = named_files(a.generators)
    data = PictureDataset(a.poses, a.size)
    true = [record.azimuth_deg for record in data.records]
    if len(true) < 2 * HELD_OUT or None in true:
        raise UsageError(
            f"--poses {a.poses} has {len(true)} pictures; {2 * HELD_OUT} or more are needed, each "
            "with azimuth_deg in metadata.jsonl"
        )
    reader = train_front_reader(data, HELD_OUT, a.size)
    held_out = torch.deg2rad(torch.tensor(true[:HELD_OUT]))
    error = held_out - read_azimuth(reader, data.batch(torch.arange(HELD_OUT)))
    away = torch.rad2deg((torch.remainder(error + math.pi, 2 * math.pi) - math.pi).abs())
    print(
        f"reader, {HELD_OUT} held-out pictures: median error {float(away.median()):.1f} degrees, "
        f"{float((away <= 15).float().mean()):.1%} within 15"
    )
    for name, file in files.items():
        generator = Generator.load(file)
        seeds = range(FIRST_SEED, FIRST_SEED + a.samples)
        codes = Codes.from_seeds(seeds, generator.config.field.code_dim)
        parts = [
            estimate_front_azimuth(reader, generator, codes[start : start + 20], a.size)
            for start in range(0, a.samples, 20)
        ]
        found = facing(torch.cat(parts))
        print(
            f"{name}: {found.within_15:.1%} within 15 degrees of the front, {found.within_30:.1%} "
            f"within 30, median {found.median_deg:.1f}; the front is at "
            f"{found.front_deg + generator.config.front_azimuth_deg:.0f} degrees "
            f"({a.samples} objects, seeds {FIRST_SEED} to {FIRST_SEED + a.samples - 1})"
        )


if __name__ == "__main__":
    main()
