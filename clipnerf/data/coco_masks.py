"""Segmentations of COCO annotations as masks: polygons, and run lengths plain or compressed.

COCO's own library draws them, so that an IoU compares with published ones. It trusts what it is
given: what would make it read beyond a string or take all memory is refused here.
"""

import re
from typing import Any

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco

_COMPRESSED = re.compile("(?:[P-o]{0,6}[0-O])+")
"""5 bits a character; the 6th says that more follow."""


def rasterized(segmentation: Any, width: int, height: int) -> Bool[np.ndarray, "height width"]:
    """The mask of a list of polygons [x1, y1, x2, y2, …] or of {"size", "counts"}.

    Raises ValueError with the reason where it is neither.
    """
    if isinstance(segmentation, list):
        polygons = [_polygon(each, 2 * max(width, height)) for each in segmentation]
        if not polygons:
            return np.zeros((height, width), dtype=bool)
        return coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))) > 0
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise ValueError("segmentation is neither a list of polygons nor run lengths")
    if list(segmentation.get("size", [])) != [height, width]:
        raise ValueError(f"run lengths are for {segmentation.get('size')}, not {height}x{width}")
    counts = segmentation["counts"]
    if isinstance(counts, str):
        valid = _COMPRESSED.fullmatch(counts) is not None and _fill(counts, height * width)
    else:
        plain = np.asarray(counts, dtype=np.int64)
        valid = bool(plain.ndim == 1 and (plain >= 0).all() and plain.sum() == height * width)
    if not valid:
        raise ValueError(f"run lengths do not add up to {width}x{height} pixels")
    if not isinstance(counts, str):
        segmentation = coco.frPyObjects(segmentation, height, width)
    return coco.decode(segmentation) > 0


def _fill(counts: str, pixels: int) -> bool:
    """Whether compressed run lengths have as many pixels: they fit, and into none fewer."""
    fits = []
    for size in (pixels, pixels - 1):
        try:
            coco.decode({"size": [size, 1], "counts": counts})
            fits.append(True)
        except ValueError:
            fits.append(False)
    return fits == [True, False]


def _polygon(points: Any, farthest: int) -> list[float]:
    numbers = np.asarray(points, dtype=float)
    if numbers.ndim != 1 or len(numbers) < 6 or len(numbers) % 2:
        raise ValueError("a polygon needs three or more pairs of numbers")
    if not (np.abs(numbers) <= farthest).all():  # also where one is NaN
        raise ValueError("a polygon lies far outside of the picture, or holds no numbers")
    return numbers.tolist()
