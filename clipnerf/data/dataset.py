"""A set of pictures of one category, ready for training.

Everything that could stop a run half-way is looked for when the set is opened. A small set is
decoded into memory once; a large one streams through DataLoader workers, in the same order.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clipnerf.data.pictures import decode, peek
from clipnerf.data.records import Listing, Record, list_pictures
from clipnerf.data.source import BrokenPicture, Source, first_few
from clipnerf.errors import UsageError, warn

MEMORY_BUDGET = 2 * 1024**3
"""Bytes of decoded pictures (uint8) that may stay in memory."""

DEVICE_SHARE = 0.25
"""Share of a GPU's free memory that decoded pictures may take there."""

_WORKERS = 4
_RETRIES = 8


class PictureDataset(Dataset):
    """Pictures of a folder or zip, square and of one size, with what metadata.jsonl says.

    records: one a picture, in the order of the indices.
    fingerprint: 16 hex digits that change with the pictures' files or with metadata.jsonl.
    in_memory: whether the decoded pictures are held.
    device: where batches are, once :meth:`to` was called; else the CPU.
    """

    def __init__(
        self,
        path: object,
        size: int,
        *,
        background: float = 1.0,
        in_memory: bool | None = None,
        skip_broken: bool = False,
    ) -> None:
        """Opens the set and looks at every file.

        Args:
            path: folder (searched with its sub-folders) or zip (read in place).
            size: width and height in pixels to which pictures are cropped and resized.
            background: gray level in [0, 1] behind pictures with alpha; 1 is white.
            in_memory: decode everything now; None decides by MEMORY_BUDGET.
            skip_broken: leave broken pictures out with a warning, rather than refuse the set.

        Raises:
            UsageError: no such path, no picture, broken pictures (the first five named, with the
                count), a metadata.jsonl that does not fit the pictures.
        """
        if size < 1:
            raise UsageError(f"size is {size}; allowed is 1 or more pixels")
        self.size = size
        self.background = background
        self._source = Source(path)
        self.path = self._source.path
        listing = list_pictures(self._source)
        if in_memory is None:
            in_memory = len(listing.records) * 3 * size * size <= MEMORY_BUDGET
        self.in_memory = in_memory
        self.device = torch.device("cpu")
        self.records: list[Record] = list(listing.records)
        self._pixels: UInt8[Tensor, "pictures 3 size size"] | None = None
        dimensions = self._open_all(skip_broken)
        self._warn(listing, dimensions)
        self.fingerprint = self._fingerprint(listing.metadata)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 size size"]:
        """A picture, RGB, 0 to 255."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        if self._pixels is not None:
            return self._pixels[index]
        return torch.from_numpy(self._decode(self.records[index].file_name))

    def to(self, device: torch.device) -> "PictureDataset":
        """Gives batches on ``device`` from now on.

        Decoded pictures move to a GPU as a whole if they take no more than DEVICE_SHARE of its free
        memory; else batches are sent there one after another. Nothing waits for the GPU.
        """
        self.device = device
        if device.type == "cuda" and self._pixels is not None:
            free, _ = torch.cuda.mem_get_info(device)
            if self._pixels.numel() <= DEVICE_SHARE * free:
                self._pixels = self._pixels.to(device)
            else:
                self._pixels = self._pixels.pin_memory()
        return self

    def batch(self, indices: Sequence[int] | Tensor) -> Float[Tensor, "batch 3 size size"]:
        """The pictures at `indices`, float32 in [0, 1], on :attr:`device`."""
        index = torch.as_tensor(indices, dtype=torch.long)
        if self._pixels is not None:
            pixels = self._pixels[index.to(self._pixels.device, non_blocking=True)]
        else:
            pixels = torch.stack([self[i] for i in index.tolist()])
        return self._as_batch(pixels)

    def _as_batch(self, pixels: UInt8[Tensor, "batch 3 size size"]) -> Tensor:
        """Numbers in [0, 1] on the device; bytes are what crosses to it."""
        if self.device.type == "cuda" and pixels.device.type == "cpu":
            pixels = pixels.pin_memory()
        return pixels.to(self.device, non_blocking=True).float().div_(255)

    def batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int | None = None,
    ) -> Iterator[Float[Tensor, "batch 3 size size"]]:
        """Shuffled batches for ever; the batch of step k depends on (seed, k) alone.

        A run that resumes at `start_step` therefore sees what the uninterrupted one would have
        seen. Every picture comes once before any comes twice.

        Args:
            batch_size: pictures of one step on this rank.
            rank, world_size: this process's share of a distributed step.
            workers: processes that decode where the set is not in memory; None is at most 4.
        """
        plan = self.plan(batch_size, seed, start_step, rank=rank, world_size=world_size)
        if self._pixels is not None:
            for indices in plan:
                yield self.batch(indices)
        if workers is None:
            workers = min(_WORKERS, os.cpu_count() or 1)
        loader = DataLoader(
            self,
            batch_sampler=plan,  # type: ignore[arg-type]
            num_workers=workers,
            # The loader seeds its workers from here; the global stream must not move.
            generator=torch.Generator().manual_seed(0),
            prefetch_factor=4 if workers else None,
        )
        for pixels in loader:
            yield self._as_batch(pixels)

    def plan(
        self, batch_size: int, seed: int, start_step: int = 0, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[list[int]]:
        """The indices behind `batches`; for a trainer that needs captions as well."""
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; allowed is 1 or more")
        return _shuffled(len(self), batch_size, seed, start_step, rank, world_size)

    def directions(self) -> Float[Tensor, "pictures 3"]:
        """Where each picture's camera stands as seen from the origin, of length 1.

        Raises UsageError that names the first pictures without a pose.
        """
        records = self.records
        without = [r.file_name for r in records if None in (r.azimuth_deg, r.elevation_deg)]
        if without:
            raise UsageError(
                f"{len(without)} of {len(self)} pictures in {self.path} have no pose: "
                f"{first_few(without)}; give each a line with 'azimuth_deg' and 'elevation_deg' in "
                "metadata.jsonl, or leave data.poses out"
            )
        angles = torch.tensor([[r.azimuth_deg, r.elevation_deg] for r in records]).deg2rad()
        azimuth, elevation = angles.float().unbind(1)
        flat = elevation.cos()
        return torch.stack((flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()), dim=1)

    def captions(self) -> list[tuple[str, ...]]:
        """All captions of each picture.

        Raises UsageError that names the first pictures without one.
        """
        without = [record.file_name for record in self.records if not record.texts]
        if without:
            raise UsageError(
                f"{len(without)} of {len(self)} pictures in {self.path} have no caption: "
                f"{first_few(without)}; give each a line with 'text' in metadata.jsonl"
            )
        return [record.texts for record in self.records]

    def _decode(self, name: str) -> np.ndarray:
        return decode(self._source, name, self.size, self.background)[0]

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        """What DataLoader workers call. A picture that broke since it was looked at is replaced."""
        return [self._surely(index) for index in indices]

    def _surely(self, index: int) -> Tensor:
        for further in range(_RETRIES):
            name = self.records[(index + further) % len(self)].file_name
            try:
                return torch.from_numpy(self._decode(name))
            except BrokenPicture as error:
                warn(f"{name} {error}; the next picture is used instead")
        raise UsageError(
            f"{_RETRIES} pictures after {self.records[index].file_name} cannot be decoded; "
            f"run 'clipnerf data check {self.path}'"
        )

    def _open_all(self, skip_broken: bool) -> list[tuple[int, int]]:
        """Decodes or peeks at all pictures; returns (width, height) of those that are kept."""

        def look(name: str) -> tuple[np.ndarray | None, tuple[int, int]] | BrokenPicture:
            try:
                if self.in_memory:
                    return decode(self._source, name, self.size, self.background)
                return None, peek(self._source, name)
            except BrokenPicture as error:
                return error

        names = [record.file_name for record in self.records]
        shape = (len(names), 3, self.size, self.size)
        pixels = torch.empty(shape, dtype=torch.uint8) if self.in_memory else None
        kept: list[int] = []
        broken: list[str] = []
        dimensions: list[tuple[int, int]] = []
        with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
            for index, result in enumerate(pool.map(look, names)):
                if isinstance(result, BrokenPicture):
                    broken.append(f"{names[index]} {result}")
                    continue
                if pixels is not None:
                    pixels[len(kept)] = torch.from_numpy(result[0])
                kept.append(index)
                dimensions.append(result[1])
        if broken:
            what = f"{len(broken)} of {len(names)} pictures in {self.path} are broken: "
            if not skip_broken or not kept:
                raise UsageError(
                    f"{what}{first_few(broken)}; remove them, or leave them out with skip_broken"
                )
            warn(f"{what}{first_few(broken)}; they are left out")
            self.records = [self.records[index] for index in kept]
        if pixels is not None:
            self._pixels = pixels[: len(kept)]
        return dimensions

    def _warn(self, listing: Listing, dimensions: list[tuple[int, int]]) -> None:
        sizes = Counter(dimensions)
        if len(sizes) > 1 or any(width != height for width, height in sizes):
            named = [f"{w}x{h} ({count})" for (w, h), count in sizes.most_common()]
            warn(
                f"pictures in {self.path} are of {len(sizes)} sizes: {first_few(named, 3)}; "
                f"they are cropped to the middle square and resized to {self.size}x{self.size}"
            )
        small = sum(min(size) < self.size for size in dimensions)
        if small:
            warn(
                f"{small} of {len(dimensions)} pictures in {self.path} are smaller than "
                f"{self.size} pixels and are enlarged; a smaller size loses nothing"
            )
        if listing.unlisted:
            warn(
                f"{len(listing.unlisted)} pictures in {self.path} have no line in metadata.jsonl: "
                f"{first_few(list(listing.unlisted))}; they are used without a caption"
            )
        for text in listing.about_left_out():
            warn(f"in {self.path}, {text}")

    def _fingerprint(self, metadata: bytes) -> str:
        digest = hashlib.sha256(metadata)
        for record in self.records:
            digest.update(f"\n{record.file_name}\n".encode(errors="surrogateescape"))
            digest.update(self._source.identity(record.file_name))
        return digest.hexdigest()[:16]


def _shuffled(
    total: int, batch_size: int, seed: int, start_step: int, rank: int, world_size: int
) -> Iterator[list[int]]:
    """Consecutive slices of an endless row of permutations, one permutation an epoch."""
    epoch, order = -1, np.empty(0, dtype=np.int64)
    step = start_step
    while True:
        first = (step * world_size + rank) * batch_size
        indices = []
        for position in range(first, first + batch_size):
            if position // total != epoch:
                epoch = position // total
                # RandomState's stream is frozen: the same order with every version of NumPy.
                order = np.random.RandomState([seed % 2**32, epoch]).permutation(total)
            indices.append(int(order[position % total]))
        yield indices
        step += 1
