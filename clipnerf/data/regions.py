"""Phrases and the pieces of a picture that they refer to, as a line of metadata.jsonl has them."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Region:
    """What a phrase refers to.

    mask: a picture whose pixels of these `values`, or without values all its nonzero pixels, are
        meant; None: the phrase names nothing in the picture.
    values: 1 to 255.
    """

    text: str
    mask: str | None
    values: tuple[int, ...] = ()


def joined(root: str, name: str) -> str:
    """The file name, relative to the set rather than to the folder `root` of its table."""
    return posixpath.normpath(posixpath.join(root, name.replace("\\", "/")))


def regions_of(row: dict[str, Any], place: Callable[[str], str], where: str) -> tuple[Region, ...]:
    """The regions of one line: its "regions", and its "phrases" for the "mask" of the line.

    place: the file that a name in the line means.

    Raises UsageError, one line that begins with `where`.
    """
    rows = row.get("regions", [])
    if not isinstance(rows, list):
        raise UsageError(f"{where}: regions is {shown(rows)}; allowed is a list of objects")
    found = [_region(each, place, f"{where}: region {n}") for n, each in enumerate(rows, start=1)]
    phrases = row.get("phrases")
    if phrases is not None:
        if not isinstance(phrases, list) or not phrases:
            raise UsageError(f"{where}: phrases is {shown(phrases)}; allowed is a list of strings")
        if "mask" not in row:
            raise UsageError(f"{where}: phrases without a mask; add 'mask', a file or null")
        for text in phrases:
            one = {"text": text, "mask": row["mask"], "values": row.get("values", [])}
            found.append(_region(one, place, f"{where}: phrases"))
    return tuple(found)


def _region(row: Any, place: Callable[[str], str], where: str) -> Region:
    if not isinstance(row, dict):
        raise UsageError(f"{where} is {shown(row)}; allowed is an object with text and mask")
    text, values = row.get("text"), row.get("values", [])
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{where}: text is {shown(text)}; allowed is a phrase that is not empty")
    if "mask" not in row:
        raise UsageError(f"{where} has no mask; give a file, or null for what is not there")
    mask = row["mask"]
    if mask is not None and (not isinstance(mask, str) or not mask):
        raise UsageError(f"{where}: mask is {shown(mask)}; allowed is a file name or null")
    good = isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 255 for v in values
    )
    if not good:
        raise UsageError(f"{where}: values is {shown(values)}; allowed is a list of 1 to 255")
    return Region(text.strip(), None if mask is None else place(mask), tuple(values))
