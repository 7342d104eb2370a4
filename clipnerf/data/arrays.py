"""Pictures as NumPy arrays and tensors."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from clipnerf.data.levels import eight_bits, full_scale
from clipnerf.data.source import BrokenPicture
from clipnerf.errors import UsageError

SMALLEST_SIDE = 8
"""Pixels; below, a picture shows no object."""
_CHANNELS = (1, 3, 4)


def is_rendered(picture: object) -> bool:
    """Whether it is an array or a tensor of floats, as a generator draws pictures."""
    if isinstance(picture, Tensor):
        return picture.is_floating_point()
    return isinstance(picture, np.ndarray) and picture.dtype.kind == "f"


def rendered_pictures(picture: Any) -> Float[Tensor, "batch 3 height width"]:
    """Floats in [0, 1] as they are, alpha over white.

    Args:
        picture: a tensor [channels, height, width] or [batch, channels, height, width]; of arrays
            also [height, width], and with channels last.

    Raises:
        UsageError: another shape, or values outside [0, 1]; the line goes on after its name.
    """
    kind = "a tensor" if isinstance(picture, Tensor) else "an array"
    # a copy of an array: it may be read-only, or run backwards
    values = picture if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture))
    values = values.detach().float()
    if isinstance(picture, np.ndarray):
        values = values[None] if values.ndim == 2 else values
        if values.ndim >= 3 and values.shape[-3] not in _CHANNELS:
            values = values.movedim(-1, -3)
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or values.shape[1] not in _CHANNELS or len(values) == 0:
        raise UsageError(
            f"image is {kind} of shape {tuple(picture.shape)}; a picture is [3, height, width], "
            "several are [batch, 3, height, width]"
        )
    check_sides("image", values.shape[2], values.shape[3])
    # what is drawn sums to 1 only up to rounding
    if not (bool(torch.isfinite(values).all()) and -0.01 <= float(values.min())):
        raise UsageError("image has values below 0 or no numbers; a picture is in [0, 1]")
    if float(values.max()) > 1.01:
        raise UsageError(
            f"image has values up to {float(values.max()):g}; a picture is in [0, 1]: "
            "divide 8-bit levels by 255"
        )
    values = values.clamp(0, 1)
    if values.shape[1] == 4:
        values = 1 - (1 - values[:, :3]) * values[:, 3:]
    return values.expand(-1, 3, -1, -1)


def image_of_array(picture: Tensor | np.ndarray) -> Image.Image:
    """One picture as a PIL image: of 8 bits, or of gray levels as they are.

    Raises BrokenPicture: no numbers, no shape of a picture, or levels that fit no depth.
    """
    levels = _plain(picture)
    if levels.dtype == np.uint8:
        return Image.fromarray(levels)
    if levels.ndim == 2 and levels.dtype.kind == "f":
        return Image.fromarray(levels.astype(np.float32))
    scale = full_scale(levels)
    if levels.ndim == 2:
        return Image.fromarray(levels.astype(np.int32))
    return Image.fromarray(eight_bits(levels, scale))


def check_sides(what: str, height: int, width: int) -> None:
    """Raises UsageError for a side below SMALLEST_SIDE."""
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(
            f"{what} is {width} x {height} pixels; allowed: {SMALLEST_SIDE} or more a side; "
            "give a larger picture"
        )


def _plain(picture: Tensor | np.ndarray) -> np.ndarray:
    """[height, width], or with 3 or 4 channels last; bytes for truth values.

    Raises BrokenPicture.
    """
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu()
        array = (picture.float() if picture.is_floating_point() else picture).numpy()
    else:
        array = np.asarray(picture)
    if array.dtype.kind not in "buif":
        raise BrokenPicture(f"is an array of {array.dtype}; allowed: numbers")
    array = array[0] if array.ndim == 4 and len(array) == 1 else array
    first = array.ndim == 3 and array.shape[0] in _CHANNELS
    if first and (isinstance(picture, Tensor) or array.shape[2] not in _CHANNELS):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise BrokenPicture(
            f"is of shape {tuple(picture.shape)}; allowed: [height, width], or that with 3 "
            "channels, or 4 with alpha"
        )
    array = np.ascontiguousarray(array)
    return array.astype(np.uint8) * np.uint8(255) if array.dtype.kind == "b" else array
