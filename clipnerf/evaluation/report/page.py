"""The page of an evaluation: every figure with its target, and pictures, failures among them.

What it looks like is in page.html and page.css beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.evaluation.edits.attributes import WishResult, by_attribute
from clipnerf.evaluation.edits.strength import STRENGTHS, Steadiness
from clipnerf.evaluation.report.gallery import Gallery, Pick
from clipnerf.evaluation.report.prompt_table import HEAD, prompt_rows
from clipnerf.evaluation.report.results import Evaluation
from clipnerf.evaluation.report.table import BUNDLE, NAMES, rows
from clipnerf.io.html import LARGEST, render
from clipnerf.io.sheet import to_uint8

SHOWN = 8
"""Objects of a strip."""
VARIOUS = 24
COLUMNS = 6

Grid = UInt8[np.ndarray, "sheet_height sheet_width 3"]


def page(found: Evaluation, gallery: Gallery, largest: int = LARGEST) -> str:
    """The whole page, at most ``largest`` bytes; the pictures are as fine as that allows."""
    every = rows(found)
    stayed_by, stayed = _stayed(found)
    about = found.provenance
    return render(
        Path(__file__).with_name("page.html"),
        largest,
        found=found,
        gallery=gallery,
        percent=_percent,
        bundle=BUNDLE,
        own=[row for row in every if BUNDLE in row.values],
        by_mapper=[row for row in every if BUNDLE not in row.values],
        head=HEAD,
        prompts=prompt_rows(found),
        shown=min(SHOWN, len(gallery.before)),
        mappers=[kind for kind, pictures in gallery.kinds.items() if pictures.after],
        edits=_edits(found, gallery),
        stayed_by=stayed_by,
        stayed=stayed,
        picks=_picks(gallery),
        strengths=STRENGTHS,
        sweeps=_sweeps(found, gallery),
        swaps={name: _grid(pictures) for name, pictures in gallery.swaps.items()},
        various=_various(gallery),
        protocol=found.protocol
        | {key: about[key] for key in ("command", "commit")}
        | {"versions": ", ".join(f"{k} {v}" for k, v in about["versions"].items())}
        | {"took": f"{about['seconds']} seconds on {about['device']}"},
    )


def _edits(found: Evaluation, gallery: Gallery) -> list[tuple[str, Grid, dict[str, WishResult]]]:
    """Prompt by prompt: objects before and after, and what was read, by kind of mapper."""
    made = []
    for prompt in dict.fromkeys(p for each in gallery.kinds.values() for p in each.after):
        strips = [each.after[prompt] for each in gallery.kinds.values() if prompt in each.after]
        read = {
            kind: result
            for kind, pictures in gallery.kinds.items()
            for result in found.kinds[kind].results
            if prompt in pictures.after and result.prompt == prompt
        }
        some = torch.stack([each[:SHOWN] for each in (gallery.before, *strips)])
        made.append((prompt, _grid(some), read))
    return made


def _stayed(found: Evaluation) -> tuple[list[str], list[list[str]]]:
    """What stayed, attribute by attribute, beside the floor: names of the columns, and rows."""
    columns: dict[str, dict[str, float]] = {}
    if found.floor is not None:
        columns["floor: no edit"] = found.floor.other_views.by_attribute
        columns["floor: recolored"] = found.floor.recolored.by_attribute
    for group, name in NAMES.items():
        for kind, figures in found.kinds.items():
            shares = by_attribute(figures.results, group)
            if shares:
                columns[f"{kind}, {name}"] = shares
    keys = dict.fromkeys(key for shares in columns.values() for key in shares)
    nan = float("nan")
    return list(columns), [
        [key.replace("_", " "), *(_percent(each.get(key, nan)) for each in columns.values())]
        for key in keys
    ]


def _picks(gallery: Gallery) -> dict[str, list[tuple[Pick, Grid]]]:
    """The worst and the best edits of each kind of mapper, with the object before and after."""
    return {
        f"{kind}: the {title}": [
            (p, _grid(torch.stack([gallery.before[p.row], after[p.prompt][p.row]])[None]))
            for p in some
        ]
        for kind, both in gallery.picks.items()
        for after in [gallery.kinds[kind].after]
        for title, some in zip(("worst", "best"), both, strict=True)
        if some
    }


def _sweeps(
    found: Evaluation, gallery: Gallery
) -> dict[str, list[tuple[str, Grid, Steadiness | None]]]:
    """By kind of mapper: each prompt in all strengths."""
    return {
        kind: [
            (prompt, _grid(sweep[None]), steady.get(prompt))
            for prompt, sweep in pictures.sweeps.items()
        ]
        for kind, pictures in gallery.kinds.items()
        for steady in [found.kinds[kind].strength.get(found.best_eye, {})]
        if pictures.sweeps
    }


def _various(gallery: Gallery) -> dict[str, Grid]:
    if gallery.real is None or gallery.generated is None:
        return {}
    both = {"real": gallery.real, "generated": gallery.generated}
    return {name: _grid(_rows(pictures[:VARIOUS])) for name, pictures in both.items()}


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.0f} %"


def _rows(pictures: Tensor) -> Tensor:
    whole = len(pictures) // COLUMNS * COLUMNS
    return pictures[:whole].unflatten(0, (-1, COLUMNS)) if whole else pictures[None]


def _grid(pictures: Float[Tensor, "rows columns 3 height width"]) -> Grid:
    """Pictures side by side, without gaps: all are on white."""
    lines = [np.concatenate(to_uint8(line), axis=1) for line in pictures]
    return np.concatenate(lines, axis=0)
