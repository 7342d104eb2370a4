"""Preview sheets."""

import numpy as np
import torch

from clipnerf.gan.previews import grid, preview_sheet


def test_pictures_side_by_side_with_white_at_the_end():
    pictures = torch.stack([torch.full((3, 2, 3), value) for value in (0.1, 0.2, 0.3)])
    table = grid(pictures, 2)
    assert table.shape == (3, 4, 6)
    blocks = table[0, ::2, ::3]
    torch.testing.assert_close(blocks, torch.tensor([[0.1, 0.2], [0.3, 1.0]]))


def test_a_sheet_repeats_bit_for_bit_and_shows_the_swap_grid(make_generator):
    generator, size, columns = make_generator(), 8, 3
    sheet = preview_sheet(generator, size, columns)
    assert sheet.dtype == np.uint8 and sheet.shape == (10 * size, columns * size, 3)
    assert np.array_equal(sheet, preview_sheet(generator, size, columns))
    tiles = sheet.reshape(10, size, columns, size, 3).swapaxes(1, 2)
    depth = tiles[4].astype(int)
    assert (depth.max(-1) == depth.min(-1)).all()  # gray
    # Swap grid: a column keeps its appearance, a row its shape.
    assert not np.array_equal(tiles[6, 0], tiles[7, 0])
    assert not np.array_equal(tiles[6, 0], tiles[6, 1])
