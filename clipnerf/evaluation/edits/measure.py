"""Everything that is measured of the edits by one kind of mapper."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.attributes import (
    GROUPS,
    Edits,
    GroupMeans,
    WishResult,
    group_means,
    group_of,
    judge,
    mean,
)
from clipnerf.evaluation.edits.baseline import Eyes, Reals, Subjects
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.clip_scores import ClipFigures, Words, clip_figures
from clipnerf.evaluation.edits.fid_after_edit import (
    DistanceAfterEdits,
    distance_after_edits,
    edit_each,
)
from clipnerf.evaluation.edits.readings import ObjectReadings, read_objects
from clipnerf.evaluation.edits.strength import Steadiness, steadiness, sweep
from clipnerf.evaluation.metrics.disentanglement import palette_distance, silhouette_iou
from clipnerf.evaluation.views_of_objects import OnProgress, Shots, shoot, shoot_all
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.vision.features import image_features

SWEPT, ROUTED = 6, 8
"""Objects whose strengths are swept, and that are edited by the editor's own strengths."""
DRAWN_AT_ONCE = 12
"""Wishes of one batch: bounds memory."""


@dataclass(frozen=True)
class Routing:
    """Edits with the editor's own strengths, on the first objects; explicit: the same objects with
    the strengths of the wishes. Means over the wishes of each group."""

    objects: int
    by_default: dict[str, GroupMeans]
    explicit: dict[str, GroupMeans]
    by_prompt: dict[str, tuple[float, float]]
    """Prompt -> (has what is wanted, others kept) by default."""


@dataclass(frozen=True)
class KindFigures:
    """Edits by one kind of mapper. What could not be measured is empty or None.

    silhouette_iou: smallest of all objects and wishes that move appearance alone.
    opacity_equal: whether no bit of opacity differed under them.
    palette_distance: mean under wishes that move shape alone.
    strength, distances: encoder -> prompt or group -> figures.
    seconds: picture size -> median seconds of an edit with one view.
    left_out: wishes that this kind cannot make, and why.
    lpips: group -> mean distance before to after.
    """

    results: tuple[WishResult, ...] = ()
    groups: dict[str, GroupMeans] = dataclasses.field(default_factory=dict)
    words: dict[str, ClipFigures] = dataclasses.field(default_factory=dict)
    strength: dict[str, dict[str, Steadiness]] = dataclasses.field(default_factory=dict)
    distances: dict[str, dict[str, DistanceAfterEdits]] = dataclasses.field(default_factory=dict)
    silhouette_iou: float | None = None
    opacity_equal: bool | None = None
    palette_distance: float | None = None
    routing: Routing | None = None
    seconds: dict[int, float] = dataclasses.field(default_factory=dict)
    lpips: dict[str, float] = dataclasses.field(default_factory=dict)
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class KindPictures:
    """For the page, by prompt: all objects after the edit, and the first one's sweep."""

    after: dict[str, Float[Tensor, "objects 3 size size"]]
    sweeps: dict[str, Float[Tensor, "strengths 3 size size"]]


def usable(edits: Edits, codes: Codes, wishes: Sequence[Wish]) -> tuple[list[Wish], dict[str, str]]:
    """The wishes that this editor can make, and why not the others (a mapper is missing)."""
    able, why = [], {}
    for wish in wishes:
        try:
            edits.edit(codes[0], wish.prompt, shape=wish.shape, appearance=wish.appearance)
        except UsageError as error:
            why[wish.prompt] = str(error)
        else:
            able.append(wish)
    return able, why


@torch.no_grad()
def measure_kind(
    edits: Edits,
    subjects: Subjects,
    wishes: Sequence[Wish],
    eyes: Eyes,
    reals: Reals | None,
    on_progress: OnProgress,
) -> tuple[KindFigures, KindPictures]:
    """Edits all objects by all wishes, and looks at them in every way that is at hand."""
    able, why = usable(edits, subjects.codes, wishes)
    if not able:
        return KindFigures(left_out=why), KindPictures({}, {})
    rows = [list(wishes).index(wish) for wish in able]
    words = {eye: Words(found.prompts[rows], found.neutral) for eye, found in eyes.words.items()}
    seen = _Seen(subjects, eyes)
    results: list[WishResult] = []
    for some in together(able):
        edited = [
            edits.edit(subjects.codes, wish.prompt, shape=wish.shape, appearance=wish.appearance)
            for wish in some
        ]
        every = shoot_all(subjects.generator, edited, size=subjects.size, on_progress=on_progress)
        unedited = subjects.opacities(len(some), on_progress)
        for wish, shots, opacity in zip(some, every, unedited, strict=True):
            seen.look(wish, shots, opacity)
            if eyes.recognizer is not None and subjects.readings is not None:
                after = read_objects(eyes.recognizer, shots.rgb)
                results.append(
                    judge(wish, subjects.readings, after, subjects.colors, subjects.ignored)
                )
                seen.readings.append(after)
    strength, sweeps = _strengths(edits, subjects, able, eyes, words, seen.after, on_progress)
    figures = KindFigures(
        results=tuple(results),
        groups=group_means(results),
        words={
            eye: clip_figures(able, words[eye], subjects.features[eye], torch.stack(rows))
            for eye, rows in seen.features.items()
        },
        strength=strength,
        distances=_distances(edits, subjects.generator, able, eyes, reals, on_progress),
        silhouette_iou=min(seen.ious, default=None),
        opacity_equal=seen.equal,
        palette_distance=mean(seen.palettes) if seen.palettes else None,
        routing=_routing(edits, subjects, able, eyes, seen.readings, on_progress),
        lpips={group: mean(values) for group, values in seen.lpips.items() if values},
        left_out=why,
    )
    return figures, KindPictures(seen.after, sweeps)


def together(wishes: Sequence[Wish]) -> list[list[Wish]]:
    """The wishes in their order, in batches that are drawn at once: colors share a geometry."""
    batches: list[list[Wish]] = []
    for wish in wishes:
        last = batches[-1] if batches else []
        room = last and len(last) < DRAWN_AT_ONCE
        if room and group_of(wish) == group_of(last[0]) == "appearance":
            last.append(wish)
        else:
            batches.append([wish])
    return batches


class _Seen:
    """What is gathered while one wish after the other is looked at, in the first view."""

    def __init__(self, subjects: Subjects, eyes: Eyes) -> None:
        self.subjects, self.eyes = subjects, eyes
        self.features: dict[str, list[Tensor]] = {eye: [] for eye in eyes.clips}
        self.after: dict[str, Tensor] = {}
        self.readings: list[ObjectReadings] = []
        self.ious: list[float] = []
        self.palettes: list[float] = []
        self.lpips: dict[str, list[float]] = {group: [] for group in GROUPS}
        self.equal: bool | None = None

    def look(self, wish: Wish, shots: Shots, unedited: Tensor) -> None:
        """One wish's pictures; ``unedited``: opacity of the objects, drawn in the same place."""
        before, rgb = self.subjects.before, shots.rgb[:, 0]
        self.after[wish.prompt] = rgb
        for eye, clip in self.eyes.clips.items():
            self.features[eye].append(image_features(clip, rgb))
        group = group_of(wish)
        if group == "appearance":
            iou = silhouette_iou(unedited.flatten(0, 1), shots.opacity.flatten(0, 1))
            self.ious.append(float(iou.min()))
            equal = torch.equal(unedited, shots.opacity)
            self.equal = equal if self.equal is None else self.equal and equal
        if group == "shape":
            opacities = before.opacity[:, 0], shots.opacity[:, 0]
            self.palettes.append(
                float(palette_distance(before.rgb[:, 0], opacities[0], rgb, opacities[1]).nanmean())
            )
        if self.eyes.lpips is not None:
            self.lpips[group].append(float(self.eyes.lpips(before.rgb[:, 0], rgb).mean()))


def _strengths(
    edits: Edits,
    subjects: Subjects,
    wishes: Sequence[Wish],
    eyes: Eyes,
    words: Mapping[str, Words],
    after: Mapping[str, Tensor],
    on_progress: OnProgress,
) -> tuple[dict, dict[str, Tensor]]:
    codes, unedited = subjects.codes[:SWEPT], subjects.before.rgb[:SWEPT, 0]
    found: dict[str, dict] = {eye: {} for eye in eyes.clips}
    sweeps = {}
    for row, wish in enumerate(wishes):
        known = {0.0: unedited, 1.0: after[wish.prompt][:SWEPT]}
        pictures = sweep(
            edits,
            subjects.generator,
            codes,
            wish,
            known,
            size=subjects.size,
            on_progress=on_progress,
        )
        sweeps[wish.prompt] = pictures[:, 0]
        for eye, clip in eyes.clips.items():
            features = image_features(clip, pictures.flatten(0, 1))
            curves = features @ words[eye].directions[row]
            found[eye][wish.prompt] = steadiness(curves.unflatten(0, pictures.shape[:2]))
    return found, sweeps


def _distances(
    edits: Edits,
    generator: Generator,
    wishes: Sequence[Wish],
    eyes: Eyes,
    reals: Reals | None,
    on_progress: OnProgress,
) -> dict[str, dict[str, DistanceAfterEdits]]:
    if reals is None or not eyes.clips:
        return {}
    found: dict[str, dict[str, DistanceAfterEdits]] = {eye: {} for eye in eyes.clips}
    codes = reals.variety.objects(generator, reals.edited).to(generator.device)
    for group in GROUPS:
        some = [wish for wish in wishes if group_of(wish) == group]
        if not some:
            continue
        pictures = reals.variety.generated(generator, edit_each(edits, codes, some), on_progress)
        for eye, clip in eyes.clips.items():
            found[eye][group] = distance_after_edits(
                reals.real[eye],
                reals.generated[eye][: reals.edited],
                image_features(clip, pictures),
            )
    return found


def _routing(
    edits: Edits,
    subjects: Subjects,
    wishes: Sequence[Wish],
    eyes: Eyes,
    explicit: Sequence[ObjectReadings],
    on_progress: OnProgress,
) -> Routing | None:
    """Every wish again, with the strengths that the editor takes where none are given."""
    if eyes.recognizer is None or subjects.readings is None:
        return None
    count = min(ROUTED, len(subjects.codes))
    codes, before = subjects.codes[:count], subjects.readings.first(count)
    routed, given = [], []
    for wish, known in zip(wishes, explicit, strict=True):
        edited = edits.edit(codes, wish.prompt)
        same = edits.edit(codes, wish.prompt, shape=wish.shape, appearance=wish.appearance)
        after = known.first(count)
        given.append(judge(wish, before, after, subjects.colors, subjects.ignored))
        if _equal(edited, same):
            on_progress(count * subjects.readings.views)
        else:
            shots = shoot(subjects.generator, edited, size=subjects.size, on_progress=on_progress)
            after = read_objects(eyes.recognizer, shots.rgb)
        routed.append(judge(wish, before, after, subjects.colors, subjects.ignored))
    return Routing(
        objects=count,
        by_default=group_means(routed),
        explicit=group_means(given),
        by_prompt={r.prompt: (r.after, r.kept.share) for r in routed},
    )


def _equal(first: Codes, second: Codes) -> bool:
    return torch.equal(first.shape, second.shape) and torch.equal(
        first.appearance, second.appearance
    )


def with_seconds(figures: KindFigures, seconds: dict[int, float]) -> KindFigures:
    """The figures, and the median seconds of an edit by picture size."""
    return dataclasses.replace(figures, seconds=seconds)
