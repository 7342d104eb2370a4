"""One photograph of any size: its pixels, and what separates the object from its background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from clipnerf.data.levels import alpha_of, to_rgb
from clipnerf.data.pictures import given, square

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


def read_photo(picture: object) -> Photo:
    """A path, PIL image, array or tensor; see :data:`clipnerf.data.pictures.Picture`.

    Raises:
        UsageError: no file, no picture, too many pixels, or a side below 8 pixels; one line.
    """

    def work(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
        alpha = alpha_of(image)
        return _floats(to_rgb(image, 1.0)), None if alpha is None else _floats(alpha)

    rgb, alpha = given(picture, "the photo", work, reduced=LARGEST_SIDE)
    if alpha is not None and bool((alpha > 0.98).all()):
        alpha = None
    return Photo(
        torch.from_numpy(rgb.transpose(2, 0, 1).copy()),
        None if alpha is None else torch.from_numpy(alpha.copy())[None],
    )


def read_square(picture: object, size: int, what: str) -> Float[Tensor, "1 3 size size"]:
    """The middle square of a picture as pictures of a data set are read, over white, in [0, 1].

    Args:
        picture: as for :func:`read_photo`.
        what: it is, for errors: "the exemplar".

    Raises:
        UsageError: as :func:`read_photo`.
    """
    pixels, _ = given(picture, what, lambda image: square(image, size))
    return torch.from_numpy(pixels.astype(np.float32))[None] / 255


def reduced(picture: Image.Image) -> Image.Image:
    """At most LARGEST_SIDE pixels a side."""
    side = max(picture.size)
    if side <= LARGEST_SIDE:
        return picture
    size = tuple(max(round(s * LARGEST_SIDE / side), 1) for s in picture.size)
    return picture.resize(size, Image.Resampling.BOX)  # type: ignore[arg-type]


def _floats(picture: Image.Image) -> np.ndarray:
    return np.asarray(reduced(picture), dtype=np.float32) / 255
