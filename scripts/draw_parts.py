"""Edits of parts beside the plain mapper: objects as sampled, the whole edited, the parts edited.

    python scripts/draw_parts.py data/pretrained/cars --out docs/images/parts-cars.png \
        --plain "a car with red front wheels and green rear wheels" \
        --edit "the front wheels: red" --edit "the rear wheels: green"

Seeds are 0, 1, 2 ...: nothing is chosen. With --turn, the edited objects from eight sides alone.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from clipnerf import Editor
from clipnerf.config.editing import parts_of
from clipnerf.errors import one_line_failures
from clipnerf.gan.codes import Codes
from clipnerf.io.sheet import contact_sheet, overlay, save_png


def main() -> None:
    """Read the arguments, render, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--plain", default="", help="words for the whole object")
    parser.add_argument("--edit", action="append", required=True, help="'part: what it becomes'")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--azimuth-deg", type=float, default=35)
    parser.add_argument("--turn", action="store_true", help="only the edit, from eight sides")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    if not arguments.plain and not arguments.turn:
        parser.error("--plain is empty; give the words for the whole object, or --turn")
    editor = Editor.load(arguments.bundle)
    codes = editor.sample(seeds=list(range(arguments.objects)))
    place = (arguments.azimuth_deg, 20, arguments.size)
    before = editor.render(codes, *place).rgb
    rows, labels = [before], [f"seed {seed}" for seed in range(arguments.objects)]
    pairs = parts_of(arguments.edit)
    if arguments.turn:
        save_png(arguments.out, turned(editor, editor.edit_parts(codes, pairs), arguments.size))
        return
    for part, _ in pairs:
        rows.append(overlay(before, editor.region_picture(codes, part, *place)))
        labels += [part] * arguments.objects
    rows.append(editor.render(editor.edit(codes, arguments.plain), *place).rgb)
    labels += ["plain mapper"] * arguments.objects
    rows.append(editor.render(editor.edit_parts(codes, pairs), *place).rgb)
    labels += [", ".join(arguments.edit)] * arguments.objects
    sheet = contact_sheet(torch.cat([row.cpu() for row in rows]), arguments.objects, labels)
    save_png(arguments.out, sheet)


def turned(editor: Editor, codes: Codes, size: int) -> np.ndarray:
    """Every object from eight sides, a row each."""
    views = [editor.render(codes, azimuth, 20, size).rgb for azimuth in range(0, 360, 45)]
    pictures = torch.stack(views, dim=1).flatten(0, 1).cpu()
    labels = [f"{azimuth} degrees" for azimuth in range(0, 360, 45)] * len(codes)
    return contact_sheet(pictures, 8, labels)


if __name__ == "__main__":
    with one_line_failures():
        main()
