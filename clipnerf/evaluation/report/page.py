"""The page of an evaluation: every figure with its target, and pictures, failures among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.evaluation.edits.attributes import WishResult, by_attribute
from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.edits.strength import STRENGTHS
from clipnerf.evaluation.report.gallery import Gallery, Pick
from clipnerf.evaluation.report.prompt_table import HEAD, prompt_rows
from clipnerf.evaluation.report.results import Evaluation
from clipnerf.evaluation.report.table import BUNDLE, NAMES, Row, rows
from clipnerf.io.html import (
    LARGEST,
    Encoder,
    Html,
    document,
    element,
    figure,
    fitting,
    section,
    table,
    text,
)
from clipnerf.io.sheet import to_uint8

SHOWN = 8
"""Objects of a strip."""
VARIOUS = 24


def page(found: Evaluation, gallery: Gallery, largest: int = LARGEST) -> str:
    """The whole page, at most ``largest`` bytes; the pictures are as fine as that allows."""
    return fitting(lambda encoder: _page(found, gallery, encoder), largest)


def _page(found: Evaluation, gallery: Gallery, encoder: Encoder) -> str:
    parts = [
        section("Figures", *_figures(found)),
        section("Edits", *_edits(found, gallery, encoder)) if gallery.kinds else "",
        section("Failures and successes", *_picks(gallery, encoder)) if gallery.kinds else "",
        section("Strength", *_sweeps(found, gallery, encoder)) if gallery.kinds else "",
        section("Two codes", *_swaps(found, gallery, encoder)),
        section("Variety", *_variety(found, gallery, encoder)),
        section("Absent", *_absent(found)),
        section("Protocol", *_protocol(found)),
    ]
    links = [
        element("a", name, href=f"#{name.lower().replace(' ', '-')}")
        for name in ("Figures", "Edits", "Failures and successes", "Strength", "Two codes",
                     "Variety", "Absent", "Protocol")
        if any(f">{name}</h2>" in part for part in parts)
    ]  # fmt: skip
    return document(
        f"Evaluation of {found.bundle}",
        element("h1", f"Evaluation of {found.bundle}"),
        element("p", "Made by clipnerf evaluate.", class_="soft"),
        *_warnings(found),
        element("nav", *links),
        *parts,
    )


def _warnings(found: Evaluation) -> Iterator[Html]:
    if found.same_judge:
        yield element(
            "p", "The judge is the guide: the same weights. What it says of the edits is no "
            "independent judgement.", class_="note",
        )  # fmt: skip
    if "quick" in found.protocol:
        yield element("p", found.protocol["quick"], class_="note")


def _figures(found: Evaluation) -> list[Html]:
    every = rows(found)
    own = [row for row in every if BUNDLE in row.values]
    kinds = [row for row in every if BUNDLE not in row.values]
    made = [_table(own, [BUNDLE])]
    if kinds:
        names = list(found.kinds)
        made += [element("h3", "Edits, by kind of mapper"), _table(kinds, names)]
    prompts = prompt_rows(found)
    if prompts:
        body = [[row.prompt, row.kind, *row.cells()] for row in prompts]
        made += [
            element("h3", "Prompt by prompt"),
            element("p", f"Matching, direction and Spearman by the {found.best_eye}.",
                    class_="soft"),
            table(["", "", *HEAD], body),
        ]  # fmt: skip
    return made


def _table(some: list[Row], columns: list[str]) -> Html:
    head = ["", *columns, "target", ""]
    body = []
    for row in some:
        cells = [
            element("span", row.cell(c), " ", row.mark(c), class_=row.mark(c) or "plain")
            for c in columns
        ]
        body.append([row.name, *cells, row.target, element("small", row.note)])
    return table(head, body)


def _edits(found: Evaluation, gallery: Gallery, encoder: Encoder) -> Iterator[Html]:
    kinds = [kind for kind, pictures in gallery.kinds.items() if pictures.after]
    count = min(SHOWN, len(gallery.before))
    seeds = ", ".join(map(str, gallery.seeds[:count]))
    yield element(
        "p", f"Seeds {seeds}, not chosen. Upper row: as sampled; below: after the edit by "
        f"{', then by '.join(kinds) or 'nobody'}.",
    )  # fmt: skip
    cards = []
    prompts = dict.fromkeys(p for kind in kinds for p in gallery.kinds[kind].after)
    for prompt in prompts:
        shown = [kind for kind in kinds if prompt in gallery.kinds[kind].after]
        strip = torch.stack(
            [gallery.before[:count], *(gallery.kinds[k].after[prompt][:count] for k in shown)]
        )
        caption = [element("b", prompt)]
        for kind in shown:
            result = _result(found.kinds[kind], prompt)
            if result is not None:
                caption.append(
                    Html(
                        f"<br>{text(kind)}: true {_percent(result.before)} → "
                        f"{_percent(result.after)}, others stay {_percent(result.kept.share)}"
                    )
                )
        cards.append(figure(encoder.picture(_grid(strip), f"objects before and after {prompt}"),
                            *caption))  # fmt: skip
    yield element("div", *cards, class_="cards")
    yield from _attributes(found)


def _attributes(found: Evaluation) -> Iterator[Html]:
    """What stayed, attribute by attribute, beside the floor."""
    columns: dict[str, dict[str, float]] = {}
    if found.floor is not None:
        columns["floor: no edit"] = found.floor.other_views.by_attribute
        columns["floor: recoloured"] = found.floor.recoloured.by_attribute
    for group, name in NAMES.items():
        for kind, figures in found.kinds.items():
            shares = by_attribute(figures.results, group)
            if shares:
                columns[f"{kind}, {name}"] = shares
    keys = dict.fromkeys(key for shares in columns.values() for key in shares)
    if not keys:
        return
    yield element("h3", "Others that stay, attribute by attribute")
    yield element("p", "Of the objects of which it was read confidently before, percent.",
                  class_="soft")  # fmt: skip
    nan = float("nan")
    yield table(
        ["", *columns],
        [
            [key.replace("_", " "), *(_percent(each.get(key, nan)) for each in columns.values())]
            for key in keys
        ],
    )


def _picks(gallery: Gallery, encoder: Encoder) -> Iterator[Html]:
    if not any(worst for worst, _ in gallery.picks.values()):
        yield element("p", "No recogniser was at hand that could tell.", class_="soft")
    else:
        yield element(
            "p", "The edits, one a prompt, in which the recogniser sees least and most of what "
            "was asked for: before, and after.",
        )  # fmt: skip
    for kind, (worst, best) in gallery.picks.items():
        for title, some in (("worst", worst), ("best", best)):
            if some:
                cards = [_pick(gallery, kind, pick, encoder) for pick in some]
                yield element("h3", f"{kind}: the {title}")
                yield element("div", *cards, class_="cards small")


def _pick(gallery: Gallery, kind: str, pick: Pick, encoder: Encoder) -> Html:
    pair = torch.stack([gallery.before[pick.row], gallery.kinds[kind].after[pick.prompt][pick.row]])
    verdict = element("span", "true" if pick.has else "not true",
                      class_="met" if pick.has else "missed")  # fmt: skip
    return figure(
        encoder.picture(_grid(pair[None]), f"before and after {pick.prompt}"),
        element("b", pick.prompt),
        Html("<br>"),
        verdict,
        f" ({_percent(pick.chance)} probable); read as {pick.read}; seed {gallery.seeds[pick.row]}",
    )


def _sweeps(found: Evaluation, gallery: Gallery, encoder: Encoder) -> Iterator[Html]:
    yield element(
        "p", f"Seed {gallery.seeds[0]}, strengths {STRENGTHS[0]:g} to {STRENGTHS[-1]:g} by 0.5; "
        "0, in the middle, is unedited. In brackets Spearman's correlation by the "
        f"{found.best_eye}, mean over objects.",
    )  # fmt: skip
    for kind, pictures in gallery.kinds.items():
        if not pictures.sweeps:
            continue
        steady = found.kinds[kind].strength.get(found.best_eye, {})
        cards = []
        for prompt, sweep in pictures.sweeps.items():
            known = f" ({steady[prompt].objects:.2f})" if prompt in steady else ""
            picture = encoder.picture(_grid(sweep[None]), f"strengths of {prompt}")
            cards.append(figure(picture, element("b", prompt), known))
        yield element("h3", kind)
        yield element("div", *cards, class_="cards")


def _swaps(found: Evaluation, gallery: Gallery, encoder: Encoder) -> Iterator[Html]:
    yield element(
        "p", "A row has one shape code, a column one appearance code. Where the codes keep to "
        "their own, a row has one silhouette and a column one set of colours.",
    )  # fmt: skip
    cards = [
        figure(encoder.picture(_grid(grid), f"swap grid of {name}"), name)
        for name, grid in gallery.swaps.items()
    ]
    yield element("div", *cards, class_="cards")


def _variety(found: Evaluation, gallery: Gallery, encoder: Encoder) -> Iterator[Html]:
    if gallery.real is None or gallery.generated is None:
        yield element("p", "There were no real pictures to compare with.", class_="soft")
        return
    cards = [
        figure(encoder.picture(_grid(_rows(pictures[:VARIOUS])), name), name)
        for name, pictures in (("real", gallery.real), ("generated", gallery.generated))
    ]
    yield element("div", *cards, class_="cards")
    for report in found.variety.values():
        if not report.shares:
            continue
        yield element("h3", "Shares read by the recogniser")
        yield element("p", "Blue: real; orange: generated; percent.", class_="soft")
        groups = []
        for attribute, values in report.shares.items():
            bars = [element("b", attribute.replace("_", " ")), text(""), text("")]
            bars = [element("span", each) for each in bars]
            for value, (real, made) in values.items():
                rare = (attribute, value) in report.below_half
                numbers = element("span", f"{100 * real:.0f} / {100 * made:.0f}",
                                  class_="missed" if rare else "plain")  # fmt: skip
                bar = element("span", _bar(real), _bar(made))
                bars += [element("span", value), bar, numbers]
            groups.append(element("figure", element("div", *bars, class_="bars")))
        yield element("div", *groups, class_="cards")


def _absent(found: Evaluation) -> Iterator[Html]:
    if not found.absent:
        yield element("p", "Nothing: all that can be measured was.")
        return
    head = ["", "so this was not measured", "to measure it"]
    yield table(head, [[each.name, each.lost, each.give] for each in found.absent])
    for kind, figures in found.kinds.items():
        for prompt, why in figures.left_out.items():
            yield element("p", f"{kind}: {prompt}: {why}", class_="soft")


def _protocol(found: Evaluation) -> Iterator[Html]:
    said = [[key, value] for key, value in found.protocol.items()]
    about = found.provenance
    said += [["command", about["command"]], ["commit", about["commit"]]]
    said += [["versions", ", ".join(f"{k} {v}" for k, v in about["versions"].items())]]
    said += [["took", f"{about['seconds']} seconds on {about['device']}"]]
    items = [element("p", element("b", f"{key}: "), value) for key, value in said]
    yield from items


def _bar(share: float) -> Html:
    return Html(f'<i style="width:{max(100 * share, 0.5):.1f}%"></i>')


def _result(figures: KindFigures, prompt: str) -> WishResult | None:
    return next((each for each in figures.results if each.prompt == prompt), None)


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.0f} %"


def _rows(pictures: Tensor, columns: int = 6) -> Tensor:
    whole = len(pictures) // columns * columns
    return pictures[:whole].unflatten(0, (-1, columns)) if whole else pictures[None]


def _grid(
    pictures: Float[Tensor, "rows columns 3 height width"],
) -> UInt8[np.ndarray, "sheet_height sheet_width 3"]:
    """Pictures side by side, without gaps: all are on white."""
    lines = [np.concatenate(to_uint8(line), axis=1) for line in pictures]
    return np.concatenate(lines, axis=0)
