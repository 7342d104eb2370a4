"""Masks and label maps: read from files, laid into the square of their picture, kept as bits."""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageChops
from torch import Tensor

from clipnerf.data.levels import alpha_of, eight_bits, is_deep, to_rgb
from clipnerf.data.photo import reduced
from clipnerf.data.pictures import given, label, opened
from clipnerf.data.source import BrokenPicture, Source, first_few
from clipnerf.errors import UsageError, warn

_OPAQUE = 250
"""Of 255: alpha from which nothing is hidden, and gray from which a mask is white."""
_GRAY = 8
"""Most that the channels of what is gray lie apart, after a lossy format."""


def read_mask(
    mask: object, height: int | None = None, width: int | None = None
) -> Float[Tensor, "1 height width"]:
    """How much of each pixel is meant, 0 to 1.

    Alpha tells, where there is one that hides something. Else of two values (levels, indices of a
    palette, black and a color) the higher one is meant, floats in [0, 1] are shares, and soft gray
    goes from 0 to white. Everything else, such as a label map, is refused.

    Args:
        mask: a path, PIL image, array or tensor; see :data:`clipnerf.data.pictures.Picture`.
        height, width: of the photo that it lies on; by default its own, reduced as photos are.

    Raises:
        UsageError: no picture, no mask, or of other proportions than the photo; it names the mask.
    Warns:
        UserWarning: it covers nothing, or everything.
    """
    name = label("the mask", mask)

    def work(picture: Image.Image) -> np.ndarray:
        shares = _shares(picture, name)
        if height is None or width is None:
            shares = reduced(shares)
        elif abs(shares.width * height - shares.height * width) > 0.02 * shares.width * height:
            raise UsageError(
                f"{name} is {shares.width} x {shares.height} pixels and the photo of other "
                "proportions; give a mask that lies on the photo"
            )
        else:
            shares = shares.resize((width, height), Image.Resampling.BOX)
        return np.array(shares, dtype=np.float32) / (1 if shares.mode == "F" else 255)

    found = given(mask, "the mask", work)
    covers = "nothing" if not found.any() else "everything" if found.min() > 0.98 else None
    if covers:
        warn(f"{name} covers {covers}; white, or opaque, is what is meant")
    return torch.from_numpy(found)[None]


def _shares(picture: Image.Image, name: str) -> Image.Image:
    """The mask as gray of 8 bits, or as floats in [0, 1]."""
    alpha = alpha_of(picture)
    hides = alpha is not None and alpha.getextrema()[0] < _OPAQUE  # type: ignore[operator]
    gray = alpha if alpha is not None and hides else _gray(picture, name)
    if is_deep(gray):
        return _deep_shares(np.asarray(gray), name)
    levels = [level for level, pixels in enumerate(gray.histogram()) if pixels]
    if len(levels) <= 2:
        table = [255 * (level == levels[-1] > 0) for level in range(256)]
        return gray.point(table)
    if levels[-1] < _OPAQUE:
        raise _no_mask(name, levels[-1])
    return gray


def _deep_shares(levels: np.ndarray, name: str) -> Image.Image:
    low, high = levels.min(), levels.max()
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0):
        raise UsageError(f"{name} has values below 0 or no numbers; give black and white")
    if levels.dtype.kind == "f" and high <= 1.001:
        return Image.fromarray(np.clip(levels, 0, 1))
    if not ((levels != low) & (levels != high)).any():
        return Image.fromarray(((levels == high) & (high > 0)).astype(np.uint8) * np.uint8(255))
    full = 255 if high <= 255 else 65535
    if not _OPAQUE / 255 * full <= high <= full:
        raise _no_mask(name, high)
    return Image.fromarray(eight_bits(levels, full))


def _gray(picture: Image.Image, name: str) -> Image.Image:
    """Its levels; of a colored palette the indices, of black and one color 0 and 255."""
    if is_deep(picture) or picture.mode in ("1", "L"):
        return picture if is_deep(picture) else picture.convert("L")
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    red, green, blue = rgb.split()
    apart = [ImageChops.difference(*two) for two in ((red, green), (green, blue))]
    gray = all(each.getextrema()[1] <= _GRAY for each in apart)  # type: ignore[operator]
    if picture.mode == "P":
        used = sum(pixels > 0 for pixels in picture.histogram())
        if gray and len(rgb.getcolors(256) or ()) == used:
            return rgb.convert("L")
        if used > 2:
            raise _no_mask(name, picture.getextrema()[1])
        return Image.frombytes("L", picture.size, picture.tobytes())
    if gray:
        return rgb.convert("L")
    brightest = _brightest(rgb)
    colors = [color for _, color in rgb.getcolors(2) or ()]
    if len(colors) == 1 or (0, 0, 0) in colors:
        return brightest.point([0] + [255] * 255)
    raise _no_mask(name, brightest.getextrema()[1], "is colored")


def _brightest(rgb: Image.Image) -> Image.Image:
    """The largest channel of each pixel, alpha aside."""
    two = ImageChops.lighter(rgb.getchannel("R"), rgb.getchannel("G"))
    return ImageChops.lighter(two, rgb.getchannel("B"))


def _no_mask(name: str, largest: object, what: str = "has more than two values") -> UsageError:
    return UsageError(
        f"{name} {what}, the largest {largest:g}; give black and white, soft gray up to white, or "
        "alpha"
    )


def read_labels(source: Source, name: str) -> UInt8[np.ndarray, "height width"]:
    """A label map: palette indices, gray levels, or, of a color picture, the largest channel.

    What is transparent is 0; where all else is black, what is opaque is 255.

    Raises BrokenPicture: no picture, or labels that are no whole numbers from 0 to 255.
    """

    def work(picture: Image.Image) -> np.ndarray:
        alpha = alpha_of(picture) if {"A", "a"} & set(picture.getbands()) else None
        if is_deep(picture):
            return _deep_labels(np.asarray(picture))
        if picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
            picture = picture.convert("L" if picture.mode in ("LA", "La") else "RGB")
        picture = _brightest(picture) if picture.mode in ("RGB", "RGBA") else picture
        labels = np.array(picture, dtype=np.uint8)
        if alpha is not None:
            opaque = np.asarray(alpha) > 0
            labels[~opaque] = 0
            if not opaque.all() and not labels.any():
                labels[opaque] = 255
        return labels

    return opened(source, name, work)


def _deep_labels(levels: np.ndarray) -> np.ndarray:
    low, high = levels.min(), levels.max()
    if high > 255 and not ((levels != 0) & (levels != high)).any():
        return (levels == high).astype(np.uint8) * np.uint8(255)
    # also false where there are no numbers
    if not (0 <= low and high <= 255 and (levels == np.floor(levels)).all()):
        raise BrokenPicture(
            f"has labels from {low:g} to {high:g}; allowed: whole numbers from 0 to 255"
        )
    return levels.astype(np.uint8)


def select(
    labels: UInt8[np.ndarray, "height width"], values: tuple[int, ...]
) -> Bool[np.ndarray, "height width"]:
    """The pixels of these values; without values, all that are not 0."""
    table = np.zeros(256, dtype=bool)
    table[list(values) if values else slice(1, None)] = True
    return table[labels]


def about_covers(nothing: list[str], everything: list[str]) -> list[str]:
    """Warnings of regions, by their masks' names, that are certainly not what was meant."""
    return [
        f"{len(found)} regions cover {what}: {first_few(found, 3)}"
        for found, what in ((nothing, "nothing"), (everything, "their whole picture"))
        if found
    ]


def read_square(
    source: Source, name: str, size: int
) -> tuple[UInt8[np.ndarray, "3 size size"], tuple[int, int]]:
    """A whole picture in a square, white beside it, and its original (width, height).

    Nothing is cropped, or a phrase could lose what it refers to. Raises BrokenPicture.
    """

    def work(picture: Image.Image) -> tuple[np.ndarray, tuple[int, int]]:
        rgb = to_rgb(picture, 1.0)
        square = _padded(rgb, size, (255, 255, 255), Image.Resampling.BICUBIC)
        return np.array(square, dtype=np.uint8).transpose(2, 0, 1), rgb.size

    return opened(source, name, work)


def square_mask(mask: Bool[np.ndarray, "height width"], size: int) -> Bool[np.ndarray, "size size"]:
    """The mask laid into the square as `read_square` lays its picture.

    A pixel belongs to it where at least half of its area does.
    """
    if mask.shape == (size, size):
        return mask
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(_padded(picture, size, 0, Image.Resampling.BOX)) >= 128


def _padded(picture: Image.Image, size: int, beside, resampling) -> Image.Image:
    if picture.size == (size, size):
        return picture
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), resampling)
    square = Image.new(picture.mode, (size, size), beside)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return square
