"""Pictures as a notebook shows them: a small PNG, of numpy and zlib alone."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

MOST, WIDEST = 16, 1024
"""Pictures in a row that are shown, and pixels that they are wide in all."""


def png(picture: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The content of a PNG file."""
    height, width = picture.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each after a 0: it is not filtered
    rows[:, 1:] = picture.reshape(height, -1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def row_png(pictures: UInt8[np.ndarray, "batch height width 3"]) -> bytes:
    """The first pictures side by side, every other pixel or fewer where they are large."""
    some = pictures[:MOST]
    step = max(-(-len(some) * some.shape[2] // WIDEST), -(-some.shape[1] // WIDEST), 1)
    return png(np.concatenate(some[:, ::step, ::step], axis=1))
