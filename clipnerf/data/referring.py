"""Pictures, phrases, and the mask of what each phrase refers to."""

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from clipnerf.data import refcoco
from clipnerf.data.masks import about_covers, read_labels, read_square, select, square_mask
from clipnerf.data.records import list_pictures
from clipnerf.data.source import BrokenPicture, Source, path_of, status
from clipnerf.errors import UsageError, warn


@dataclass(frozen=True)
class Sample:
    """A phrase. picture: its index. absent: no pixel of the picture, at this size, is meant."""

    picture: int
    text: str
    absent: bool


@dataclass(frozen=True)
class _Entry:
    """name: of the picture. azimuth: of the camera, radians, or NaN. phrases: (text, key of its
    mask or None). masks: of a picture of (width, height), key -> mask."""

    name: str
    azimuth: float
    phrases: tuple[tuple[str, Hashable], ...]
    masks: Callable[[tuple[int, int]], dict[Hashable, np.ndarray]]


class ReferringDataset:
    """Pictures, phrases and their masks, square and in memory as bytes.

    Pictures lie whole in a square, white beside them; masks alike. Pictures without a phrase are
    left out.

    pictures: UInt8 [pictures, 3, size, size]. names: their files. samples: all phrases.
    of_picture: indices into `samples`, of each picture.
    azimuth: of each picture's camera, radians; NaN where metadata.jsonl does not say.
    fingerprint: 16 hex digits that change with pictures, phrases, masks or azimuths.
    """

    def __init__(self, source: Source, entries: Sequence[_Entry], size: int) -> None:
        self.size = size
        self.names = tuple(entry.name for entry in entries)
        self.azimuth: Float[Tensor, " pictures"] = torch.tensor([each.azimuth for each in entries])
        self.pictures: UInt8[Tensor, "pictures 3 size size"] = torch.empty(
            (len(entries), 3, size, size), dtype=torch.uint8
        )
        samples: list[Sample] = []
        bits: list[np.ndarray] = [np.packbits(np.zeros(size * size, dtype=bool))]
        self._row: list[int] = []  # of each sample, into the bits; 0 is the empty mask
        nothing: list[str] = []
        everything: list[str] = []
        for index, entry in enumerate(entries):
            try:
                pixels, dimensions = read_square(source, entry.name, size)
            except BrokenPicture as error:
                raise UsageError(
                    f"{entry.name} in {source.path} {error}; remove it or its line"
                ) from error
            self.pictures[index] = torch.from_numpy(pixels)
            rows: dict[Hashable, int] = {None: 0}
            for key, mask in entry.masks(dimensions).items():
                if not mask.any() or mask.all():
                    (everything if mask.any() else nothing).append(
                        f"{key[0] if isinstance(key, tuple) else key} of {entry.name}"
                    )
                small = square_mask(mask, size)
                rows[key] = len(bits) if small.any() else 0
                if small.any():
                    bits.append(np.packbits(small))
            for text, key in entry.phrases:
                samples.append(Sample(index, text, rows[key] == 0))
                self._row.append(rows[key])
        for text in about_covers(nothing, everything):
            warn(f"in {source.path}, {text}")
        self._bits = np.stack(bits)
        self.samples: tuple[Sample, ...] = tuple(samples)
        self.of_picture: list[list[int]] = [[] for _ in entries]
        for number, sample in enumerate(samples):
            self.of_picture[sample.picture].append(number)
        self.fingerprint = self._fingerprint()

    @staticmethod
    def open(
        path: object,
        size: int,
        limit: int | None = None,
        *,
        split: str | None = None,
        images: str | Path | None = None,
    ) -> "ReferringDataset":
        """A folder or zip whose metadata.jsonl has regions, or a folder in RefCOCO's layout.

        Args:
            size: width and height in pixels.
            limit: only the first so many pictures that have phrases.
            split, images: of RefCOCO: only refs of that split; where the pictures are.

        Raises:
            UsageError: no phrase, a broken picture, a mask that is missing, broken, or of another
                size than its picture.
        """
        if size < 1:
            raise UsageError(f"size is {size}; allowed is 1 or more pixels")
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}; allowed is 1 or more pictures")
        path = path_of(path, "the set of pictures", "give a folder or a zip of pictures")
        if not isinstance(status(path), str) and refcoco.is_layout(path):
            source, found = refcoco.read(path, split, images)
            entries = [
                _Entry(each.file_name, math.nan, each.phrases, each.masks) for each in found[:limit]
            ]
        else:
            source = Source(path)
            entries = _entries(source, limit)
        if not entries:
            raise UsageError(
                f"{path} has no phrase; give lines of metadata.jsonl 'regions', as data/README.md "
                "says, or make a set with 'clipnerf data synthesize chairs --regions true'"
            )
        return ReferringDataset(source, entries, size)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self.pictures.numpy().tobytes())
        digest.update(self._bits.tobytes())
        digest.update(repr((self.names, self.samples, self._row, self.azimuth.tolist())).encode())
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "batch 3 size size"]:
        """The pictures at `indices`, float32 in [0, 1]."""
        return self.pictures[torch.as_tensor(indices, dtype=torch.long)].float().div_(255)

    def mask(self, sample_index: int) -> Bool[Tensor, "size size"]:
        """What a phrase refers to."""
        return self.masks([sample_index])[0, 0] > 0

    def masks(self, sample_indices: Sequence[int] | Tensor) -> Float[Tensor, "batch 1 size size"]:
        """What the phrases refer to, 0 or 1."""
        indices = torch.as_tensor(sample_indices, dtype=torch.long).tolist()
        rows = self._bits[[self._row[index] for index in indices]]
        pixels = np.unpackbits(rows, axis=1, count=self.size**2)
        return torch.from_numpy(pixels).float().view(-1, 1, self.size, self.size)


def _entries(source: Source, limit: int | None) -> list[_Entry]:
    records = [each for each in list_pictures(source).records if each.regions][:limit]
    names = set(source.names())

    def entry(record) -> _Entry:
        keys = {(r.mask, r.values): None for r in record.regions if r.mask is not None}

        def masks(dimensions: tuple[int, int]) -> dict[Hashable, np.ndarray]:
            maps = {
                name: labels_of(source, record.file_name, name, dimensions, names)
                for name in {name for name, _ in keys}
            }
            return {(name, values): select(maps[name], values) for name, values in keys}

        phrases = tuple(
            (r.text, None if r.mask is None else (r.mask, r.values)) for r in record.regions
        )
        azimuth = math.nan if record.azimuth_deg is None else math.radians(record.azimuth_deg)
        return _Entry(record.file_name, azimuth, phrases, masks)

    return [entry(record) for record in records]


def labels_of(
    source: Source, picture: str, mask: str, dimensions: tuple[int, int], names: set[str]
) -> UInt8[np.ndarray, "height width"]:
    """The label map of a picture of (width, height).

    Raises UsageError: it is not among `names`, is broken, or of another size.
    """
    if mask not in names:
        raise UsageError(f"{mask}, a mask of {picture} in {source.path}, is not there; add it")
    try:
        labels = read_labels(source, mask)
    except BrokenPicture as error:
        raise UsageError(f"{mask}, a mask of {picture} in {source.path}, {error}") from error
    height, width = labels.shape
    if (width, height) != dimensions:
        raise UsageError(
            f"{mask} is {width}x{height}, but its picture {picture} is "
            f"{dimensions[0]}x{dimensions[1]}; give the mask the size of the picture"
        )
    return labels
