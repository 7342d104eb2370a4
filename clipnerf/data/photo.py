"""One photograph of any size: its pixels, and what separates the object from its background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from clipnerf.data.pictures import BrokenPicture, File, Source, opened, peek, to_rgb
from clipnerf.errors import UsageError

_T = TypeVar("_T")

SMALLEST_SIDE = 8
"""Pixels; below, a picture shows no object."""
LARGEST_SIDE = 1024
"""Pixels; larger pictures are reduced as they are read, as no generator here sees more."""


@dataclass(frozen=True)
class Photo:
    """A picture as it is.

    Attributes:
        rgb: in [0, 1], over white where it is transparent.
        alpha: in [0, 1]; None where the file has none, or none that hides anything.
    """

    rgb: Float[Tensor, "3 height width"]
    alpha: Float[Tensor, "1 height width"] | None


def read_photo(path: str | Path) -> Photo:
    """A picture file; EXIF rotation is honoured, grey and 16 bits become RGB.

    Raises:
        UsageError: no file, no picture, too many pixels, or a side below SMALLEST_SIDE; one line.
    """

    def work(picture: Image.Image, file: File) -> tuple[np.ndarray, np.ndarray | None]:
        picture.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
        picture = ImageOps.exif_transpose(picture)
        alpha = None
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            alpha = np.asarray(_reduced(picture.getchannel("A")), dtype=np.float32) / 255
        rgb = np.asarray(_reduced(to_rgb(picture, 1.0)), dtype=np.float32) / 255
        return rgb, alpha

    rgb, alpha = _read(path, "the photo", work)
    if alpha is not None and bool((alpha > 0.98).all()):
        alpha = None
    return Photo(
        torch.from_numpy(rgb.transpose(2, 0, 1).copy()),
        None if alpha is None else torch.from_numpy(alpha.copy())[None],
    )


def read_mask(path: str | Path, height: int, width: int) -> Float[Tensor, "1 height width"]:
    """A mask of the shape of a photo: 1 where the object is.

    Raises:
        UsageError: no picture, or of other proportions than the photo.
    """

    def work(picture: Image.Image, file: File) -> np.ndarray:
        grey = ImageOps.exif_transpose(picture).convert("L")
        if abs(grey.width * height - grey.height * width) > 0.02 * grey.width * height:
            raise UsageError(
                f"the mask '{path}' is {grey.width} x {grey.height} pixels and the photo of other "
                "proportions; give a mask that lies on the photo"
            )
        grey = grey.resize((width, height), Image.Resampling.BOX)
        return np.asarray(grey, dtype=np.float32) / 255

    return torch.from_numpy(_read(path, "the mask", work).copy())[None]


def _read(path: str | Path, what: str, work: Callable[[Image.Image, File], _T]) -> _T:
    path = Path(path)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{what} '{path}' {problem}; give a picture, such as photo.png")
    source = Source(path.parent)
    try:
        width, height = peek(source, path.name)
        if min(width, height) < SMALLEST_SIDE:
            raise UsageError(
                f"{what} '{path}' is {width} x {height} pixels; allowed: {SMALLEST_SIDE} or more a "
                "side; give a larger picture"
            )
        return opened(source, path.name, work)
    except BrokenPicture as error:
        raise UsageError(
            f"{what} '{path}' {error}; give a PNG, JPEG, WebP, BMP, TIFF or GIF picture"
        ) from error


def _reduced(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    if side <= LARGEST_SIDE:
        return picture
    size = tuple(max(round(s * LARGEST_SIDE / side), 1) for s in picture.size)
    return picture.resize(size, Image.Resampling.BOX)  # type: ignore[arg-type]
