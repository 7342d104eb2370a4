"""Masks are those of COCO's library, and no annotation makes it take memory or make pixels up."""

import numpy as np
import pytest

from clipnerf.data.coco_masks import rasterized

# Columns come first: one pixel of background, two of the thing, three of background.
PLAIN = [[False, False], [True, False], [True, False]]


def test_a_rectangle_on_pixel_corners_is_its_pixels():
    expected = np.zeros((16, 20), bool)
    expected[3:9, 2:12] = True
    assert (rasterized([[2, 3, 12, 3, 12, 9, 2, 9]], 20, 16) == expected).all()


def test_polygons_are_joined_and_those_at_the_edge_are_cut():
    whole = [0, 0, 2, 0, 2, 3, 0, 3]
    assert rasterized([whole, whole], 2, 3).all()
    assert rasterized([[-1, -1, 3, -1, 3, 4, -1, 4]], 2, 3).all()
    assert rasterized([], 2, 3).shape == (3, 2) and not rasterized([], 2, 3).any()


def test_a_slanted_edge_is_drawn_as_coco_draws_it():
    found = rasterized([[1, 1, 6, 2, 3, 7]], 8, 8)
    drawn = ["........", ".###....", "..####..", "..###...", "..##....", "...#....", "........"]
    assert ["".join(".#"[each] for each in row) for row in found.astype(int)] == [*drawn, "." * 8]


@pytest.mark.parametrize("counts", [[1, 2, 3], "123", [0, 0, 1, 2, 3]])
def test_run_lengths(counts):
    assert rasterized({"size": [3, 2], "counts": counts}, 2, 3).tolist() == PLAIN


def test_compressed_run_lengths_are_differences_from_the_fourth_on():
    # 1, 2, 3, then 5 - 2 = 3, 40 - 3 = 37 = 5 + 32 * 1, 1 - 5 = -4
    text, runs = "1233U1L", [1, 2, 3, 5, 40, 1]
    long = np.repeat(np.arange(6) % 2 == 1, runs)
    assert (rasterized({"size": [52, 1], "counts": text}, 1, 52)[:, 0] == long).all()


@pytest.mark.parametrize(
    "bad",
    [
        3,
        {},
        [[1, 2, 3]],
        [[1, 2, 3, 4, 5]],
        [[[0, 0], [2, 0], [2, 3]]],
        [[0, 0, 2, 0, 2, float("nan")]],
        [[0, 0, 2, 0, 2, float("inf")]],
        [[0, 0, 2, 0, 2, 1e9]],
        [["a", 0, 2, 0, 2, 3]],
        {"size": [2, 2], "counts": [1]},
        *(
            {"size": [3, 2], "counts": counts}
            for counts in ([], [1, 2], [1, 2, 4], [-1, 7], [[1, 2, 3]], ["a"], 6)
        ),
        *(
            {"size": [3, 2], "counts": text}
            for text in ("", "12", "124", "123U", "12\x003", "12é", "1~3", "PPPPPPP0", "1L7")
        ),
    ],
)
def test_what_is_neither_is_refused(bad):
    with pytest.raises(ValueError):
        rasterized(bad, 2, 3)
