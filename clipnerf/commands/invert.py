"""``clipnerf invert``: a photo in; codes, a sheet and, if asked, a video of the way out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InvertConfig
from clipnerf.config.paths import bundle_path
from clipnerf.editor import Editor
from clipnerf.inversion.result import FILE_NAME, Inversion
from clipnerf.io.atomic import writable_file
from clipnerf.io.sheet import contact_sheet, save_png, to_uint8
from clipnerf.io.video import check_video_path, write_video

TILE = 128
"""Side of the pictures of sheet and video, pixels."""
NOVEL_DEG = (0.0, 90.0, 180.0, 270.0)
NOVEL_ELEVATION_DEG = 20.0
FRAMES_A_SECOND = 8
LAST_FRAMES = 8


@dataclass(frozen=True)
class Report:
    """What was found and where it was written."""

    found: Inversion
    front_azimuth_deg: float
    paths: tuple[Path, ...]

    def lines(self) -> list[str]:
        """For a terminal: figures, and last the paths."""
        azimuth, elevation, roll = torch.rad2deg(self.found.poses.angles()[0]).tolist()
        azimuth = (azimuth - self.front_azimuth_deg) % 360
        return [
            f"PSNR {float(self.found.psnr[0]):.1f} dB; "
            f"{float(self.found.foreground_r2[0]):.2f} of the picture is shown",
            f"seen from azimuth {azimuth:.0f}, elevation {elevation:.0f}, roll {roll:.0f} degrees",
            *map(str, self.paths),
        ]


def invert(config: InvertConfig) -> Report:
    """Finds the object; writes OUT/codes.safetensors, OUT/inversion.png, OUT/inversion.mp4.

    Stopped by Ctrl-C, it writes the best that was found until then.

    Raises:
        UsageError: a photo that cannot be read or shows no object; no bundle.
    """
    config.validate()
    folder = Path(config.out)
    codes, sheet, video = (
        writable_file(folder / name) for name in (FILE_NAME, "inversion.png", "inversion.mp4")
    )
    if config.video:
        check_video_path(video)
    editor = Editor.load(bundle_path(config.bundle), config.device)
    generator = editor.generator
    found = editor.invert(
        config.photo,
        config.inversion,
        background=config.background,
        mask=config.mask or None,
        framing=config.frame,
    )
    assert found.pictures is not None
    paths = [found.save(codes, generator.hash, [Path(config.photo).name])]
    paths.append(save_png(sheet, inversion_sheet(editor, found.pictures, found)))
    if config.video:
        paths.append(write_video(video, _frames(editor, found.pictures, found), FRAMES_A_SECOND))
    return Report(found, generator.config.front_azimuth_deg, tuple(paths))


@torch.no_grad()
def inversion_sheet(
    editor: Editor, pictures: Float[Tensor, "batch 3 size size"], found: Inversion
) -> np.ndarray:
    """A row a picture: it, its reconstruction, their difference, and four other sides."""
    tiles, labels = [], []
    camera = found.cameras.resized(TILE)
    fitted = editor.render(found.codes, camera=camera).rgb.cpu()
    exact = editor.render(found.codes, camera=found.cameras).rgb.cpu()
    for row in range(len(found)):
        picture = pictures[row : row + 1].cpu()
        difference = 1 - (picture - exact[row : row + 1]).abs()
        sides = editor.render(found.codes[row], NOVEL_DEG, NOVEL_ELEVATION_DEG, TILE).rgb.cpu()
        tiles += [_large(picture), fitted[row : row + 1], _large(difference), sides]
        labels += ["photo", f"found, {float(found.psnr[row]):.1f} dB", "difference"]
        labels += [f"azimuth {angle:.0f}" for angle in NOVEL_DEG]
    return contact_sheet(torch.cat(tiles), 3 + len(NOVEL_DEG), labels)


@torch.no_grad()
def _frames(editor: Editor, picture: Tensor, found: Inversion) -> list[np.ndarray]:
    """The photo, and beside it the reconstruction as it came about."""
    photo = to_uint8(_large(picture.cpu()))[0]
    frames = []
    prior = editor.generator.config.camera
    for moment in found.history:
        if moment.codes is None or moment.pose is None:
            continue
        camera = moment.pose[[0]].camera(prior, TILE)
        view = to_uint8(editor.render(moment.codes[0], camera=camera).rgb)[0]
        frames.append(np.concatenate((photo, view), axis=1))
    return frames + frames[-1:] * LAST_FRAMES


def _large(pictures: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(pictures, size=(TILE, TILE), mode="nearest")
