"""The verbs that look at a bundle: demo, edit, orbit, morph.

Each checks its output paths before it loads or renders anything, so that no work is lost to a
folder that cannot be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from clipnerf.config.editing import (
    DemoConfig,
    EditConfig,
    EditedConfig,
    MorphConfig,
    OrbitConfig,
    parts_of,
)
from clipnerf.config.paths import bundle_path
from clipnerf.editor import Editor, Painted
from clipnerf.editor.exemplar import read_exemplar
from clipnerf.editor.local_edit import Where
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.inversion.result import load_codes
from clipnerf.io.atomic import writable_dir
from clipnerf.io.sheet import check_png_path, contact_sheet, overlay, save_png
from clipnerf.io.video import check_video_path, check_video_size

DEMO_AZIMUTHS_DEG = (30.0, 210.0)


def demo(config: DemoConfig) -> list[Path]:
    """Edits a few objects by words: a video of the first one, and a sheet of all.

    Returns:
        An mp4 with the original and the edited object turning side by side, and a PNG: an object
        a row, seen from the front and from behind, unedited and then edited.
    """
    config.validate()
    check_video_size(config.size, config.size)
    folder = writable_dir(config.out)
    png, mp4 = (
        writable_file(folder / f"{file_name(config.text)}{suffix}") for suffix in (".png", ".mp4")
    )
    editor = Editor.load(bundle_path(config.bundle), config.device, config.mapper)
    codes = editor.sample(config.seeds)
    edited = editor.edit(codes, config.text, config.shape, config.appearance)
    _say(f"rendering {png}")
    pictures, labels = [], []
    for row, seed in enumerate(config.seeds):
        for some, label in ((codes, f"seed {seed}"), (edited, config.text)):
            view = editor.render(some[row], DEMO_AZIMUTHS_DEG, config.elevation_deg, config.size)
            pictures.append(view.rgb.cpu())
            labels.extend([label] * len(DEMO_AZIMUTHS_DEG))
    save_png(png, contact_sheet(torch.cat(pictures), 2 * len(DEMO_AZIMUTHS_DEG), labels))
    _say(f"rendering {mp4}")
    editor.orbit(
        Codes.cat([codes[0], edited[0]]),
        mp4,
        frames=config.frames,
        size=config.size,
        elevation_deg=config.elevation_deg,
        fps=config.fps,
    )
    return [mp4, png]


def edit(config: EditConfig) -> list[Path]:
    """Objects before (above) and after (below) an edit, as one sheet; an exemplar stands last.

    Between them, where edits are local, the part of each is tinted.
    """
    config.validate()
    path = writable_file(check_png_path(config.out))
    exemplar = [read_exemplar(config.image, config.size)] if config.image else []
    editor = Editor.load(bundle_path(config.bundle), config.device, config.mapper)
    codes, names = objects_of(editor, config)
    edited = edit_objects(editor, codes, config)
    place = (config.azimuth_deg, config.elevation_deg, config.size)
    rows, labels = [editor.render(codes, *place).rgb], list(names)
    parts = {part: part for part, _ in parts_of(config.edit)}
    for name, where in [*_own_region(config), *parts.items()]:
        mask = editor.region_picture(codes, where, *place, threshold=config.threshold)
        rows.append(overlay(rows[0], mask))
        labels += [name] * len(names)
    rows.append(editor.render(edited, *place).rgb)
    labels += [_label(config)] * len(names) + ["exemplar"] * len(exemplar)
    pictures = torch.cat([*(row.cpu() for row in rows), *exemplar])
    return [save_png(path, contact_sheet(pictures, len(codes), labels))]


def orbit(config: OrbitConfig) -> list[Path]:
    """Objects turning side by side, edited if there are words or a picture."""
    config.validate()
    check_video_size(config.size, config.size)
    path = writable_file(check_video_path(config.out))
    if config.image:
        read_exemplar(config.image, config.size)
    editor = Editor.load(bundle_path(config.bundle), config.device, config.mapper)
    codes, _ = objects_of(editor, config)
    if config.text or config.prompts or config.image or config.edit:
        codes = edit_objects(editor, codes, config)
    return [
        editor.orbit(
            codes,
            path,
            frames=config.frames,
            size=config.size,
            elevation_deg=config.elevation_deg,
            fps=config.fps,
        )
    ]


def morph(config: MorphConfig) -> list[Path]:
    """One object that becomes all others; or, with edits, objects that pass through them."""
    config.validate()
    check_video_size(config.size, config.size)
    path = writable_file(check_video_path(config.out))
    if config.image:
        read_exemplar(config.image, config.size)
    editor = Editor.load(bundle_path(config.bundle), config.device, config.mapper)
    codes, strengths = editor.sample(config.seeds), (config.shape, config.appearance)
    edits = [editor.edit(codes, text, *strengths) for text in config.texts]
    if config.image:
        edits.append(editor.edit(codes, None, *strengths, image=config.image))
    return [
        editor.morph(
            [codes, *edits] if edits else [codes[row] for row in range(len(codes))],
            path,
            frames=config.frames,
            size=config.size,
            loop=config.loop,
            turns=config.turns,
            azimuth_deg=config.azimuth_deg,
            elevation_deg=config.elevation_deg,
            fps=config.fps,
        )
    ]


def objects_of(editor: Editor, config: EditedConfig) -> tuple[Codes, list[str]]:
    """Those of a file of codes where one is given, else of the seeds; and their names."""
    if config.codes:
        saved = load_codes(config.codes, editor.generator.hash)
        return saved.codes.to(editor.device), list(saved.names)
    return editor.sample(config.seeds), [f"seed {seed}" for seed in config.seeds]


def edit_objects(editor: Editor, codes: Codes, config: EditedConfig) -> Codes:
    """After the edit by whichever of text, prompts and image is given."""
    text, image = config.text or config.prompts or None, config.image or None
    if text is not None or image is not None:
        where = next((where for _, where in _own_region(config)), None)
        strengths = (config.shape, config.appearance)
        codes = editor.edit(
            codes, text, *strengths, image=image, region=where, threshold=config.threshold
        )
    if config.edit:
        codes = editor.edit_parts(codes, parts_of(config.edit), config.threshold)
    return codes


def _own_region(config: EditedConfig) -> list[tuple[str, Where]]:
    """Where text, prompts or image apply, and what to call it; empty: to the whole object."""
    azimuth = config.azimuth_deg if isinstance(config, EditConfig) else 30.0
    if config.region_box:
        return [("the box", config.region_box)]
    if config.region_mask:
        return [("the mask", Painted(config.region_mask, azimuth, config.elevation_deg))]
    return [(config.region, config.region)] if config.region else []


def _label(config: EditConfig) -> str:
    if config.image:
        return "like the exemplar"
    several = [*config.edit, *([config.text] if config.text and config.edit else [])]
    if several:
        return ", ".join(several)
    several = [f"{weight:g} x {prompt}" for prompt, weight in config.prompts.items()]
    return config.text or ", ".join(several)


def writable_file(path: Path) -> Path:
    """The path, once its folder is there and takes files, and the path itself is no folder."""
    writable_dir(path.parent)
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; give another --out")
    return path


def file_name(text: str) -> str:
    """The words as the name of a file: "A red chair!" -> a-red-chair."""
    kept = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return "-".join(kept.split())[:60] or "edit"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
