"""Writes a folder of pictures of a procedural category, with captions, poses, masks and pairs.

    00000.png …              the pictures
    mask-00000.png …         which part each pixel shows (palette: 0 background, then PARTS)
    edit-00000.png …         the same object and camera with one attribute changed, and its mask
    regions-00000.png …      finer labels, which the phrases in metadata.jsonl refer to
    metadata.jsonl           one line a picture: file_name, text, texts, poses, attributes, …
    pairs.jsonl              one line an edit: which attribute, from what, to what, in words
    synthesize.json          what was asked for; a folder of other settings is not mixed into

Picture i depends on (category, size, seed, views, i) alone. An interrupted call is completed by
the same call; metadata.jsonl comes last, so a folder that has it is whole.
"""

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from clipnerf.data.procedural import category as find_category
from clipnerf.data.procedural import regions_of as find_regions
from clipnerf.data.procedural.parts import Object
from clipnerf.data.procedural.render import FOV_DEG, OVERSAMPLING, render
from clipnerf.data.source import shortened
from clipnerf.errors import UsageError
from clipnerf.io.atomic import atomic_write, cannot_write, sweep_temporaries, writable_dir
from clipnerf.training.progress import Progress

TEXTS_A_PICTURE = 6
ELEVATION_DEG = (0.0, 50.0)

_PALETTE = (255, 255, 255, 31, 119, 180, 255, 127, 14, 44, 160, 44, 214, 39, 40, 148, 103, 189)
# Well apart for neighbors; as many as a label map can have, or the indices would be cut.
_REGION_PALETTE = (255, 255, 255, *(c * i % 226 for i in range(1, 256) for c in (67, 131, 199)))
_PNG_END = b"IEND\xaeB`\x82"

# One random stream a purpose, so that no purpose shifts the numbers of another.
_POSE, _TEXT, _EDIT, _REGIONS, _CONTRASTS = 1, 2, 3, 4, 5


def synthesize(
    category: str,
    count: int,
    size: int = 64,
    seed: int = 0,
    out: str | Path = "out",
    *,
    views: int = 1,
    pairs: int | bool = 0,
    masks: bool = False,
    regions: bool = False,
    fov_deg: float = FOV_DEG,
    oversampling: int = OVERSAMPLING,
) -> Path:
    """Writes `count` pictures and returns the folder.

    Args:
        category: name of a procedural category, such as "chairs".
        count: number of pictures.
        size: width and height of a picture in pixels, 8 to 1024.
        seed: 0 to 2^32 - 1; another seed, other objects.
        out: the folder; made where it is missing, completed where an earlier call stopped.
        views: pictures of each object, from independent random cameras.
        pairs: how many of the first pictures get an edited twin (True: all), with masks of both.
        masks: write the part masks of all pictures.
        regions: write fine label maps, and phrases that refer to pieces of each picture.
        fov_deg: field of view, degrees, 10 to 60; a generator's camera has to have the same.
        oversampling: rays along each side of a pixel, 1 to 8. 1 for `pretrain`, whose fakes have
            one ray a pixel as well.

    Raises:
        UsageError: a value out of range, or a folder that holds something else.
        ClipNerfError: the folder cannot be written, or the disk is full.
    """
    module = find_category(category)
    pairs = count if pairs is True else int(pairs)
    _check("count", count, 1, 10_000_000)
    _check("size", size, 8, 1024)
    _check("seed", seed, 0, 2**32 - 1)
    _check("views", views, 1, 10_000)
    _check("pairs", pairs, 0, count)
    _check("fov_deg", fov_deg, 10, 60)
    _check("oversampling", oversampling, 1, 8)
    out = Path(out)
    optics = {"fov_deg": fov_deg, "oversampling": oversampling}
    settings = {"category": category, "size": size, "seed": seed, "views": views}
    # not keys of every folder, so that those made before are still completed
    usual = {"regions": False, "fov_deg": FOV_DEG, "oversampling": OVERSAMPLING}
    more = {"regions": regions, **optics}
    _claim(out, settings | {key: more[key] for key in more if more[key] != usual[key]}, count)
    named = find_regions(category) if regions else None

    records, pair_records = [], []
    with Progress(count, desc=f"synthesize {category}", unit="img") as progress:
        for index in range(count):
            view = _View(module, seed, index, views, optics)
            record = view.record()
            if masks or index < pairs:
                record["mask"] = f"mask-{index:05d}.png"
            place = out / f"regions-{index:05d}.png" if named is not None else None
            files = out / record["file_name"], _beside(out, record.get("mask")), place
            _picture(module, view.object, view, size, files, named)
            if named is not None and place is not None:
                record["regions"] = view.regions(named, place)
            if index < pairs:
                pair, edited = view.edit()
                files = out / pair["edited_file_name"], out / pair["edited_mask"], None
                _picture(module, edited, view, size, files)
                pair_records.append(pair)
            records.append(record)
            progress.update(1)
    if pair_records:
        _write_lines(out / "pairs.jsonl", pair_records)
    _write_lines(out / "metadata.jsonl", records)
    return out


class _View:
    """Picture `index` before it is drawn: its object and its camera."""

    def __init__(
        self, module: ModuleType, seed: int, index: int, views: int, optics: dict[str, Any]
    ) -> None:
        self.optics = optics
        self._module, self._seed, self._index = module, seed, index
        self._object_index = index // views
        self.object: Object = module.sample(np.random.RandomState([seed, self._object_index]))
        pose = np.random.RandomState([seed, index, _POSE])
        # Rounded here, so that the picture is that of the angles in the file.
        self.azimuth_deg = round(pose.uniform(0.0, 360.0), 2) % 360.0
        self.elevation_deg = round(pose.uniform(*ELEVATION_DEG), 2)

    def record(self) -> dict[str, Any]:
        rng = np.random.RandomState([self._seed, self._index, _TEXT])
        contrast = np.random.RandomState([self._seed, self._index, _CONTRASTS])
        texts = [self._module.caption(self.object.attributes, rng) for _ in range(TEXTS_A_PICTURE)]
        return {
            "file_name": f"{self._index:05d}.png",
            "text": texts[0],
            "texts": texts,
            "contrasts": self._module.contrasts(self.object.attributes, contrast),
            "azimuth_deg": self.azimuth_deg,
            "elevation_deg": self.elevation_deg,
            "object_id": f"{self._seed}-{self._object_index}",
            "attributes": self.object.attributes,
        }

    def regions(self, named: ModuleType, path: Path) -> list[dict[str, Any]]:
        """What metadata.jsonl says of the label map at `path`."""
        with Image.open(path) as picture:
            labels, pixels = np.unique(np.asarray(picture), return_counts=True)
        visible = {int(k): int(n) for k, n in zip(labels, pixels, strict=True) if k > 0}
        rng = np.random.RandomState([self._seed, self._index, _REGIONS])
        return [
            {"text": each.text, "mask": path.name, "values": list(each.labels)}
            if each.labels
            else {"text": each.text, "mask": None}
            for each in named.phrases(self.object, visible, rng)
        ]

    def edit(self) -> tuple[dict[str, Any], Object]:
        rng = np.random.RandomState([self._seed, self._index, _EDIT])
        by_key = self._module.possible_edits(self.object)
        key = list(by_key)[rng.randint(len(by_key))]
        value = by_key[key][rng.randint(len(by_key[key]))]
        edited = self._module.edit(self.object, key, value)
        # The "color" of a chair is that of its seat and its back together.
        known_as = key if key in self.object.attributes else "seat_color"
        record = {
            "file_name": f"{self._index:05d}.png",
            "edited_file_name": f"edit-{self._index:05d}.png",
            "mask": f"mask-{self._index:05d}.png",
            "edited_mask": f"edit-mask-{self._index:05d}.png",
            "attribute": key,
            "from": self.object.attributes[known_as],
            "to": value,
            "text": self._module.caption(edited.attributes, rng, about=[key]),
            "edited_attributes": edited.attributes,
        }
        return record, edited


def _check(name: str, value: int | float, low: int | float, high: int | float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}; allowed is {low} to {high}")


def _claim(out: Path, settings: dict[str, Any], count: int) -> None:
    """Makes sure that the folder is new, or was begun with the same settings."""
    writable_dir(out)
    manifest = out / "synthesize.json"
    if manifest.exists():
        found = _text(manifest).strip()
        if found != json.dumps(settings):
            raise UsageError(
                f"{out} holds pictures made with other settings ({shortened(found)}); give another "
                "folder"
            )
        sweep_temporaries(out)
        _refuse_fewer(out, count)
        return
    if any(path.name[0] != "." for path in out.iterdir()):
        raise UsageError(f"{out} is not empty and was not made by synthesize; give another folder")
    with atomic_write(manifest) as temporary:
        temporary.write_text(json.dumps(settings) + "\n")


def _refuse_fewer(out: Path, count: int) -> None:
    metadata = out / "metadata.jsonl"
    present = _text(metadata).count("\n") if metadata.exists() else 0
    if present > count:
        raise UsageError(
            f"{out} already holds {present} pictures, count is {count}; "
            f"ask for {present} or more, or give another folder"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); remove it, or give another folder"
        ) from error


def _beside(out: Path, name: str | None) -> Path | None:
    return None if name is None else out / name


def _picture(
    module: ModuleType,
    thing: Object,
    view: _View,
    size: int,
    files: tuple[Path, Path | None, Path | None],
    named: ModuleType | None = None,
) -> None:
    """Draws a picture, and the label maps that are asked for, unless the files are there.

    Args:
        files: of the picture, of the parts' mask, of the regions' labels.
        named: the category's regions.
    """
    if all(file is None or _whole(file) for file in files):
        return
    labels = None
    if named is not None:
        labels = [named.REGIONS.index(named.region_of(part)) + 1 for part in thing.parts]
    pose = view.azimuth_deg, view.elevation_deg
    drawn = render(thing.parts, *pose, size, module.PARTS, labels, **view.optics)
    _save(files[0], Image.fromarray(drawn.rgb))
    maps = ((files[1], drawn.mask, _PALETTE), (files[2], drawn.regions, _REGION_PALETTE))
    for file, label, palette in maps:
        if file is not None and label is not None:
            picture = Image.fromarray(label)
            picture.putpalette(palette)
            _save(file, picture)


def _whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            return file.read() == _PNG_END
    except OSError:
        return False


def _save(path: Path, picture: Image.Image) -> None:
    """A rename without a flush: thousands of flushes would cost more than drawing again does.

    What a power cut truncates, `_whole` finds in the next call.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        picture.save(temporary, format="PNG", compress_level=6)
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
