"""Saving: what a visitor takes home, as the bytes of files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.inversion.pose import Pose
from clipnerf.inversion.result import Inversion
from clipnerf.io.sheet import save_png
from clipnerf.viewer.drawing import Eye, Scene, View

if TYPE_CHECKING:
    from clipnerf.editor import Editor

PICTURE_SIZE, VIDEO_SIZE, FRAMES = 512, 256, 48
EXACT_DB = 100.0


def picture(eye: Eye, scene: Scene, size: int = PICTURE_SIZE) -> bytes:
    """A PNG of what is seen, so many pixels high."""
    samples = eye.generator.config.render_samples
    made = [p for p in eye.picture(scene, size, samples) if p is not None]
    with TemporaryDirectory() as folder:
        return save_png(Path(folder) / "picture.png", made[-1]).read_bytes()


def video(editor: Editor, codes: Codes, elevation_deg: float) -> bytes:
    """An MP4 of one turn."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "orbit.mp4"
        editor.orbit(codes, path, FRAMES, VIDEO_SIZE, elevation_deg=round(elevation_deg, 1))
        return path.read_bytes()


def codes_file(editor: Editor, codes: Codes, view: View, name: str) -> bytes:
    """Codes as ``--codes`` reads them, seen from the view.

    Raises:
        UsageError: codes with local edits, which a file cannot hold.
    """
    pose = Pose(view.c2w[None, :3, :3], torch.zeros(1), torch.zeros(1, 2))
    camera = pose.camera(editor.generator.config.camera, 64)
    # nothing was fitted: the codes show all of what they make
    found = Inversion(codes.to("cpu"), pose, camera, torch.full((1,), EXACT_DB), torch.ones(1))
    with TemporaryDirectory() as folder:
        path = found.save(Path(folder) / "codes.safetensors", editor.generator.hash, [name])
        return Path(path).read_bytes()


def mesh(editor: Editor, codes: Codes) -> bytes:
    """A .glb of the object.

    Raises:
        UsageError: this version makes no meshes.
    """
    make = getattr(editor, "mesh", None)
    if make is None:
        raise UsageError("this version of clipnerf makes no meshes")
    made = make(codes)
    made = made[0] if isinstance(made, list | tuple) else made
    with TemporaryDirectory() as folder:
        path = Path(folder) / "object.glb"
        made.save(path)
        return path.read_bytes()
