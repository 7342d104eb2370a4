"""The verb ``demo``: a few objects edited by words, as a video and a sheet."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from clipnerf.config.editing import DemoConfig
from clipnerf.editor import Editor
from clipnerf.gan.codes import Codes
from clipnerf.io.atomic import writable_file
from clipnerf.io.sheet import contact_sheet, save_png
from clipnerf.io.video import check_video_path, check_video_size
from clipnerf.training.progress import Progress

DEMO_AZIMUTHS_DEG = (30.0, 210.0)


def demo(config: DemoConfig) -> list[Path]:
    """Edits a few objects by words: a video of the first one, and a sheet of all.

    Returns:
        An mp4 with the original and the edited object turning side by side, and a PNG: an object
        a row, seen from the front and from behind, unedited and then edited.
    """
    config.validate()
    check_video_size(config.size, config.size)
    folder = Path(config.out)
    png, mp4 = (
        writable_file(folder / f"{file_name(config.text)}{suffix}") for suffix in (".png", ".mp4")
    )
    check_video_path(mp4)
    editor = Editor.load(config.bundle, config.device, config.mapper)
    codes = editor.sample(config.seeds)
    edited = editor.edit(codes, config.text, config.shape, config.appearance)
    _say(f"rendering {png}")
    pictures, labels = [], []
    each = len(DEMO_AZIMUTHS_DEG)
    with Progress(2 * each * len(codes), desc="sheet", unit="view") as progress:
        for row, seed in enumerate(config.seeds):
            for some, label in ((codes, f"seed {seed}"), (edited, config.text)):
                view = editor.render(
                    some[row], DEMO_AZIMUTHS_DEG, config.elevation_deg, config.size
                )
                pictures.append(view.rgb.cpu())
                labels.extend([label] * each)
                progress.update(each)
    save_png(png, contact_sheet(torch.cat(pictures), 2 * each, labels))
    _say(f"rendering {mp4}")
    both = Codes.cat([codes[0], edited[0]])
    editor.orbit(
        both, mp4, config.frames, config.size, elevation_deg=config.elevation_deg, fps=config.fps
    )
    return [mp4, png]


def file_name(text: str) -> str:
    """The words as the name of a file: "A red chair!" -> a-red-chair."""
    kept = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    name = "-".join(kept.split())[:60].encode()[:120]  # other scripts take more bytes a letter
    return name.decode(errors="ignore") or "edit"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
