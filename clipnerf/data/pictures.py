"""Where pictures lie (a folder, or a zip read in place), and how one is decoded."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from clipnerf.errors import ClipNerfError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")

_T = TypeVar("_T")
File = io.BufferedReader | io.BytesIO

_PEEK = 4096
_ENDINGS = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "MPO": b"\xff\xd9"}


class BrokenPicture(ClipNerfError):
    """A file that is named like a picture and cannot be decoded; the message is the reason."""


class Source:
    """The files below a folder or inside a zip, by their names relative to its root.

    Hidden files and what macOS adds to zips are left out. Safe to use in DataLoader workers: each
    process opens the zip for itself.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises UsageError where `path` is missing, or is neither a folder nor a zip."""
        self.path = Path(path)
        self._zip: tuple[int, zipfile.ZipFile] | None = None
        if self.path.is_dir():
            self.is_zip = False
        elif self.path.is_file() and zipfile.is_zipfile(self.path):
            self.is_zip = True
        elif self.path.exists():
            raise UsageError(f"{path} is neither a folder nor a zip; give a folder of pictures")
        else:
            raise UsageError(f"{path} does not exist; give a folder or a zip of pictures")

    def names(self) -> list[str]:
        """All files, sorted."""
        if self.is_zip:
            found = [info.filename for info in self._archive().infolist() if not info.is_dir()]
        else:
            # os.walk and not rglob: linked folders of a big collection are followed.
            found = [
                (Path(folder) / file).relative_to(self.path).as_posix()
                for folder, _, files in os.walk(self.path, followlinks=True)
                for file in files
            ]
        return sorted(name for name in found if not _hidden(name))

    def open(self, name: str) -> File:
        """A seekable file. From a zip it is unpacked into memory, which checks its CRC."""
        if not self.is_zip:
            return (self.path / name).open("rb")
        try:
            return io.BytesIO(self._archive().read(name))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as err:
            raise BrokenPicture(f"cannot be unpacked ({err})") from err

    def size(self, name: str) -> int:
        """Length in bytes."""
        if self.is_zip:
            return self._archive().getinfo(name).file_size
        return (self.path / name).stat().st_size

    def identity(self, name: str) -> bytes:
        """A cheap witness of a file's contents: its length, and its CRC or its two ends."""
        if self.is_zip:
            info = self._archive().getinfo(name)
            return f"{info.file_size} {info.CRC}".encode()
        with self.open(name) as file:
            head = file.read(_PEEK)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _PEEK))
            return f"{length} ".encode() + head + file.read()

    def _archive(self) -> zipfile.ZipFile:
        if self._zip is None or self._zip[0] != os.getpid():
            try:
                self._zip = (os.getpid(), zipfile.ZipFile(self.path))
            except (zipfile.BadZipFile, OSError) as error:
                raise UsageError(f"{self.path} is not a readable zip ({error})") from error
        return self._zip[1]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_zip": None}


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def peek(source: Source, name: str) -> tuple[int, int]:
    """(width, height) after EXIF rotation, from the head and the tail of the file.

    Raises:
        BrokenPicture: no picture, or one that was cut off. Where the ending looks wrong, the
            picture is decoded to be sure.
    """

    def look(picture: Image.Image, file: File) -> tuple[int, int]:
        width, height = picture.size
        # Orientations 5 to 8 lie on their side.
        turned = picture.getexif().get(0x0112, 1) >= 5
        ending = _ENDINGS.get(picture.format or "")
        if ending is not None:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _PEEK))
            complete = ending in file.read()
            file.seek(0)
            if not complete:
                with Image.open(file) as again:
                    again.load()
        return (height, width) if turned else (width, height)

    return opened(source, name, look)


def decode(
    source: Source, name: str, size: int, background: float = 1.0
) -> tuple[UInt8[np.ndarray, "3 size size"], tuple[int, int]]:
    """A picture as a square of RGB, and its original (width, height).

    EXIF rotation is honoured, alpha goes over `background` (grey level in [0, 1]); the middle
    square is cropped and resized to `size` pixels (bicubic, antialiased).

    Raises BrokenPicture.
    """

    def work(picture: Image.Image, file: File) -> tuple[np.ndarray, tuple[int, int]]:
        rgb = to_rgb(ImageOps.exif_transpose(picture), background)
        dimensions = rgb.size
        if dimensions != (size, size):
            side = min(dimensions)
            left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
            box = (left, top, left + side, top + side)
            rgb = rgb.resize((size, size), Image.Resampling.BICUBIC, box=box)
        return np.array(rgb, dtype=np.uint8).transpose(2, 0, 1), dimensions

    return opened(source, name, work)


def opened(source: Source, name: str, work: Callable[[Image.Image, File], _T]) -> _T:
    """What ``work`` makes of an opened picture; whatever a decoder raises is a BrokenPicture."""
    try:
        with source.open(name) as file, Image.open(file) as picture:
            return work(picture, file)
    except ClipNerfError:
        raise
    except Image.UnidentifiedImageError as error:
        empty = source.size(name) == 0
        raise BrokenPicture("is empty" if empty else "is not a picture") from error
    except Image.DecompressionBombError as error:
        raise BrokenPicture("has too many pixels") from error
    except PermissionError as error:
        raise BrokenPicture("cannot be read: permission denied") from error
    # Decoders raise whatever they like on bad bytes.
    except Exception as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise BrokenPicture(f"cannot be decoded ({reason})") from error


def to_rgb(picture: Image.Image, background: float) -> Image.Image:
    """8-bit RGB; alpha goes over a grey level in [0, 1]."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        grey = np.asarray(picture, dtype=np.float64) / 65535
        picture = Image.fromarray(np.uint8(np.clip(grey, 0, 1) * 255 + 0.5))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        grey_level = round(255 * background)
        behind = Image.new("RGBA", picture.size, (grey_level, grey_level, grey_level, 255))
        picture = Image.alpha_composite(behind, picture)
    return picture.convert("RGB")
