"""The verb ``morph``: objects filmed as they become one another, or pass through edits."""

from __future__ import annotations

from pathlib import Path

from clipnerf.config.editing import MorphConfig
from clipnerf.editor import Editor
from clipnerf.editor.exemplar import read_exemplar
from clipnerf.io.atomic import writable_file
from clipnerf.io.video import check_video_path, check_video_size


def morph(config: MorphConfig) -> list[Path]:
    """One object that becomes all others; or, with edits, objects that pass through them."""
    config.validate()
    check_video_size(config.size, config.size)
    path = writable_file(check_video_path(config.out))
    if config.image:
        read_exemplar(config.image, config.size)
    editor = Editor.load(config.bundle, config.device, config.mapper)
    codes, strengths = editor.sample(config.seeds), (config.shape, config.appearance)
    edits = [editor.edit(codes, text, *strengths) for text in config.texts]
    if config.image:
        edits.append(editor.edit(codes, None, *strengths, image=config.image))
    stops = [codes, *edits] if edits else [codes[row] for row in range(len(codes))]
    video = editor.morph(
        stops,
        path,
        config.frames,
        config.size,
        loop=config.loop,
        turns=config.turns,
        azimuth_deg=config.azimuth_deg,
        elevation_deg=config.elevation_deg,
        fps=config.fps,
    )
    return [video]
