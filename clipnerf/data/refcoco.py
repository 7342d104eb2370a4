"""RefCOCO, RefCOCO+ and RefCOCOg: COCO's instances.json, refs as JSON, and a folder of images.

The refs are published as a pickle, which could run anything when it is read: it is never opened
here, and the error says how to make JSON of it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipnerf.config.documents import parse_json
from clipnerf.data.coco_masks import rasterized
from clipnerf.data.source import Source, matcher
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Referred:
    """A picture. phrases: (text, ann_id). annotations: ann_id -> segmentation."""

    file_name: str
    phrases: tuple[tuple[str, Hashable], ...]
    annotations: dict[Hashable, Any]

    def masks(self, dimensions: tuple[int, int]) -> dict[Hashable, np.ndarray]:
        """ann_id -> mask, for the picture's (width, height). Raises UsageError."""
        found = {}
        for key, segmentation in self.annotations.items():
            try:
                found[key] = rasterized(segmentation, *dimensions)
            except (ValueError, TypeError, OverflowError) as error:
                raise UsageError(f"annotation {key} of {self.file_name}: {error}") from error
        return found


def is_layout(path: str | Path) -> bool:
    """Whether it is a folder in this layout."""
    return (Path(path) / "instances.json").is_file() or any(Path(path).glob("refs*.p"))


def read(
    path: str | Path, split: str | None = None, images: str | Path | None = None
) -> tuple[Source, list[Referred]]:
    """Where the pictures are, and those that phrases refer to, sorted by name.

    split: only refs of it ("train", "val", "testA", …). images: by default PATH/images.

    Raises UsageError: files that are missing or not of this layout, a split that no ref has.
    """
    path = Path(path)
    refs = _json(_refs_file(path))
    instances = _json(path / "instances.json")
    try:
        pictures = {each["id"]: str(each["file_name"]) for each in instances["images"]}
        shapes = {each["id"]: each["segmentation"] for each in instances["annotations"]}
        splits = sorted({str(ref["split"]) for ref in refs})
        if split is not None and split not in splits:
            raise UsageError(f"{path} has no split '{split}'; choose one of {', '.join(splits)}")
        by_name: dict[str, list[tuple[str, Hashable]]] = {}
        for ref in refs:
            if split is not None and ref["split"] != split:
                continue
            phrases = by_name.setdefault(pictures[ref["image_id"]], [])
            for sentence in ref["sentences"]:
                text = str(sentence.get("sent") or sentence.get("raw") or "").strip()
                if not text:
                    raise UsageError(f"ref {ref['ref_id']} in {path} has an empty sentence")
                phrases.append((text, ref["ann_id"]))
        found = [
            Referred(name, tuple(phrases), {key: shapes[key] for _, key in phrases})
            for name, phrases in sorted(by_name.items())
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not RefCOCO's layout: {error} is missing or wrong") from error
    source = Source(images or path / "images")
    there = source.names()
    match = matcher(there)
    found = [replace(each, file_name=match(each.file_name)) for each in found]
    missing = sorted({each.file_name for each in found} - set(there))
    if missing:
        raise UsageError(f"{len(missing)} pictures are not in {source.path}, such as {missing[0]}")
    return source, found


def _refs_file(path: Path) -> Path:
    found = sorted(path.glob("refs*.json"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found)
        raise UsageError(f"{path} holds {names}; leave one refs file in the folder")
    pickled = sorted(path.glob("refs*.p"))
    if not pickled:
        raise UsageError(f"{path} has instances.json, but no refs.json")
    name = pickled[0]
    raise UsageError(
        f"{name} is a pickle, which can run code and is not read; if you trust it, convert it: "
        f"python -c \"import json, pickle; json.dump(pickle.load(open('{name}', 'rb')), "
        f"open('{name.with_suffix('.json')}', 'w'))\""
    )


def _json(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error})") from error
