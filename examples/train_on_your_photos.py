"""Learn a conditional NeRF from a folder of pictures: eleven minutes of two CPU cores (AVX-512).

    python examples/train_on_your_photos.py                    # chairs that it draws itself
    python examples/train_on_your_photos.py --photos photos/ --out runs/mine

What makes a good folder, README says under "Your own pictures": one category, one object each,
centered, on white. Whatever else is given goes to ``clipnerf pretrain``, such as
``--generator.camera.elevation_max_deg 85``. The same command again goes on where it stopped.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

import torch

from clipnerf import Editor
from clipnerf.cli import main as clipnerf
from clipnerf.io.sheet import contact_sheet, save_png

DRAWN = ["--generator.box", "[0.65,0.65,0.9]", "--generator.field.mirror", "true"]
"""What is known of the drawn chairs: half their extent, and that left and right are alike."""
SHORT = ["--features.weight", "0", "--schedule.coarse_kimg", "4", "--schedule.scale_kimg", "6"]
"""Of a training that ends early: no second discriminator, and the schedule's phases are shorter."""
OBJECTS, SIDES_DEG = 4, (30.0, 120.0, 210.0, 300.0)


def run(*words: str) -> None:
    """One command of clipnerf, shown first; the script ends where it fails."""
    print(f"\n$ {shlex.join(['clipnerf', *words])}", file=sys.stderr, flush=True)
    code = clipnerf(words)
    if code:
        raise SystemExit(code)


def main(argv: list[str] | None = None) -> Path:
    """Pictures, training, and what was learned as a sheet and a film; returns the run folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", default="", help="a folder or zip of pictures")
    parser.add_argument("--out", default="runs/photos", help="run folder")
    parser.add_argument(
        "--steps", type=int, default=1400, help="of 16 pictures each; 600 take four minutes"
    )
    parser.add_argument("--size", type=int, default=64, help="width and height of pictures, pixels")
    parser.add_argument("--count", type=int, default=1000, help="of drawn pictures")
    given, more = parser.parse_known_args(argv)
    started, out = time.monotonic(), Path(given.out)

    print("1. Pictures", file=sys.stderr)
    photos = given.photos
    if not photos:
        photos = f"{out}-pictures"
        numbers = ["--count", str(given.count), "--size", str(given.size)]
        run("data", "synthesize", "chairs", *numbers, "--out", photos)
    run("data", "check", photos)

    print("\n2. Training: fakes are to look like the pictures, from every side", file=sys.stderr)
    known = [] if given.photos else DRAWN
    options = ["--data.path", photos, "--data.size", str(given.size), "--steps", str(given.steps)]
    run("pretrain", *options, *SHORT, *known, *more, "--out", str(out))

    print("\n3. What it learned: new objects, never one of the pictures", file=sys.stderr)
    editor = Editor.load(out)
    codes = editor.sample(range(OBJECTS))
    tiles, labels = [], []
    for row in range(OBJECTS):
        tiles += list(editor.render(codes[row], SIDES_DEG, 20, given.size).rgb.split(1))
        labels += [f"seed {row}, {side:.0f}°" for side in SIDES_DEG]
    sheet = save_png(out / "objects.png", contact_sheet(torch.cat(tiles), len(SIDES_DEG), labels))
    film = editor.orbit(codes, out / "orbit.mp4", frames=48, size=given.size)
    minutes = (time.monotonic() - started) / 60
    print(f"{sheet}\n{film}\n{minutes:.1f} minutes. Words are next: README, 'Three uses'.")
    return out


if __name__ == "__main__":
    main()
