"""Masks and label maps: read from files, laid into the square of their picture, kept as bits."""

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps

from clipnerf.data.pictures import Source, opened, to_rgb


def read_labels(source: Source, name: str) -> UInt8[np.ndarray, "height width"]:
    """A label map: palette indices, grey levels, or, of a colour picture, the largest channel.

    Raises BrokenPicture.
    """

    def work(picture: Image.Image, _file) -> np.ndarray:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("LA", "La", "RGBA", "RGBa", "CMYK", "YCbCr"):
            picture = picture.convert("L" if picture.mode in ("LA", "La") else "RGB")
        pixels = np.asarray(picture)
        pixels = pixels.max(axis=2) if pixels.ndim == 3 else pixels
        return np.clip(pixels, 0, 255).astype(np.uint8)

    return opened(source, name, work)


def select(
    labels: UInt8[np.ndarray, "height width"], values: tuple[int, ...]
) -> Bool[np.ndarray, "height width"]:
    """The pixels of these values; without values, all that are not 0."""
    table = np.zeros(256, dtype=bool)
    table[list(values) if values else slice(1, None)] = True
    return table[labels]


def read_square(
    source: Source, name: str, size: int
) -> tuple[UInt8[np.ndarray, "3 size size"], tuple[int, int]]:
    """A whole picture in a square, white beside it, and its original (width, height).

    Nothing is cropped, or a phrase could lose what it refers to. Raises BrokenPicture.
    """

    def work(picture: Image.Image, _file) -> tuple[np.ndarray, tuple[int, int]]:
        rgb = to_rgb(ImageOps.exif_transpose(picture), 1.0)
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
