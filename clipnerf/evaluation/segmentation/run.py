"""``clipnerf evaluate --segmentation``: parts found in pictures and in space, and edited alone.

The protocol is in ``protocol.py`` beside this file; docs/segmentation.md tells what came out.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.data.masks import read_labels, select
from clipnerf.data.procedural import REGIONS
from clipnerf.data.referring import ReferringDataset
from clipnerf.data.source import Source
from clipnerf.editor import Editor
from clipnerf.editor.conditions import bare_prompt
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.baseline import REAL_SEED, drawn_pictures
from clipnerf.evaluation.report.results import FORMAT, plain
from clipnerf.evaluation.resources import Means, find_means, with_size
from clipnerf.evaluation.segmentation.protocol import (
    SHOWN,
    LocalRow,
    RegionRow,
    leak,
    reads,
    segmenter_row,
    shows,
    summed,
    voting_row,
    without_specks,
)
from clipnerf.evaluation.views_of_objects import VIEWS
from clipnerf.gan.codes import Codes
from clipnerf.io.atomic import atomic_write, check_writable
from clipnerf.io.provenance import provenance
from clipnerf.rendering.cameras import Camera
from clipnerf.segmentation.metrics import found
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.training.precision import pick_device
from clipnerf.vision.recognizer import Recognizer

COLORED = {
    "chairs": {"the seat": "seat_color", "the back": "back_color", "the legs": "leg_color"},
    "cars": {"the body": "color", "the wheels": "wheel_color"},
}
"""Parts whose color the recognizer reads, by category."""
INVERTED = 16
"""Held-out pictures that are inverted, at most: half a minute each."""


@dataclass(frozen=True)
class Report:
    """What was found, and where it was written."""

    parts: tuple[RegionRow, ...]
    edits: tuple[LocalRow, ...]
    protocol: dict[str, str]
    path: Path

    def lines(self) -> list[str]:
        """For a terminal: protocol, tables, path."""
        about = [f"{key + ':':<17}{text}" for key, text in self.protocol.items()]
        parts = [row.line() for row in self.parts]
        return [*about, "", *parts, "", *(row.line() for row in self.edits), "", str(self.path)]


def evaluate_segmentation(config: EvaluateConfig) -> Report:
    """Measures the segmenter, the region field and local edits; writes segmentation.json.

    Raises:
        UsageError: no bundle, no segmenter in it, or no category whose parts are known.
    """
    config.validate()
    means = find_means(config)
    folder = Path(config.out)
    check_writable(folder, file=False)
    device = pick_device(config.device)
    editor = Editor.load(means.bundle, device)
    config = with_size(config, means.bundle)
    known = editor.parts.grounding
    if known is None or not isinstance(known.sentences, Segmenter):
        raise UsageError(
            f"'{means.bundle}' holds no segmenter and region field; make them with clipnerf "
            "train-segmenter and clipnerf train-region"
        )
    if not means.category:
        raise UsageError(
            "the parts of this bundle's category are not known; allowed: --category chairs or cars"
        )
    started = time.perf_counter()
    codes = editor.sample(range(config.first_seed, config.first_seed + config.objects_used))
    rows = _part_rows(editor, known.sentences, codes, config, means.category)
    edits = _local_rows(editor, known.sentences, codes, means, config.size)
    protocol = _protocol(config, means.category, device)
    content = {
        "format": FORMAT,
        "bundle": str(means.bundle),
        "generator": editor.generator.hash,
        "segmenter": known.sentences.hash,
        "protocol": protocol,
        "parts": plain(tuple(rows)),
        "edits": plain(tuple(edits)),
        "provenance": provenance(config, device, started),
    }
    path = folder / "segmentation.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return Report(tuple(rows), tuple(edits), protocol, path)


def plan(config: EvaluateConfig) -> dict[str, str]:
    """What would be measured; nothing is loaded or written."""
    means = find_means(config)
    category = means.category or "unknown: give --category"
    return {
        "bundle": str(means.bundle),
        "category": category,
        "pictures": f"{config.samples_used} drawn, {min(config.objects_used, INVERTED)} inverted",
        "local edits": f"{config.objects_used} objects, every color of the recognizer"
        if means.recognizer
        else "absent: give --recognizer",
        "out": f"{config.out}/segmentation.json",
    }


def _protocol(config: EvaluateConfig, category: str, device: torch.device) -> dict[str, str]:
    first, objects, (azimuth_deg, elevation_deg) = config.first_seed, config.objects_used, VIEWS[0]
    return {
        "segmenter": f"{config.samples_used} {category} drawn with seed {REAL_SEED}, "
        f"{config.size} px; parts: {', '.join(REGIONS[category].PARTS_EVALUATED)}",
        "inverted": f"the first {min(objects, INVERTED)} of them; exact masks of what was drawn",
        "generated": f"seeds {first} to {first + objects - 1}, azimuth {azimuth_deg:g}, "
        f"elevation {elevation_deg:g}",
        "local edits": "leak and color from the same views as other edits (3); to every color",
        "seconds": f"{torch.get_num_threads()} threads, device {device}",
    }


def _part_rows(
    editor: Editor, segmenter: Segmenter, codes: Codes, config: EvaluateConfig, category: str
) -> list[RegionRow]:
    """The segmenter on drawn pictures, and the field on inverted and on generated objects."""
    parts = list(REGIONS[category].PARTS_EVALUATED)
    inverted = min(config.objects_used, INVERTED)
    count, size = config.samples_used, config.size
    with drawn_pictures(category, count, size, REAL_SEED, regions=True) as drawn:
        data = ReferringDataset.open(drawn, size)
        rows = [_told(segmenter_row(segmenter, data, phrases)) for phrases in (parts, None)]
        exact = _exact(drawn, data, category, inverted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # poor inversions are part of the figure
            found_again = editor.invert(data.batch(range(inverted)).to(editor.device))
    camera = editor.generator.camera(*VIEWS[0], size).expand(len(codes))
    said = _said(editor, segmenter, codes, camera, parts)
    for objects, cameras, true, on in (
        (found_again.codes, found_again.cameras.resized(size), exact, "inverted held-out pictures"),
        (codes, camera, said, "generated, against segmenter"),
    ):
        rows += _field_rows(editor, segmenter, objects, cameras, parts, true, on)
    return rows


def _exact(
    drawn: Path, data: ReferringDataset, category: str, count: int
) -> Bool[Tensor, "all 1 size size"]:
    """Masks of the parts of the first pictures, picture by picture; empty where there are none."""
    named, source = REGIONS[category], Source(drawn)
    masks = []
    for name in data.names[:count]:
        labels = read_labels(source, f"regions-{name}")
        for regions in named.PARTS_EVALUATED.values():
            values = tuple(named.REGIONS.index(region) + 1 for region in regions)
            masks.append(torch.from_numpy(select(labels, values)).bool())
    return without_specks(torch.stack(masks)[:, None])


def _said(
    editor: Editor, segmenter: Segmenter, codes: Codes, camera: Camera, parts: list[str]
) -> Bool[Tensor, "all 1 size size"]:
    """What the segmenter finds in views, object by object and part by part."""
    view = editor.render(codes, camera=camera).rgb.clamp(0, 1)
    of = [row for row in range(len(codes)) for _ in parts]
    return without_specks(found(segmenter.segment_many(view, parts * len(codes), of))).cpu()


def _field_rows(
    editor: Editor,
    segmenter: Segmenter,
    codes: Codes,
    camera: Camera,
    parts: list[str],
    true: Tensor,
    on: str,
) -> list[RegionRow]:
    """The region field, and votes, in views of objects."""
    masks: list[list[Tensor]] = [[] for _ in range(len(codes))]
    opacity = editor.render(codes, camera=camera).opacity
    start = time.perf_counter()
    for text in parts:
        region = editor.region_picture(codes, text, camera=camera, threshold=SHOWN)
        shown = shows(region, opacity).cpu()
        for row in range(len(codes)):
            masks[row].append(shown[row])
    seconds = (time.perf_counter() - start) / (len(codes) * len(parts))
    joined = torch.stack([mask for some in masks for mask in some])
    texts = parts * len(codes)
    field = summed("region field", on, without_specks(joined), true, texts, seconds)
    votes = voting_row(editor.generator, segmenter, codes, camera, parts, true, on)
    return [_told(field), _told(votes)]


@torch.no_grad()
def _local_rows(
    editor: Editor, segmenter: Segmenter, codes: Codes, means: Means, size: int
) -> list[LocalRow]:
    """Every part whose color can be read, to every color."""
    if not means.recognizer:
        return []
    recognizer = Recognizer.load(means.recognizer).to(editor.device)
    rows = []
    before = [editor.render(codes, *view, size) for view in VIEWS]
    for part, attribute in COLORED[means.category].items():
        seen = [
            found(segmenter.segment(view.rgb.clamp(0, 1), [part] * len(codes))) for view in before
        ]
        sums = {"local": [0.0, 0.0], "whole": [0.0, 0.0]}
        right: dict[str, list[Tensor]] = {"local": [], "whole": []}
        same, painted, count = True, [], 0
        for color in recognizer.values[attribute]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                edited = editor.edit(codes, color, region=part)
                whole = editor.edit(codes, bare_prompt(color, editor.parts.noun) or color, shape=0)
            if not edited.layers:
                continue
            layer = edited.layers[-1]
            has = (layer.strength[:, 0] > 0).nonzero().squeeze(1)
            count += len(has)
            if layer.paint is not None:
                painted.append(layer.paint[has, 3])
            for kind, some in (("local", edited), ("whole", whole)):
                after = [editor.render(some, *view, size) for view in VIEWS]
                for old, new, mask in zip(before, after, seen, strict=True):
                    out, total = leak(old.rgb[has], new.rgb[has], mask[has])
                    sums[kind][0] += out
                    sums[kind][1] += total
                    same = same and torch.equal(old.opacity, new.opacity)
                shots = [view.rgb[has].cpu() for view in after]
                right[kind].append(reads(recognizer, shots, attribute, color))
        shares = {kind: out / max(total, 1e-9) for kind, (out, total) in sums.items()}
        means_right = {kind: float(torch.cat(some).mean()) for kind, some in right.items()}
        row = LocalRow(
            part,
            count,
            shares["local"],
            means_right["local"],
            same,
            float(torch.cat(painted).mean()) if painted else 0.0,
            (means_right["whole"], shares["whole"]),
        )
        print(row.line(), file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def _told(row: RegionRow) -> RegionRow:
    print(row.line(), file=sys.stderr, flush=True)
    return row
