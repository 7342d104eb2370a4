"""The one door for pictures: of a data set, or a path, PIL image, array or tensor.

- Formats: PNG, JPEG, WebP, BMP, TIFF and GIF, told by their content; no other decoder is started.
- Frames: the first one; of a PIL image that at which it stands.
- Size: MOST_PIXELS, and JPEGs of twice as many, decoded at half their size.
- Orientation: EXIF's, as a number or as text.
- Levels, alpha and palettes: 8-bit RGB over a background, as ``levels.py`` says.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from clipnerf.data.arrays import check_sides, image_of_array
from clipnerf.data.levels import to_rgb
from clipnerf.data.source import BrokenPicture, File, Source, path_of, shortened, status
from clipnerf.errors import ClipNerfError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
OTHER_SUFFIXES = (
    ".jfif",
    ".jpe",
    ".pjpeg",
    ".apng",
    ".dib",
    ".avif",
    ".heic",
    ".heif",
    ".jxl",
    ".jp2",
    ".j2k",
    ".tga",
    ".ppm",
    ".pgm",
    ".psd",
    ".exr",
    ".hdr",
    ".ico",
    ".svg",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".raf",
    ".rw2",
)
"""Of pictures that are not read in data sets, and are mentioned."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS = 3 * 2**24
"""50 million; with them, in any format, the process stays below 1.5 GB."""

Picture = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor
"""A path, or the picture itself. Arrays and tensors are gray, RGB or RGBA, bytes or floats in
[0, 1]; channels last or first in arrays, first in tensors."""

_T = TypeVar("_T")
_PEEK = 4096
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_ENDINGS = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "MPO": b"\xff\xd9"}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LARGE = 2**24
_TURN = threading.RLock()
"""Files and pictures that are _LARGE are read one after another, whatever the number of threads."""


def is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def seems_picture(source: Source, name: str) -> bool:
    """Whether a file that is not read looks like a picture: by its suffix, or having none."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in OTHER_SUFFIXES if suffix else source.head(name, 12).startswith(_SIGNATURES)


def peek(source: Source, name: str) -> tuple[int, int]:
    """(width, height) after EXIF rotation, from the head and the tail of the file.

    Raises:
        BrokenPicture: no picture, or one that was cut off. Where the ending looks wrong, the
            picture is decoded to be sure.
    """
    with _open(source, name) as (picture, file):
        width, height = picture.size
        turned = _orientation(picture) >= 5
        ending = _ENDINGS.get(picture.format or "")
        if ending is not None:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _PEEK))
            complete = ending in file.read()
            file.seek(0)
            if not complete:
                with Image.open(file, formats=FORMATS) as again:
                    again.load()
        return (height, width) if turned else (width, height)


def decode(
    source: Source, name: str, size: int, background: float = 1.0
) -> tuple[UInt8[np.ndarray, "3 size size"], tuple[int, int]]:
    """A picture as a square of RGB, and its original (width, height).

    Alpha goes over `background` (gray level in [0, 1]); the middle square is cropped and resized to
    `size` pixels (bicubic, antialiased).

    Raises BrokenPicture.
    """
    return opened(source, name, lambda picture: square(picture, size, background))


def square(
    picture: Image.Image, size: int, background: float = 1.0
) -> tuple[UInt8[np.ndarray, "3 size size"], tuple[int, int]]:
    """What :func:`decode` makes of an upright picture. Raises BrokenPicture: see ``levels.py``."""
    rgb = to_rgb(picture, background)
    dimensions = rgb.size
    if dimensions != (size, size):
        side = min(dimensions)
        left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
        box = (left, top, left + side, top + side)
        rgb = rgb.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.array(rgb, dtype=np.uint8).transpose(2, 0, 1), dimensions


def opened(
    source: Source, name: str, work: Callable[[Image.Image], _T], reduced: int | None = None
) -> _T:
    """What ``work`` makes of the upright picture; it keeps none of it.

    Args:
        reduced: a JPEG may come smaller, with sides of this length or more.

    Raises BrokenPicture, for whatever a decoder or ``work`` raises.
    """
    with _open(source, name) as (picture, _):
        if reduced is not None:
            picture.draft("RGB", (reduced, reduced))
        elif picture.width * picture.height > MOST_PIXELS:
            picture.draft(None, (picture.width // 2, picture.height // 2))  # type: ignore[arg-type]
        upright = _ready(picture)
        if upright is not picture:
            picture.close()
        return work(upright)


def given(
    picture: object, what: str, work: Callable[[Image.Image], _T], reduced: int | None = None
) -> _T:
    """:func:`opened` for a picture that a person gives; see :data:`Picture`.

    Args:
        what: "the photo", "the mask", "the exemplar".

    Raises:
        UsageError: no picture, one that cannot be read, or a side below SMALLEST_SIDE; one line.
    """
    name = label(what, picture)

    def checked(image: Image.Image) -> _T:
        check_sides(name, image.height, image.width)
        return work(image)

    try:
        if isinstance(picture, str | os.PathLike):
            path = _file(picture, what)
            return opened(Source(path.parent), path.name, checked, reduced)
        with _in_words(lambda: False):
            return checked(_ready(_image(picture, what)))
    except BrokenPicture as error:
        raise UsageError(
            f"{name} {error}; give a PNG, JPEG, WebP, BMP, TIFF or GIF picture"
        ) from error


def label(what: str, picture: object) -> str:
    """What to call a picture in an error: its path says which it is."""
    if isinstance(picture, str | os.PathLike):
        return f"{what} '{shortened(os.fspath(picture))}'"
    return what


def _file(picture: object, what: str) -> Path:
    path = path_of(picture, what, "give a picture, such as photo.png")
    found = status(path)
    problem = found if isinstance(found, str) else "is a folder" if path.is_dir() else None
    if problem is None and not path.is_file():
        problem = "is no regular file"
    if problem is not None:
        raise UsageError(f"{label(what, picture)} {problem}; give a picture, such as photo.png")
    return path


def _image(picture: object, what: str) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, np.ndarray | Tensor):
        return image_of_array(picture)
    raise UsageError(
        f"{what} is of type {type(picture).__name__}; allowed: the path of a picture, a PIL image, "
        "a NumPy array or a tensor"
    )


def _ready(picture: Image.Image) -> Image.Image:
    """Decoded and upright; the same image where nothing has to be turned."""
    _check_pixels(picture)
    tiles = getattr(picture, "tile", None) or []
    halved = picture.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in tiles)
    picture.load()
    if halved and max(high for _, high in picture.getextrema()[:3]) <= 15:  # type: ignore
        # of 16 bits a channel Pillow keeps 8
        raise BrokenPicture("has 16 bits a channel and is black in the upper 12; save it as 8 bits")
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _check_pixels(picture: Image.Image) -> None:
    most = 2 * MOST_PIXELS if picture.format in ("JPEG", "MPO") else MOST_PIXELS
    if picture.width * picture.height > most:
        raise BrokenPicture(
            f"has too many pixels ({picture.width * picture.height:,}; allowed: {most:,})"
        )


def _orientation(picture: Image.Image) -> int:
    """EXIF's 1 to 8; 1 where it says none, or nothing that makes sense."""
    # Readers of EXIF raise whatever they like on bad bytes.
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
        value = value[0] if isinstance(value, tuple) else value
        text = value.decode("ascii") if isinstance(value, bytes) else str(value)
        return int(text.strip(" \0"))
    except Exception:
        return 1


@contextmanager
def _open(source: Source, name: str) -> Iterator[tuple[Image.Image, File]]:
    """A picture of a data set; whatever is raised inside is a BrokenPicture."""
    with ExitStack() as stack:
        stack.enter_context(_in_words(lambda: source.size(name) == 0))
        if source.size(name) > _LARGE:
            stack.enter_context(_TURN)
        file: File = source.open(name)
        stack.enter_context(file)
        picture = stack.enter_context(Image.open(file, formats=FORMATS))
        _check_pixels(picture)
        if picture.width * picture.height > _LARGE:
            stack.enter_context(_TURN)
        yield picture, file


@contextmanager
def _in_words(is_empty: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except ClipNerfError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BrokenPicture("is empty" if is_empty() else "is not a picture") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"(\d+) pixels\)", str(error))
        said = f"{int(pixels[1]):,}; " if pixels else ""
        raise BrokenPicture(f"has too many pixels ({said}allowed: {MOST_PIXELS:,})") from error
    except PermissionError as error:
        raise BrokenPicture("cannot be read: permission denied") from error
    except FileNotFoundError as error:
        raise BrokenPicture("is no longer there, or a link to nothing") from error
    # Decoders raise whatever they like on bad bytes.
    except Exception as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise BrokenPicture(f"cannot be decoded ({reason})") from error
