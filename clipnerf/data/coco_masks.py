"""Segmentations of COCO annotations as masks: polygons, and run lengths plain or compressed."""

from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

_OVERSAMPLING = 4  # Pillow draws a polygon's edge as well, which a finer grid makes thin


def rasterized(segmentation: Any, width: int, height: int) -> Bool[np.ndarray, "height width"]:
    """The mask of a list of polygons [x1, y1, x2, y2, …] or of {"size", "counts"}.

    Raises ValueError with the reason where it is neither.
    """
    if isinstance(segmentation, list):
        return _polygons(segmentation, width, height)
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("segmentation is neither a list of polygons nor run lengths")
    if list(segmentation.get("size", [])) != [height, width]:
        raise ValueError(f"run lengths are for {segmentation.get('size')}, not {height}x{width}")
    counts = segmentation["counts"]
    runs = np.asarray(decompressed(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"run lengths do not add up to {width}x{height} pixels")
    # Columns come first, and the first run is background.
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def decompressed(text: str) -> list[int]:
    """Run lengths of COCO's string: 5 bits a character, lowest first, 6th bit: more follows; from
    the fourth on they are differences to the run before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"compressed run lengths hold {character!r}")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return runs


def _polygons(polygons: list, width: int, height: int) -> np.ndarray:
    k = _OVERSAMPLING
    picture = Image.new("1", (width * k, height * k))
    pen = ImageDraw.Draw(picture)
    for polygon in polygons:
        points = np.asarray(polygon, dtype=float)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2:
            raise ValueError("a polygon needs three or more pairs of numbers")
        # COCO counts from pixel corners, Pillow from pixel centres.
        pen.polygon((points * k - 0.5).tolist(), fill=1)
    fine = np.asarray(picture).reshape(height, k, width, k)
    return fine.mean(axis=(1, 3)) > 0.5
