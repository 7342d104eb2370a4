"""Did the edit do what it was told, and nothing else? Read by the recognizer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.readings import ObjectReadings, Stayed, read_objects, stayed
from clipnerf.evaluation.views_of_objects import OTHER_VIEWS, OnProgress, nobody, shoot
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.vision.recognizer import Readings, Recognizer

GROUPS = ("appearance", "shape", "both")


@runtime_checkable
class Edits(Protocol):
    """The part of `clipnerf.editor.Editor` that is needed here."""

    def edit(self, codes: Any, text: Any, *args: Any, **strengths: Any) -> Any:
        """Codes moved towards the words; without strengths, by the editor's own."""
        ...


@dataclass(frozen=True)
class Raw:
    """The plain figures: every picture for itself, every attribute counted."""

    before: float
    after: float
    changed: float
    kept: float


@dataclass(frozen=True)
class WishResult:
    """What became of one wish; shares of all objects.

    group: appearance, shape or both: the codes that the wish moves.
    before: had what is wanted without the edit. after: have it with the edit.
    changed: of those that had it not, share that have it now; NaN if all had it.
    kept: of the other attributes that were read confidently, share read as before.
    kept_shape, kept_color: the same of attributes of shape, and of color.
    chances: of each object, the mean probability of what is wanted (its least likely part).
    has: of each object, whether it is read as wanted. read: what is read in its place.
    """

    prompt: str
    group: str
    before: float
    after: float
    changed: float
    kept: Stayed
    kept_shape: float
    kept_color: float
    raw: Raw
    chances: tuple[float, ...]
    has: tuple[bool, ...]
    read: tuple[str, ...]


@dataclass(frozen=True)
class Floor:
    """How many attributes are read as before where nothing that they name was changed.

    other_views: the same objects from slightly other sides; all attributes.
    recolored: the appearance of another object in the place of the own; attributes of shape, as
        the geometry is the same bit for bit.
    """

    other_views: Stayed
    recolored: Stayed


@dataclass(frozen=True)
class GroupMeans:
    """Means over the wishes of a group."""

    before: float
    after: float
    changed: float
    kept: float
    kept_shape: float
    kept_color: float
    confident: float
    raw_after: float
    raw_kept: float


def group_of(wish: Wish) -> str:
    """Which codes a wish moves."""
    if wish.shape == 0:
        return "appearance"
    return "shape" if wish.appearance == 0 else "both"


def is_color(attribute: str, wishes: Sequence[Wish]) -> bool:
    """Whether an attribute is one of appearance: so named, or asked for by appearance alone."""
    named = {key for wish in wishes if group_of(wish) == "appearance" for key in wish.wanted}
    return attribute in named or attribute.endswith("color")


def check_wishes(wishes: Sequence[Wish], recognizer: Recognizer) -> None:
    """UsageError for an attribute or value that the recognizer does not know."""
    empty = Readings({}, {}, recognizer.values)
    for wish in wishes:
        for attribute, value in wish.wanted.items():
            try:
                empty.row(attribute, value)
            except UsageError as error:
                raise UsageError(
                    f"the wish {wish.prompt!r} does not fit the recognizer: {error}; give wishes "
                    "and recognizer of one category"
                ) from error


def judge(
    wish: Wish,
    before: ObjectReadings,
    after: ObjectReadings,
    colors: Collection[str] = (),
    ignored: Collection[str] = (),
) -> WishResult:
    """One wish, from what was read before and after.

    Args:
        colors: the attributes of appearance. ignored: attributes that count nowhere.
    """
    had, has = granted(wish, before.objects), granted(wish, after.objects)
    single_had, single_has = granted(wish, before.pictures), granted(wish, after.pictures)
    others = [k for k in before.objects.values if k not in wish.wanted and k not in ignored]
    kept = stayed(before.objects, after.objects, others)
    wanted = [after.chances[k][:, after.objects.row(k, v)] for k, v in wish.wanted.items()]
    return WishResult(
        prompt=wish.prompt,
        group=group_of(wish),
        before=_share(had),
        after=_share(has),
        changed=_share(has[~had]),
        kept=kept,
        kept_shape=_some(before, after, [k for k in others if k not in colors]),
        kept_color=_some(before, after, [k for k in others if k in colors]),
        raw=Raw(
            before=_share(single_had),
            after=_share(single_has),
            changed=_share(single_has[~single_had]),
            kept=stayed(before.pictures, after.pictures, others, 0.0).share,
        ),
        chances=tuple(torch.stack(wanted).amin(0).tolist()),
        has=tuple(has.tolist()),
        read=tuple(_words(wish, after.objects, row) for row in range(len(after))),
    )


def group_means(results: Sequence[WishResult]) -> dict[str, GroupMeans]:
    """Means over wishes, by group; groups without wishes are left out."""
    found = {}
    for group in GROUPS:
        some = [result for result in results if result.group == group]
        if some:
            found[group] = GroupMeans(
                before=mean(r.before for r in some),
                after=mean(r.after for r in some),
                changed=mean(r.changed for r in some),
                kept=mean(r.kept.share for r in some),
                kept_shape=mean(r.kept_shape for r in some),
                kept_color=mean(r.kept_color for r in some),
                confident=mean(r.kept.counted for r in some),
                raw_after=mean(r.raw.after for r in some),
                raw_kept=mean(r.raw.kept for r in some),
            )
    return found


def by_attribute(results: Sequence[WishResult], group: str) -> dict[str, float]:
    """Of each attribute, the share read as before: mean over the wishes of a group."""
    found: dict[str, list[float]] = {}
    for result in results:
        if result.group == group:
            for key, share in result.kept.by_attribute.items():
                found.setdefault(key, []).append(share)
    return {key: mean(shares) for key, shares in found.items()}


def mean(values: Any) -> float:
    """Mean of the numbers among some floats; NaN where there is none."""
    numbers = [value for value in values if value == value]
    return sum(numbers) / len(numbers) if numbers else float("nan")


def find_floor(
    generator: Generator,
    recognizer: Recognizer,
    codes: Codes,
    before: ObjectReadings,
    colors: Collection[str],
    ignored: Collection[str] = (),
    *,
    size: int = 64,
    on_progress: OnProgress = nobody,
) -> Floor:
    """Reads the objects again where nothing was changed that a reader should notice.

    Each object takes the appearance of the next one, the last of the first.
    """
    keys = [key for key in recognizer.values if key not in ignored]
    turned = shoot(generator, codes, OTHER_VIEWS, size, on_progress=on_progress)
    recolored = shoot(
        generator,
        Codes(codes.shape, codes.appearance.roll(-1, 0)),
        size=size,
        on_progress=on_progress,
    )
    read = [read_objects(recognizer, shots.rgb).objects for shots in (turned, recolored)]
    return Floor(
        other_views=stayed(before.objects, read[0], keys),
        recolored=stayed(before.objects, read[1], [key for key in keys if key not in colors]),
    )


def granted(wish: Wish, readings: Readings) -> Tensor:
    """Whether each has all that is wanted."""
    hits = [readings.is_value(attribute, value) for attribute, value in wish.wanted.items()]
    return torch.stack(hits).all(0)


def _some(before: ObjectReadings, after: ObjectReadings, attributes: list[str]) -> float:
    return stayed(before.objects, after.objects, attributes).share


def _share(hits: Tensor) -> float:
    return float(hits.float().mean())


def _words(wish: Wish, readings: Readings, row: int) -> str:
    values = [readings.values[key][int(readings.index[key][row])] for key in wish.wanted]
    pairs = zip(wish.wanted, values, strict=True)
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in pairs)
