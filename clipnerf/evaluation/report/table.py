"""The table: every headline figure, with the target beside it and whether it is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, eq, ge, le

from clipnerf.evaluation.edits.attributes import mean
from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.generation.feature_figures import TITLE
from clipnerf.evaluation.report.results import Evaluation
from clipnerf.evaluation.resources import JUDGE

MATCHING = 0.90
COLORS_TRUE, SHAPES_TRUE = 0.95, 0.85
KEPT_UNDER_COLOR, KEPT_UNDER_SHAPE = 0.95, 0.90
PALETTE_RATIO = 0.25
STEADY = 0.95
DISTANCE_RATIO = 1.10

BUNDLE = "bundle"
NAMES = {"appearance": "colors", "shape": "shapes", "both": "both at once"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    values: column (a kind of mapper, or "bundle") -> figure; None where it was not measured.
    target: in words; "" where there is none. met: column -> whether it is; None: cannot be said.
    """

    name: str
    values: dict[str, float | None]
    target: str = ""
    met: dict[str, bool | None] | None = None
    digits: int = 3
    note: str = ""

    def cell(self, column: str) -> str:
        """The figure as text."""
        value = self.values.get(column)
        return "–" if value is None else f"{value:.{self.digits}f}"

    def mark(self, column: str) -> str:
        """met, missed, or nothing where nothing can be said."""
        found = (self.met or {}).get(column)
        return "" if found is None else "met" if found else "missed"


def rows(found: Evaluation) -> list[Row]:
    """All lines, the bundle's own first, then those of the edits by each kind."""
    return [*_variety_rows(found), *_code_rows(found), *_edit_rows(found)]


def lines(found: Evaluation) -> list[str]:
    """The table for a terminal."""
    table = rows(found)
    columns = [BUNDLE, *found.kinds]
    columns = [c for c in columns if any(c in row.values for row in table)]
    width = max(len(row.name) for row in table) + 2
    head = f"{'':<{width}}" + "".join(f"{column:>18}" for column in columns) + "   target"
    said = [head]
    for row in table:
        cells = [f"{row.cell(c)} {row.mark(c):<6}" if c in row.values else "" for c in columns]
        text = f"{row.name:<{width}}" + "".join(f"{cell:>18}" for cell in cells)
        said.append(f"{text}   {row.target}{'  ' + row.note if row.note else ''}".rstrip())
    return said


def _variety_rows(found: Evaluation) -> list[Row]:
    made: list[Row] = []
    for eye, report in found.variety.items():
        if report.fd_clip is None or eye not in found.eyes:
            continue
        for name, value in (
            ("FD-CLIP", report.fd_clip),
            ("KD-CLIP", report.kd),
            ("precision", report.precision),
            ("recall", report.recall),
            ("density", report.density),
            ("coverage", report.coverage),
        ):
            made.append(Row(f"{name}, {_eye(found, eye)}", {BUNDLE: value}))
    if found.fid is not None:
        made.append(Row("FID, Inception", {BUNDLE: found.fid}, digits=1))
    for name, value, floor in found.features.rows() if found.features is not None else ():
        note = "" if floor is None else f"floor, other real pictures: {floor:.3f}"
        made.append(Row(f"{name}, {TITLE}", {BUNDLE: value}, note=note))
    shares = [report for report in found.variety.values() if report.shares]
    if shares:
        rare = shares[0].below_half
        named = [f"{key} {value} ({shares[0].ratio(key, value):.2f})" for key, value in rare]
        made.append(
            Row(
                "values that come less than half as often as in the data",
                {BUNDLE: float(len(rare))},
                digits=0,
                note=", ".join(named),
            )
        )
    return made


def _code_rows(found: Evaluation) -> list[Row]:
    """What the two codes do to each other's, and whether CLIP knows an object from any side."""
    codes, kept = found.disentanglement, "silhouette IoU under appearance swaps"
    made = [
        _judged(kept, codes.silhouette_iou, "= 1", partial(eq, 1)),
        Row("palette distance under shape swaps", {BUNDLE: codes.palette_distance}),
    ]
    if found.entangled is not None:
        whole = found.entangled.palette_distance
        ratio = codes.palette_distance / whole if whole else None
        made.append(Row("  of the entangled baseline", {BUNDLE: whole}))
        target, good = f"at most {PALETTE_RATIO:g}", partial(ge, PALETTE_RATIO)
        made.append(_judged("  bundle over baseline", ratio, target, good))
        iou = found.entangled.silhouette_iou
        made.append(Row("silhouette IoU of the entangled baseline", {BUNDLE: iou}))
    if found.views is not None:
        low, high = found.views.closer_interval
        made.append(
            Row(
                "one object's views closer than two objects'",
                {BUNDLE: found.views.closer},
                note=f"{low:.3f} to {high:.3f}; 0.5 is chance",
            )
        )
    return made


def _judged(name: str, value: float | None, target: str, good: Callable[[float], bool]) -> Row:
    known = value is not None and math.isfinite(value)
    met = good(value) if value is not None and known else None
    return Row(name, {BUNDLE: value if known else None}, target, {BUNDLE: met}, digits=4)


def _edit_rows(found: Evaluation) -> list[Row]:
    table = _Edits(found)
    eyes = found.eyes
    for eye in eyes:
        _matched(found, table, eye)
    _recognized(found, table)
    table.add(
        "smallest silhouette IoU under color edits",
        attrgetter("silhouette_iou"),
        "= 1",
        partial(eq, 1),
    )
    table.add("palette distance under shape edits", attrgetter("palette_distance"))
    if found.entangled is not None:
        whole = found.entangled.palette_distance
        table.add("  over the entangled baseline's", partial(_palette_over, whole=whole))
    for eye in eyes:
        table.add(
            f"Spearman of strength, mean over objects, {_eye(found, eye)}",
            partial(_steady, eye=eye, key="objects"),
            f"at least {STEADY:g}",
            partial(le, STEADY),
        )
        table.add(
            f"  of the mean curve, {_eye(found, eye)}", partial(_steady, eye=eye, key="mean_curve")
        )
    for eye in eyes:
        for key in ("direction", "similarity", "unedited"):
            name = {"unedited": "  similarity before"}.get(key, f"CLIP {key}, mean over prompts")
            table.add(f"{name}, {_eye(found, eye)}", partial(_words, eye=eye, key=key))
    for eye in eyes:
        for group in NAMES:
            for key in ("before", "after"):
                table.add(
                    f"FD-CLIP {key}, {NAMES[group]}, {_eye(found, eye)}",
                    partial(_distance, eye=eye, group=group, key=key),
                )
            table.add(
                f"  after over before, {NAMES[group]}, {_eye(found, eye)}",
                partial(_distance, eye=eye, group=group, key="ratio"),
                f"at most {DISTANCE_RATIO:.2f}",
                partial(ge, DISTANCE_RATIO),
            )
    for size in sorted({size for k in found.kinds.values() for size in k.seconds}):
        table.add(f"seconds an edit with one view, {size} px", partial(_seconds, size=size))
    for group in NAMES:
        table.add(f"LPIPS before to after, {NAMES[group]}", partial(_lpips, group=group))
    return table.rows


class _Edits:
    """Lines with a column a kind of mapper; those that no kind has a figure for are left out."""

    def __init__(self, found: Evaluation) -> None:
        self.kinds = found.kinds
        self.rows: list[Row] = []

    def add(
        self,
        name: str,
        value: Callable[[KindFigures], float | None],
        target: str = "",
        good: Callable[[float], bool] | None = None,
        note: str = "",
    ) -> None:
        """One line. good: whether a figure meets the target; None: it is not for us to say."""
        values = {kind: _number(value(figures)) for kind, figures in self.kinds.items()}
        if any(each is not None for each in values.values()):
            met = {
                kind: None if each is None or good is None else bool(good(each))
                for kind, each in values.items()
            }
            self.rows.append(Row(name, values, target, met, note=note))


def _matched(found: Evaluation, table: _Edits, eye: str) -> None:
    target = f"at least {MATCHING:g}" if eye == JUDGE else ""
    good = partial(le, MATCHING) if eye == JUDGE and not found.same_judge else None
    note = "no independent judge" if eye == JUDGE and found.same_judge else ""
    for group, name in NAMES.items():
        said = f"{name}, {_eye(found, eye)}"
        one, five = (partial(of, eye=eye, group=group) for of in (_matching, _assigned))
        table.add(f"5-way matching, {said}", one, target, good, note)
        table.add(f"  five pictures to five prompts, {said}", five, target, good)


def _recognized(found: Evaluation, table: _Edits) -> None:
    true = {"appearance": COLORS_TRUE, "shape": SHAPES_TRUE}
    stay = {"appearance": KEPT_UNDER_COLOR, "shape": KEPT_UNDER_SHAPE}
    for group, name in NAMES.items():
        of = partial(partial, _group, group=group)
        table.add(
            f"named attribute is true, {name}",
            of(key="after"),
            *_least(true, group),
            note="by the recognizer",
        )
        table.add(f"  before the edit, {name}", of(key="before"))
        table.add(f"  of those that had it not, {name}", of(key="changed"))
    for group, name in NAMES.items():
        of = partial(partial, _group, group=group)
        table.add(
            f"others stay, {name}", of(key="kept"), *_least(stay, group), note=_floor(found, group)
        )
        table.add(f"  others of shape, {name}", of(key="kept_shape"))
        table.add(f"  others of color, {name}", of(key="kept_color"))
        table.add(f"  share read confidently, {name}", of(key="confident"))
    for group, name in NAMES.items():
        for key, words in (("after", "named attribute is true"), ("kept", "others stay")):
            table.add(f"routed by itself: {words}, {name}", partial(_routed, group=group, key=key))


def _least(targets: dict[str, float], group: str) -> tuple[str, Callable[[float], bool] | None]:
    if group not in targets:
        return "", None
    return f"at least {targets[group]:g}", partial(le, targets[group])


def _group(figures: KindFigures, group: str, key: str) -> float | None:
    return getattr(figures.groups[group], key) if group in figures.groups else None


def _steady(figures: KindFigures, eye: str, key: str) -> float | None:
    return mean(getattr(each, key) for each in figures.strength.get(eye, {}).values())


def _words(figures: KindFigures, eye: str, key: str) -> float | None:
    return mean(getattr(figures.words[eye], key).values()) if eye in figures.words else None


def _distance(figures: KindFigures, eye: str, group: str, key: str) -> float | None:
    found = figures.distances.get(eye, {}).get(group)
    return None if found is None else getattr(found, key)


def _palette_over(figures: KindFigures, whole: float) -> float | None:
    return figures.palette_distance / whole if figures.palette_distance and whole else None


def _seconds(figures: KindFigures, size: int) -> float | None:
    return figures.seconds.get(size)


def _lpips(figures: KindFigures, group: str) -> float | None:
    return figures.lpips.get(group)


def _floor(found: Evaluation, group: str) -> str:
    if found.floor is None:
        return ""
    said = f"floor, no edit: {found.floor.other_views.share:.3f}"
    if group == "appearance":
        said += f"; recolored, of shape: {found.floor.recolored.share:.3f}"
    return said


def _routed(figures: KindFigures, group: str, key: str) -> float | None:
    if figures.routing is None or group not in figures.routing.by_default:
        return None
    return getattr(figures.routing.by_default[group], key)


def _matching(figures: KindFigures, eye: str, group: str) -> float | None:
    if eye not in figures.words or group not in figures.words[eye].matching:
        return None
    return figures.words[eye].matching[group].share


def _assigned(figures: KindFigures, eye: str, group: str) -> float | None:
    return figures.words[eye].assigned.get(group) if eye in figures.words else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _eye(found: Evaluation, eye: str) -> str:
    return "by the judge (= guide)" if eye == JUDGE and found.same_judge else f"by the {eye}"
