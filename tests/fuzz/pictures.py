"""Pictures of all modes, sizes, depths and formats, whole and damaged, through every door."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipnerf.data.masks import read_labels, read_mask
from clipnerf.data.photo import read_photo, read_square
from clipnerf.data.pictures import Source, decode, peek
from tests.data.pictures_of_all_kinds import FILES, MASKS, NO_MASKS, NO_PICTURES
from tests.fuzz.damage import damage
from tests.fuzz.watch import command, read
from tests.fuzz.world import World

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "ICO", "TGA", "PCX", "JPEG2000")
_SUFFIXES = (".png", ".jpg", ".tif", ".gif", ".webp", ".bmp", ".PNG", "")


def picture(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """A file that is, or was, or seems to be a picture."""
    kind = draw.choice(("any", "any", "known", "known", "bomb"))
    if kind == "known":
        known: dict[str, Any] = {
            **FILES,
            **MASKS,
            **{name: made[0] for name, made in {**NO_PICTURES, **NO_MASKS}.items()},
        }
        about = draw.choice(sorted(known))
        path = known[about](folder)
    elif kind == "bomb":
        about, raw = _bomb(draw)
        path = folder / "bomb.png"
        path.write_bytes(raw)
    else:
        about, raw = _any(draw)
        path = folder / f"picture{draw.choice(_SUFFIXES)}"
        path.write_bytes(raw)
    if kind != "bomb" and draw.random() < 0.5 and path.stat().st_size:
        more, raw = damage(path.read_bytes(), draw, world.kinds)
        path.write_bytes(raw)
        about = f"{about}, {more}"
    return about, _through_doors(world, path)


def _through_doors(world: World, path: Path) -> list[str]:
    source, faults = Source(path.parent), []
    doors = {
        "photo": lambda: read_photo(path).rgb.numpy(),
        "exemplar": lambda: read_square(path, 16, "the exemplar").numpy(),
        "mask": lambda: read_mask(path).numpy(),
        "labels": lambda: read_labels(source, path.name) / 255,
        "data set": lambda: decode(source, path.name, 16)[0] / 255,
        "peek": lambda: np.array(peek(source, path.name)) * 0,
    }
    for door, work in doors.items():
        found, said = read(work)
        faults += [f"{door}: {each}" for each in said]
        if found is not None and not (np.isfinite(found) & (found >= 0) & (found <= 1)).all():
            faults.append(f"{door}: levels outside of 0 to 1")
    faults += command(["data", "check", str(path.parent)]).faults
    return faults


def _any(draw: random.Random) -> tuple[str, bytes]:
    """A whole picture."""
    mode, kind = draw.choice(_MODES), draw.choice(_FORMATS)
    size = draw.choice(((1, 1), (7, 9), (16, 16), (40, 8), (3000, 1), (33, 500)))
    noise = np.random.default_rng(draw.randrange(2**32))
    levels = noise.integers(0, 256, (size[1], size[0], 3), np.uint8)
    made = Image.fromarray(levels).convert("L" if mode in ("I;16", "I", "F") else mode)
    if mode in ("I;16", "I", "F"):
        scale = draw.choice((0.001, 1.0, 16.0, 257.0, -1.0, float("nan")))
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = Image.fromarray((np.asarray(made) * scale).astype(dtype))
    file = io.BytesIO()
    try:
        made.save(file, format=kind)
    except (OSError, ValueError, KeyError):  # not every format takes every mode
        file = io.BytesIO()
        made.save(file, format="TIFF")
        kind = "TIFF"
    return f"{kind}, {mode}, {size}", file.getvalue()


def _bomb(draw: random.Random) -> tuple[str, bytes]:
    """A small PNG that says that it is a large picture; its pixels are there, are not, or lie."""
    width, height = draw.choice(((2**31 - 1, 2**31 - 1), (60_000, 60_000), (7000, 7000), (0, 5)))
    depth, color = draw.choice(((1, 0), (8, 2), (16, 6), (8, 3)))

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pixels = zlib.compress(bytes(draw.choice((0, 1000, 10_000_000))))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))
    return f"a bomb of {width} x {height}, {depth} bits, color {color}", (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (text if draw.random() < 0.3 else b"")
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )
