"""metadata.jsonl: what is known of each picture (the Hugging Face image-folder convention)."""

import codecs
import io
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from clipnerf.config.documents import parse_json
from clipnerf.config.ranges import Text, check, shown
from clipnerf.data.pictures import is_picture, seems_picture
from clipnerf.data.regions import Region, joined, regions_of
from clipnerf.data.source import BrokenPicture, Source, first_few, matcher
from clipnerf.errors import UsageError

METADATA = "metadata.jsonl"
PAIRS = "pairs.jsonl"
_READ = "png, jpg, webp, bmp, tif and gif"
_MOST_BYTES = 2**28
"""Of a table; a million long lines."""

_KNOWN = (
    "file_name",
    "text",
    "texts",
    "contrasts",
    "azimuth_deg",
    "elevation_deg",
    "object_id",
    "mask",
    "attributes",
    "regions",
    "phrases",
    "values",
)


@dataclass(frozen=True)
class Record:
    """One picture and what is known of it.

    file_name: relative to the root of the folder or zip.
    text: its caption; texts: all its captions, `text` first (empty where there is none).
    contrasts: pairs of a true caption and one that is false of the picture, alike in other words.
    azimuth_deg, elevation_deg: the camera, degrees.
    object_id: pictures with the same id show the same object.
    mask: file name of the part mask.
    attributes: words for what is seen ("seat_color": "red"): the key `attributes` of the line,
        and every further key whose value is a word or a number.
    regions: phrases, and the pieces of the picture that they refer to.
    """

    file_name: str
    text: str | None = None
    texts: tuple[str, ...] = ()
    contrasts: tuple[tuple[str, str], ...] = ()
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    object_id: str | None = None
    mask: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Listing:
    """records: one a picture, sorted by name. unlisted: pictures that metadata.jsonl omits.
    metadata: the raw bytes of metadata.jsonl (each sub-folder may have its own), or empty.
    left_out: files that look like pictures and are not read, for their suffix."""

    records: tuple[Record, ...]
    unlisted: tuple[str, ...]
    metadata: bytes
    left_out: tuple[str, ...] = ()

    def about_left_out(self) -> list[str]:
        """A warning, where there is something to be said."""
        if not self.left_out:
            return []
        return [
            f"{len(self.left_out)} files look like pictures and are left out for the end of their "
            f"name: {first_few(list(self.left_out))}; {_READ} are read: rename or convert them"
        ]


def list_pictures(source: Source, use_metadata: bool = True) -> Listing:
    """All pictures of a source. Part masks and the edited twins of pairs.jsonl are not pictures.

    use_metadata: False lists every picture file as if there were no metadata.jsonl.

    Raises:
        UsageError: no picture, or a metadata.jsonl that cannot be understood or that names
            pictures which are not there; one line with the line number.
    """
    names = source.names()
    pictures = [name for name in names if is_picture(name)]
    tables = [name for name in names if posixpath.basename(name) == METADATA]
    tables = tables if use_metadata and pictures else []
    raw, by_name, not_pictures = _tables(source, tables, names)

    others = [name for name in names if not is_picture(name)]
    others = [name for name in others if name not in by_name and name not in not_pictures]
    left_out = tuple(name for name in others if seems_picture(source, name))
    if not pictures:
        other = f" among its {len(names)} files" if names else ""
        such = f"; {first_few(list(left_out))} are not: convert them" if left_out else ""
        raise UsageError(f"{source.path} holds no picture{other}; {_READ} are read{such}")
    missing = sorted(by_name.keys() - set(names))
    if missing:
        raise UsageError(
            f"{METADATA} in {source.path} names {len(missing)} files that are not there: "
            f"{first_few(_with_hints(missing, names))}; remove their lines or add the files"
        )
    unlisted = [n for n in pictures if n not in by_name and n not in not_pictures]
    records = [by_name.get(name, Record(name)) for name in sorted({*by_name, *unlisted})]
    return Listing(tuple(records), tuple(unlisted) if tables else (), raw, left_out)


def _tables(
    source: Source, tables: list[str], names: list[str]
) -> tuple[bytes, dict[str, Record], set[str | None]]:
    """All metadata.jsonl: their bytes, records by file name, and files that are no pictures."""
    match = matcher(names)
    raw = b""
    by_name: dict[str, Record] = {}
    not_pictures: set[str | None] = set()
    for table in tables:
        root, where = posixpath.dirname(table), f"{source.path}/{table}"

        def place(name: str, root: str = root) -> str:
            return match(joined(root, name))

        content = _read(source, table)
        raw += content
        for number, row in _lines(content, where):
            record = _record(row, place, f"{where} line {number}")
            if record.file_name in by_name:
                raise UsageError(
                    f"{where} line {number} names {first_few([record.file_name])} a second time"
                )
            by_name[record.file_name] = record
            not_pictures |= {record.mask, *(region.mask for region in record.regions)}
        not_pictures |= _edited_files(source, place(PAIRS), names, place)
    return raw, by_name, not_pictures


def _with_hints(missing: list[str], names: list[str]) -> list[str]:
    """Each with the file that differs from it in capital letters alone."""
    folded = {name.casefold(): name for name in names}
    hints = [folded.get(name.casefold()) for name in missing]
    return [
        f"{name} ({hint} is)" if hint else name for name, hint in zip(missing, hints, strict=True)
    ]


def _read(source: Source, name: str) -> bytes:
    try:
        if source.size(name) > _MOST_BYTES:
            raise BrokenPicture(f"is longer than {_MOST_BYTES >> 20} MB")
        with source.open(name) as file:
            return file.read()
    except (BrokenPicture, OSError) as error:
        raise UsageError(f"{source.path}/{name} cannot be read ({error})") from error


def _lines(raw: bytes, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(io.BytesIO(raw.removeprefix(codecs.BOM_UTF8)), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{where} is not UTF-8 text ({error.reason}); save it as UTF-8"
            ) from error
        if not text.strip():
            continue
        try:
            row = parse_json(text)
        except ValueError as error:
            raise UsageError(
                f"{where} line {number} is not JSON ({error}); one object a line"
            ) from error
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise UsageError(f"{where} line {number} has no file_name; one object a line with it")
        yield number, row


def _record(row: dict[str, Any], place: Callable[[str], str], where: str) -> Record:
    texts = row.get("texts", [])
    text = row.get("text")
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{where}: text is {shown(text)}; allowed is a string")
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise UsageError(f"{where}: texts is {shown(texts)}; allowed is a list of strings")
    for key, said in (("text", [text or ""]), ("texts", texts)):
        for each in said:
            check(f"{where}: {key}", each, Text)
    captions = dict.fromkeys(c.strip() for c in [text or "", *texts] if c.strip())
    further = {k: v for k, v in row.items() if k not in _KNOWN and isinstance(v, str | int | float)}
    attributes = row.get("attributes", {})
    if not isinstance(attributes, dict):
        raise UsageError(f"{where}: attributes is {shown(attributes)}; allowed is an object")
    mask = row.get("mask")
    return Record(
        file_name=place(row["file_name"]),
        text=next(iter(captions), None),
        texts=tuple(captions),
        contrasts=_contrasts(row, where),
        azimuth_deg=_degrees(row, "azimuth_deg", where),
        elevation_deg=_degrees(row, "elevation_deg", where),
        object_id=None if row.get("object_id") is None else str(row["object_id"]),
        mask=place(mask) if isinstance(mask, str) else None,
        attributes={key: str(value) for key, value in {**further, **attributes}.items()},
        regions=regions_of(row, place, where),
    )


def _contrasts(row: dict[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    pairs = row.get("contrasts", [])
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) and t for t in pair)
        for pair in pairs
    ):
        raise UsageError(
            f"{where}: contrasts is {shown(pairs)}; allowed is a list of [true, false] captions"
        )
    for text in (text for pair in pairs for text in pair):
        check(f"{where}: contrasts", text, Text)
    return tuple((true, false) for true, false in pairs)


def _degrees(row: dict[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) < 1e9:
        raise UsageError(f"{where}: {key} is {shown(value)}; allowed is a number of degrees")
    return float(value)


def _edited_files(
    source: Source, pairs: str, names: list[str], place: Callable[[str], str]
) -> set[str | None]:
    if pairs not in names:
        return set()
    return {
        place(row[key])
        for _, row in _lines(_read(source, pairs), f"{source.path}/{pairs}")
        for key in ("edited_file_name", "edited_mask", "mask")
        if isinstance(row.get(key), str)
    }
