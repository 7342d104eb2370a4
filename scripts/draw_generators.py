"""The same seeds of several generators, from two sides each, as one picture: a row a side.

    python scripts/draw_generators.py OLD/chairs data/pretrained/chairs \
        --out docs/images/crisp-chairs.png

Seeds 0 to 7, not chosen. A seed is another object for every generator.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from clipnerf.errors import one_line_failures
from clipnerf.evaluation.generation.side_by_side import named_files
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.previews import grid
from clipnerf.io.sheet import to_uint8

SIDES_DEG = (35.0, 215.0)
ELEVATION_DEG = 20.0


@torch.no_grad()
def main() -> None:
    """Read the arguments, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generators", nargs="+", help="bundles or generator files; NAME=PATH")
    parser.add_argument("--seeds", type=int, default=8, help="objects: the seeds from 0 on")
    parser.add_argument("--size", type=int, default=128, help="pixels of a picture")
    parser.add_argument("--out", required=True, help="PNG file")
    arguments = parser.parse_args()
    rows = []
    for file in named_files(arguments.generators).values():
        generator = Generator.load(file)
        codes = Codes.from_seeds(range(arguments.seeds), generator.config.field.code_dim)
        for side in SIDES_DEG:
            camera = generator.camera(side, ELEVATION_DEG, arguments.size)
            rows.append(generator.render(codes, camera).rgb)
    sheet = to_uint8(grid(torch.cat(rows), arguments.seeds)[None])[0]
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(out, optimize=True)
    print(out)


if __name__ == "__main__":
    with one_line_failures():
        main()
