"""Photos, what inversion makes of them, and the same objects after some prompts.

    python scripts/draw_inversion.py data/pretrained/chairs data/test/00000.png \
        --prompts "a green chair" "a chair with armrests" --out docs/images/inversion.png

A column a photo; rows: photo, reconstruction, from another side, and a row a prompt from that side.
--without-photos leaves out the first row, where photographs may not be passed on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from clipnerf import Editor
from clipnerf.errors import one_line_failures
from clipnerf.inversion.preprocess import prepare, usual_frame
from clipnerf.io.sheet import contact_sheet, save_png


def main() -> None:
    """Read the arguments, invert, edit, render, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--prompts", nargs="*", default=[])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--azimuth-deg", type=float, default=35)
    parser.add_argument("--without-photos", action="store_true")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    size, count = arguments.size, len(arguments.photos)
    editor = Editor.load(arguments.bundle)
    frame = usual_frame(editor.generator)
    photos = torch.cat([prepare(path, size, frame).picture for path in arguments.photos])
    found = editor.invert(photos)
    pictures, labels = [photos], [Path(path).name for path in arguments.photos]
    if arguments.without_photos:
        pictures, labels = [], []
    pictures.append(editor.render(found.codes, camera=found.cameras.resized(size)).rgb)
    labels += [f"found, {float(value):.1f} dB" for value in found.psnr]
    for prompt in ["", *arguments.prompts]:
        codes = editor.edit(found.codes, prompt) if prompt else found.codes
        pictures.append(editor.render(codes, arguments.azimuth_deg, 20, size).rgb)
        labels += [prompt or "another side"] * count
    sheet = contact_sheet(torch.cat([rows.cpu() for rows in pictures]), count, labels)
    save_png(arguments.out, sheet)


if __name__ == "__main__":
    with one_line_failures():
        main()
