"""One small picture, and the same mask, in every way that files and arrays can hold them."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16

GRAY = np.full((SIDE, SIDE), 255, np.uint8)
GRAY[2:10, 3:6] = 51
GRAY[12:14, 3:12] = 0
"""A figure that is another after any turn, on white; its levels survive palettes and 8 bits."""

FIGURE = GRAY < 255
SHARES = GRAY / 255.0


def png(levels: np.ndarray, color_type: int, transparent: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write in color."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _rgb() -> Image.Image:
    return Image.fromarray(np.repeat(GRAY[..., None], 3, 2))


def _alpha(mode: str) -> Image.Image:
    """White is transparent, and hides a color."""
    rgba = np.dstack([np.where(FIGURE, GRAY, 90)] * 3 + [FIGURE * 255]).astype(np.uint8)
    return Image.fromarray(rgba).convert(mode)


def _indexed() -> Image.Image:
    picture = Image.fromarray(np.digitize(GRAY, [30, 100]).astype(np.uint8))
    picture.putpalette([0, 0, 0, 51, 51, 51, 255, 255, 255])
    return picture


def _exif(value: int | str) -> bytes:
    """EXIF with this orientation alone; text as no library writes it."""
    if isinstance(value, int):
        entry = struct.pack("<HHIHH", 0x0112, 3, 1, value, 0) + bytes(4)
    else:
        text = value.encode() + b"\0"
        inside = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack("<I", 26)
        entry = struct.pack("<HHI", 0x0112, 2, len(text)) + inside + bytes(4) + text
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry


UNTURN = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a, -1),
}
"""How a picture lies in a file of EXIF's orientation."""


def lying(orientation: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(UNTURN[orientation](GRAY)))


def _deep(dtype, scale: float) -> Image.Image:
    return Image.fromarray((SHARES * scale).astype(dtype))


def _save(picture, suffix: str = ".png", **options):
    def write(folder: Path) -> Path:
        path = folder / f"picture{suffix}"
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            picture.save(path, **options)
        return path

    return write


_other = Image.new("RGB", (SIDE, SIDE), "red")
_color16 = np.repeat((SHARES * 65535)[..., None], 3, 2)
_key = struct.pack(">HHH", 90 * 257, 90 * 257, 90 * 257)

FILES = {
    "L": _save(Image.fromarray(GRAY)),
    "RGB": _save(_rgb()),
    "RGBA": _save(_alpha("RGBA")),
    "LA": _save(_alpha("LA")),
    "palette": _save(_indexed()),
    "palette, transparent index": _save(_indexed(), transparency=2),
    "palette, alpha of each index": _save(_indexed(), transparency=bytes([255, 255, 0])),
    "transparent gray": _save(Image.fromarray(np.where(FIGURE, GRAY, 90)), transparency=90),
    "transparent color": _save(_alpha("RGB"), transparency=(90, 90, 90)),
    "16 bits": _save(_deep(np.uint16, 65535)),
    "12 bits in 16": _save(_deep(np.uint16, 4095)),
    "8 bits in 16": _save(_deep(np.uint16, 255)),
    "16 bits, transparent level": _save(
        png(np.where(FIGURE, SHARES * 65535, 9000), 0, struct.pack(">H", 9000))
    ),
    "16 bits of color": _save(png(_color16, 2)),
    "16 bits of color, transparent": _save(
        png(np.where(FIGURE[..., None], _color16, 90 * 257), 2, _key)
    ),
    "16 bits of color and alpha": _save(png(np.dstack([_color16, FIGURE * 65535]), 6)),
    "32-bit integers of 8": _save(_deep(np.int32, 255), ".tif"),
    "32-bit integers of 12": _save(_deep(np.int32, 4095), ".tif"),
    "32-bit integers of 16": _save(_deep(np.int32, 65535), ".tif"),
    "floats to 1": _save(_deep(np.float32, 1), ".tif"),
    "floats to 255": _save(_deep(np.float32, 255), ".tif"),
    "floats to 65535": _save(_deep(np.float32, 65535), ".tif"),
    "CMYK": _save(_rgb().convert("CMYK"), ".tif"),
    "JPEG": _save(_rgb(), ".jpg", quality=100, subsampling=0),
    "WebP": _save(_rgb(), ".webp", lossless=True),
    "WebP with alpha": _save(_alpha("RGBA"), ".webp", lossless=True, exact=True),
    "BMP": _save(_rgb(), ".bmp"),
    "GIF": _save(_indexed(), ".gif"),
    "TIFF": _save(_rgb(), ".tiff", compression="tiff_lzw"),
    "GIF of two frames": _save(_rgb(), ".gif", save_all=True, append_images=[_other]),
    "TIFF of two pages": _save(_rgb(), ".tif", save_all=True, append_images=[_other]),
    "PNG of two frames": _save(_rgb(), ".png", save_all=True, append_images=[_other]),
    "WebP of two frames": _save(
        _rgb(), ".webp", save_all=True, append_images=[_other], lossless=True
    ),
    "JPEG named png": lambda folder: _save(_rgb(), ".jpg", quality=100)(folder).rename(
        folder / "picture.png"
    ),
    "orientation as text": _save(lying(6), exif=_exif("6")),
    "orientation as text with NUL": _save(lying(3), exif=_exif("3\0")),
    "orientation that is none": _save(lying(1), exif=_exif(77)),
    "orientation in words": _save(lying(1), exif=_exif("upright")),
    **{f"orientation {n}": _save(lying(n), exif=_exif(n)) for n in range(1, 9)},
}

NO_PICTURES = {
    "floats below 0": (_save(_deep(np.float32, -1), ".tif"), "levels down to -1"),
    "floats without scale": (_save(_deep(np.float32, 3.7), ".tif"), r"levels up to 3\.7"),
    "no numbers": (_save(_deep(np.float32, np.nan), ".tif"), "no finite numbers"),
    "integers of 31 bits": (_save(_deep(np.int32, 2**31 - 1), ".tif"), "levels up to 2"),
    "negative integers": (_save(_deep(np.int32, -9), ".tif"), "levels down to -9"),
    "12 bits of color in 16": (_save(png(_color16 / 16, 2)), "save it as 8 bits"),
    "PostScript": (_save(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "is not a picture"),
    "PPM": (_save(b"P6 8 8 255\n" + bytes(192)), "is not a picture"),
    "text": (_save(b"hello"), "is not a picture"),
    "nothing": (_save(b""), "is empty"),
    "81 million pixels": (_save(Image.new("1", (9000, 9000))), "too many pixels .81,000,000"),
    "half": (lambda folder: _halved(_save(_rgb())(folder)), "cannot be decoded"),
}


def _halved(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:60])
    return path


def _mask(levels, palette=None) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(levels))
    if palette is not None:
        picture.putpalette(palette)
    return picture


def _painted(color, on) -> Image.Image:
    return _mask(np.where(FIGURE[..., None], color, on).astype(np.uint8))


_one = FIGURE.astype(np.uint8)

MASKS = {
    "black and white": _save(_mask(_one * 255)),
    "0 and 1": _save(_mask(_one)),
    "0 and 128": _save(_mask(_one * 128)),
    "one bit": _save(_mask(_one * 255).convert("1")),
    "black and white in RGB": _save(_painted([255] * 3, [0] * 3)),
    "red on black": _save(_painted([200, 0, 0], [0] * 3)),
    "indices, colored on white": _save(_mask(_one, [255, 255, 255, 31, 119, 180])),
    "indices 0 and 3": _save(_mask(_one * 3, [255] * 3 + [9, 9, 9] * 2 + [200, 10, 10])),
    "indices without colors": _save(_mask(_one, [0] * 6)),
    "palette that begins with white": _save(_mask(1 - _one, [255, 255, 255, 0, 0, 0])),
    "transparent index": _save(_mask(1 - _one, [9, 90, 9, 255, 0, 0]), transparency=1),
    "black in alpha": _save(Image.fromarray(np.dstack([_one * 0] * 3 + [_one * 255]))),
    "white in gray alpha": _save(Image.fromarray(np.dstack([_one | 255, _one * 255]))),
    "opaque alpha": _save(Image.fromarray(np.dstack([_one * 255] * 3 + [_one | 255]))),
    "0 and 1 in 16 bits": _save(_mask(_one.astype(np.uint16))),
    "0 and 65535": _save(_mask(_one.astype(np.uint16) * 65535)),
    "floats 0 and 1": _save(_mask(_one.astype(np.float32)), ".tif"),
    "floats 0 and 7": _save(_mask(_one.astype(np.float32) * 7), ".tif"),
    "integers 0 and 1000": _save(_mask(_one.astype(np.int32) * 1000), ".tif"),
    "JPEG": _save(_mask(_one * 255), ".jpg", quality=100),
    "turned": _save(Image.fromarray(np.ascontiguousarray(np.rot90(_one))), exif=_exif("6")),
}

_labels = np.where(GRAY == 0, 2, _one).astype(np.uint8)

NO_MASKS = {
    "labels": (_save(_mask(_labels)), 2),
    "labels in 16 bits": (_save(_mask(_labels.astype(np.uint16) * 150)), 300),
    "labels as floats": (_save(_mask(_labels.astype(np.float32) * 3), ".tif"), 6),
    "indices": (_save(_mask(_labels, [255] * 3 + [31, 119, 180, 255, 127, 14])), 2),
    "dark soft gray": (_save(_mask(GRAY // 2)), 127),
    "red on white": (_save(_painted([200, 0, 0], [255] * 3)), 255),
    "three colors": (_save(_mask(np.dstack([_labels * 90, _one * 0, _one * 50]))), 180),
    "soft alpha up to 100": (_save(Image.fromarray(np.dstack([_one] * 3 + [_labels * 50]))), 100),
}
