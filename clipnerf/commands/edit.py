"""The verb ``edit``: objects before and after an edit, as a sheet."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.editing import EditConfig, EditedConfig, parts_of
from clipnerf.editor import Editor, Painted
from clipnerf.editor.exemplar import read_exemplar
from clipnerf.editor.regions import Where
from clipnerf.gan.codes import Codes
from clipnerf.inversion.result import load_codes
from clipnerf.io.atomic import writable_file
from clipnerf.io.sheet import check_png_path, contact_sheet, overlay, save_png
from clipnerf.io.weights import rebuilding
from clipnerf.training.progress import Progress

ROWS = 4
"""Objects that are rendered at a time."""


def edit(config: EditConfig) -> list[Path]:
    """Objects before (above) and after (below) an edit, as one sheet; an exemplar stands last.

    Between them, where edits are local, the part of each is tinted.
    """
    config.validate()
    path = writable_file(check_png_path(config.out))
    exemplar = [read_exemplar(config.image, config.size)] if config.image else []
    editor = Editor.load(config.bundle, config.device, config.mapper)
    codes, names = load_objects(editor, config)
    after = edit_objects(editor, codes, config)
    place = (config.azimuth_deg, config.elevation_deg, config.size)
    parts = {part: part for part, _ in parts_of(config.edit)}
    regions, labels = [*_own_region(config), *parts.items()], list(names)
    with Progress(len(codes) * (2 + len(regions)), desc="edit", unit="view") as progress:
        rows = [rendered(editor, codes, place, progress)]
        for name, where in regions:
            mask = editor.region_picture(codes, where, *place, threshold=config.threshold)
            rows.append(overlay(rows[0], mask))
            labels += [name] * len(names)
            progress.update(len(codes))
        rows.append(rendered(editor, after, place, progress))
    labels += [_label(config)] * len(names) + ["exemplar"] * len(exemplar)
    pictures = torch.cat([*(row.cpu() for row in rows), *exemplar])
    return [save_png(path, contact_sheet(pictures, len(codes), labels))]


def rendered(
    editor: Editor, codes: Codes, place: tuple[float, float, int], progress: Progress
) -> Float[Tensor, "batch 3 size size"]:
    """A view of each object, some at a time, from azimuth and elevation (degrees), so large."""
    views = []
    for rows in torch.arange(len(codes)).split(ROWS):
        views.append(editor.render(codes[rows], *place).rgb)
        progress.update(len(rows))
    return torch.cat(views)


def load_objects(editor: Editor, config: EditedConfig) -> tuple[Codes, list[str]]:
    """Those of a file of codes where one is given, else of the seeds; and their names."""
    if config.codes:
        saved = load_codes(config.codes, editor.generator.hash)
        codes = saved.codes.to(editor.device)
        with rebuilding(config.codes), torch.no_grad():
            editor.generator.styles(codes)
        return codes, list(saved.names)
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
    weighted = [f"{weight:g} x {prompt}" for prompt, weight in config.prompts.items()]
    said = [config.text] if config.text else [] if config.edit else weighted
    return ", ".join([*config.edit, *said])
