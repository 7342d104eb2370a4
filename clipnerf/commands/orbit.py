"""The verb ``orbit``: objects filmed in one turn of the camera, or along a path."""

from __future__ import annotations

from pathlib import Path

from clipnerf.commands.edit import edit_objects, load_objects
from clipnerf.config.editing import OrbitConfig
from clipnerf.editor import Editor
from clipnerf.editor.exemplar import read_exemplar
from clipnerf.io.atomic import writable_file
from clipnerf.io.camera_path import read_camera_path
from clipnerf.io.video import check_video_path, check_video_size


def orbit(config: OrbitConfig) -> list[Path]:
    """Objects side by side, edited if there are words or a picture."""
    config.validate()
    height = width = config.size
    if config.camera_path:  # before anything is loaded
        camera = read_camera_path(config.camera_path).camera
        height, width = camera.height, camera.width
    check_video_size(height, width)
    path = writable_file(check_video_path(config.out))
    if config.image:
        read_exemplar(config.image, config.size)
    editor = Editor.load(config.bundle, config.device, config.mapper)
    codes, _ = load_objects(editor, config)
    codes = edit_objects(editor, codes, config)
    front = editor.generator.config.front_azimuth_deg
    along = read_camera_path(config.camera_path, front) if config.camera_path else None
    video = editor.orbit(
        codes,
        path,
        config.frames,
        config.size,
        elevation_deg=config.elevation_deg,
        fps=along.fps if along else config.fps,
        camera=along.camera if along else None,
    )
    return [video]
