"""Pictures as a notebook shows them: a small PNG."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

MOST, WIDEST = 16, 1024
"""Pictures in a row that are shown, and pixels that they are wide in all."""


def row_png(pictures: UInt8[np.ndarray, "batch height width 3"]) -> bytes:
    """The first pictures side by side, every other pixel or fewer where they are large."""
    some = pictures[:MOST]
    step = max(-(-len(some) * some.shape[2] // WIDEST), -(-some.shape[1] // WIDEST), 1)
    content = io.BytesIO()
    Image.fromarray(np.concatenate(some[:, ::step, ::step], axis=1)).save(content, "PNG")
    return content.getvalue()
