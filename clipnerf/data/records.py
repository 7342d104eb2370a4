"""metadata.jsonl: what is known of each picture (the Hugging Face image-folder convention)."""

import math
import posixpath
from dataclasses import dataclass, field
from typing import Any

from clipnerf.config.documents import parse_json
from clipnerf.data.pictures import BrokenPicture, Source, is_picture
from clipnerf.data.regions import Region, joined, regions_of
from clipnerf.errors import UsageError

METADATA = "metadata.jsonl"
PAIRS = "pairs.jsonl"

_KNOWN = ("file_name", "text", "texts", "azimuth_deg", "elevation_deg", "object_id", "mask",
          "attributes", "regions", "phrases", "values")  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One picture and what is known of it.

    file_name: relative to the root of the folder or zip.
    text: its caption; texts: all its captions, `text` first (empty where there is none).
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
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    object_id: str | None = None
    mask: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Listing:
    """records: one a picture, sorted by name. unlisted: pictures that metadata.jsonl omits.
    metadata: the raw bytes of metadata.jsonl (each sub-folder may have its own), or empty."""

    records: tuple[Record, ...]
    unlisted: tuple[str, ...]
    metadata: bytes


def list_pictures(source: Source, use_metadata: bool = True) -> Listing:
    """All pictures of a source. Part masks and the edited twins of pairs.jsonl are not pictures.

    use_metadata: False lists every picture file as if there were no metadata.jsonl.

    Raises:
        UsageError: no picture, or a metadata.jsonl that cannot be understood or that names
            pictures which are not there; one line with the line number.
    """
    names = source.names()
    pictures = [name for name in names if is_picture(name)]
    if not pictures:
        other = f" among its {len(names)} files" if names else ""
        raise UsageError(
            f"{source.path} holds no picture{other}; png, jpg, webp, bmp, tif and gif are read"
        )
    tables = [name for name in names if posixpath.basename(name) == METADATA]
    if not tables or not use_metadata:
        return Listing(tuple(Record(name) for name in pictures), (), b"")
    raw = b""
    by_name: dict[str, Record] = {}
    not_pictures: set[str | None] = set()
    for table in tables:
        root, where = posixpath.dirname(table), f"{source.path}/{table}"
        content = _read(source, table)
        raw += content
        for number, row in _lines(content, where):
            record = _record(row, root, f"{where} line {number}")
            if record.file_name in by_name:
                raise UsageError(f"{where} line {number} names {record.file_name} a second time")
            by_name[record.file_name] = record
            not_pictures |= {record.mask, *(region.mask for region in record.regions)}
        not_pictures |= _edited_files(source, posixpath.join(root, PAIRS), names)

    missing = sorted(by_name.keys() - set(names))
    if missing:
        raise UsageError(
            f"{METADATA} in {source.path} names {len(missing)} files that are not there: "
            f"{first_few(missing)}; remove their lines or add the files"
        )
    unlisted = [n for n in pictures if n not in by_name and n not in not_pictures]
    records = [by_name.get(name, Record(name)) for name in sorted({*by_name, *unlisted})]
    return Listing(tuple(records), tuple(unlisted), raw)


def first_few(things: list[str], count: int = 5) -> str:
    """ "a, b, c, d, e and 7 more" """
    rest = len(things) - count
    return ", ".join(things[:count]) + (f" and {rest} more" if rest > 0 else "")


def _read(source: Source, name: str) -> bytes:
    try:
        with source.open(name) as file:
            return file.read()
    except (BrokenPicture, OSError) as error:
        raise UsageError(f"{source.path}/{name} cannot be read ({error})") from error


def _lines(raw: bytes, where: str) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise UsageError(
                f"{where} line {number} is not JSON ({error}); one object a line"
            ) from error
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise UsageError(f"{where} line {number} has no file_name; one object a line with it")
        rows.append((number, row))
    return rows


def _record(row: dict[str, Any], root: str, where: str) -> Record:
    texts = row.get("texts", [])
    text = row.get("text")
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{where}: text is {text!r}; allowed is a string")
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise UsageError(f"{where}: texts is {texts!r}; allowed is a list of strings")
    captions = dict.fromkeys(c.strip() for c in [text or "", *texts] if c.strip())
    further = {k: v for k, v in row.items() if k not in _KNOWN and isinstance(v, str | int | float)}
    attributes = row.get("attributes", {})
    if not isinstance(attributes, dict):
        raise UsageError(f"{where}: attributes is {attributes!r}; allowed is an object")
    mask = row.get("mask")
    return Record(
        file_name=joined(root, row["file_name"]),
        text=next(iter(captions), None),
        texts=tuple(captions),
        azimuth_deg=_degrees(row, "azimuth_deg", where),
        elevation_deg=_degrees(row, "elevation_deg", where),
        object_id=None if row.get("object_id") is None else str(row["object_id"]),
        mask=joined(root, mask) if isinstance(mask, str) else None,
        attributes={key: str(value) for key, value in {**further, **attributes}.items()},
        regions=regions_of(row, root, where),
    )


def _degrees(row: dict[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{where}: {key} is {value!r}; allowed is a number of degrees")
    return float(value)


def _edited_files(source: Source, pairs_name: str, names: list[str]) -> set[str | None]:
    if pairs_name not in names:
        return set()
    rows = _lines(_read(source, pairs_name), f"{source.path}/{pairs_name}")
    root = posixpath.dirname(pairs_name)
    return {
        joined(root, row[key])
        for _, row in rows
        for key in ("edited_file_name", "edited_mask", "mask")
        if isinstance(row.get(key), str)
    }
