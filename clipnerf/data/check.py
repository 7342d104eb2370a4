"""`clipnerf data check`: what is in a set of pictures, and what will spoil training."""

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clipnerf.data.masks import about_covers, select
from clipnerf.data.pictures import decode
from clipnerf.data.records import Listing, Record, list_pictures
from clipnerf.data.referring import labels_of
from clipnerf.data.source import BrokenPicture, Source, first_few
from clipnerf.errors import UsageError, printable
from clipnerf.training.progress import Progress

_FEW = 200
_LOOK_SIZE = 64
_WHITE = 245
_TOUCHING_SHARE = 0.10


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    pictures: files that are pictures by name, broken ones included.
    sizes: (width, height) -> how many.
    broken: (file name, reason), every one.
    white_borders: share in [0, 1] of pictures whose border is white nearly all around.
    captions, distinct_captions: pictures with a caption; how many different captions.
    poses: pictures with azimuth and elevation; objects: different object_id.
    phrases: regions named in words, and how many of them name nothing.
    errors: what makes the set unusable; warnings: what may spoil training.
    """

    path: Path
    pictures: int
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    broken: tuple[tuple[str, str], ...] = ()
    white_borders: float = 0.0
    captions: int = 0
    distinct_captions: int = 0
    poses: int = 0
    objects: int = 0
    phrases: tuple[int, int] = (0, 0)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No broken picture and no error; warnings may remain."""
        return not self.broken and not self.errors

    def lines(self) -> list[str]:
        """The report for a terminal."""
        good = self.pictures - len(self.broken)
        sizes = [f"{w}x{h} ({n})" for (w, h), n in self.sizes.items()]
        lines = [
            f"{self.path}",
            f"  pictures    {self.pictures}, of which {good} can be read",
            f"  sizes       {first_few(sizes) or 'none'}",
            f"  background  white around {self.white_borders:.0%} of the pictures",
            f"  captions    {self.captions} pictures, {self.distinct_captions} different captions",
            f"  poses       {self.poses} pictures (not needed; used by evaluation)",
        ]
        if self.objects:
            lines.append(f"  objects     {self.objects} (by object_id)")
        if self.phrases[0]:
            lines.append(f"  phrases     {self.phrases[0]}, {self.phrases[1]} of them for nothing")
        lines += [f"  broken      {name} {reason}" for name, reason in self.broken]
        lines += [f"  error       {text}" for text in self.errors]
        lines += [f"  warning     {text}" for text in self.warnings]
        verdict = "ready for training" if self.ok else "not ready: mend what is named above"
        return [printable(line) for line in (*lines, f"  {verdict}")]


def check(path: object) -> CheckReport:
    """Decodes every picture of a folder or zip once and reports.

    Raises:
        UsageError: `path` is missing, or holds no picture at all.
    """
    source = Source(path)
    errors: list[str] = []
    try:
        listing = list_pictures(source)
    except UsageError as error:
        listing = list_pictures(source, use_metadata=False)
        errors.append(str(error))
    sizes: Counter[tuple[int, int]] = Counter()
    of_picture: dict[str, tuple[int, int]] = {}
    broken: list[tuple[str, str]] = []
    borders: list[float] = []
    twins: dict[bytes, list[str]] = defaultdict(list)
    with Progress(len(listing.records), desc="data check", unit="img") as progress:
        for record in listing.records:
            try:
                pixels, dimensions = decode(source, record.file_name, _LOOK_SIZE)
            except BrokenPicture as error:
                broken.append((record.file_name, str(error)))
            else:
                sizes[dimensions] += 1
                of_picture[record.file_name] = dimensions
                borders.append(_white_share_of_border(pixels))
                twins[hashlib.sha256(pixels.tobytes()).digest()].append(record.file_name)
            progress.update(1)

    white = float(np.mean([share > 1 - _TOUCHING_SHARE for share in borders])) if borders else 0.0
    records = listing.records
    texts = {text for record in records for text in record.texts}
    warnings = [
        *_about_sizes(sizes),
        *_about_background(white, bool(borders)),
        *_about_number(sum(sizes.values())),
        *_about_records(listing),
        *_about_twins([names for names in twins.values() if len(names) > 1]),
        *listing.about_left_out(),
    ]
    regions = [region for record in records for region in record.regions]
    wrong, odd = _about_masks(source, records, of_picture)
    return CheckReport(
        path=source.path,
        pictures=len(records),
        sizes=dict(sizes.most_common()),
        broken=tuple(broken),
        white_borders=white,
        captions=sum(bool(record.texts) for record in records),
        distinct_captions=len(texts),
        poses=sum(r.azimuth_deg is not None and r.elevation_deg is not None for r in records),
        objects=len({r.object_id for r in records if r.object_id is not None}),
        phrases=(len(regions), sum(region.mask is None for region in regions)),
        errors=tuple(errors + wrong),
        warnings=tuple(warnings + odd),
    )


def _about_masks(
    source: Source, records: tuple[Record, ...], sizes: dict[str, tuple[int, int]]
) -> tuple[list[str], list[str]]:
    """Errors and warnings: masks of phrases that cannot be used, or that cover nothing or all."""
    names, broken = set(source.names()), []
    nothing: list[str] = []
    everything: list[str] = []
    for record in records:
        name = record.file_name
        of_mask = defaultdict(set)
        for region in record.regions:
            if region.mask:
                of_mask[region.mask].add(region.values)
        for mask in sorted(of_mask) if name in sizes else ():
            try:
                labels = labels_of(source, name, mask, sizes[name], names)
            except UsageError as error:
                broken.append(str(error))
                continue
            for values in sorted(of_mask[mask]):
                chosen = select(labels, values)
                if not chosen.any() or chosen.all():
                    which = f"{mask} {list(values)}" if values else mask
                    (everything if chosen.any() else nothing).append(which)
    more = f" (and {len(broken) - 1} other masks)" if len(broken) > 1 else ""
    return [broken[0] + more] if broken else [], about_covers(nothing, everything)


def _white_share_of_border(pixels: np.ndarray) -> float:
    white = np.asarray(np.min(pixels, axis=0) >= _WHITE)
    border = np.concatenate([white[0], white[-1], white[1:-1, 0], white[1:-1, -1]])
    return float(border.mean())


def _about_sizes(sizes: Counter[tuple[int, int]]) -> list[str]:
    warnings = []
    if len(sizes) > 1:
        warnings.append(f"pictures are of {len(sizes)} sizes; they will be resized to one")
    oblong = sum(count for (w, h), count in sizes.items() if w != h)
    if oblong:
        warnings.append(
            f"{oblong} pictures are not square; only their middle square is used: "
            "pad them with white where that cuts the object"
        )
    smallest = min((min(size) for size in sizes), default=math.inf)
    if smallest < 32:
        warnings.append(f"the smallest picture is {smallest} pixels wide or high; 32 is too few")
    return warnings


def _about_background(white: float, any_picture: bool) -> list[str]:
    if white >= 0.9 or not any_picture:
        return []
    return [
        f"only {white:.0%} of the pictures have a white border; the background is learned as part "
        "of the object: cut the object out (alpha is honoured) or put it on white"
    ]


def _about_number(readable: int) -> list[str]:
    if readable >= _FEW:
        return []
    return [f"{readable} pictures are few; expect a generator to copy them (500 and more are good)"]


def _about_records(listing: Listing) -> list[str]:
    """Captions, poses, and pictures without a line."""
    records = listing.records
    without = [record.file_name for record in records if not record.texts]
    warnings = [
        *_about_captions(without, len(records)),
        *_about_poses(records),
    ]
    if listing.unlisted:
        warnings.append(
            f"{len(listing.unlisted)} pictures have no line in metadata.jsonl: "
            f"{first_few(list(listing.unlisted))}"
        )
    return warnings


def _about_captions(without: list[str], total: int) -> list[str]:
    if not without:
        return []
    if len(without) == total:
        return ["no captions: pretrain needs none, but train-clip does ('text' in metadata.jsonl)"]
    return [f"{len(without)} pictures have no caption: {first_few(without)}; train-clip refuses"]


def _about_poses(records: tuple[Record, ...]) -> list[str]:
    out = [
        r.file_name
        for r in records
        if r.elevation_deg is not None and not -90 <= r.elevation_deg <= 90
    ]
    if not out:
        return []
    return [f"elevation_deg is outside -90 to 90 in {len(out)} pictures: {first_few(out)}"]


def _about_twins(groups: list[list[str]]) -> list[str]:
    if not groups:
        return []
    again = sum(len(names) - 1 for names in groups)
    pairs = [" = ".join(names[:2]) for names in groups]
    return [f"{again} pictures repeat another one: {first_few(pairs, 3)}"]
