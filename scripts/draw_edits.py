"""The picture of a bundle: objects as sampled, and the same objects after some prompts.

    python scripts/draw_edits.py data/pretrained/chairs "a red chair" "a chair with a high back" \
        "a blue chair with thin legs" --out docs/images/edits.png

Seeds are 0, 1, 2 ...: nothing is chosen. Strengths are those that the editor takes by itself.
"""

from __future__ import annotations

import argparse

import torch

from clipnerf import Editor
from clipnerf.errors import one_line_failures
from clipnerf.io.sheet import contact_sheet, save_png


def main() -> None:
    """Read the arguments, render, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("prompts", nargs="*")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--azimuth-deg", type=float, default=35)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    editor = Editor.load(arguments.bundle)
    codes = editor.sample(seeds=list(range(arguments.objects)))
    pictures, labels = [], []
    for prompt in ["", *arguments.prompts]:
        some = editor.edit(codes, prompt) if prompt else codes
        view = editor.render(some, arguments.azimuth_deg, 20, arguments.size)
        pictures.append(view.rgb.cpu())
        labels += [prompt or f"seed {seed}" for seed in range(arguments.objects)]
    save_png(arguments.out, contact_sheet(torch.cat(pictures), arguments.objects, labels))


if __name__ == "__main__":
    with one_line_failures():
        main()
