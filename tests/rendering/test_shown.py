"""What a notebook shows of pictures: the pictures, and not too much of them."""

import io

import numpy as np
import torch
from PIL import Image

from clipnerf.rendering.shown import MOST, WIDEST, row_png
from clipnerf.rendering.volume import RenderOutput


def read(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "RGB" and picture.format == "PNG"
        return np.asarray(picture)


def output(batch: int, height: int, width: int) -> RenderOutput:
    rgb = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    return RenderOutput(rgb, rgb[:, :1], rgb[:, :1])


def test_a_png_is_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(read(row_png(picture[None])), picture)


def test_renderings_stand_in_a_row():
    view = output(3, 6, 4)
    shown = read(view._repr_png_())
    assert shown.shape == (6, 12, 3)
    wanted = (view.rgb[1].permute(1, 2, 0) * 255).round().byte().numpy()
    assert np.array_equal(shown[:, 4:8], wanted)


def test_what_is_shown_is_bounded():
    assert read(output(MOST + 5, 8, 8)._repr_png_()).shape == (8, 8 * MOST, 3)
    for size in ((1, 8, 3 * WIDEST + 1), (1, 3 * WIDEST, 8), (4, 600, 600)):
        shown = read(output(*size)._repr_png_())
        assert max(shown.shape) <= WIDEST + size[0]
    assert output(0, 8, 8)._repr_png_() is None
