"""Contact sheets: every picture in its place, labels that fit."""

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.sheet import GAP, contact_sheet, save_png, to_uint8


def _tiles(count: int, size: int = 40) -> list[np.ndarray]:
    return [np.full((size, size, 3), 10 * number, np.uint8) for number in range(count)]


def test_to_uint8_rounds_and_clamps():
    picture = torch.tensor([-1.0, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 2.0]).view(1, 1, 2, 3)
    levels = to_uint8(picture.expand(1, 3, 2, 3))[0]
    assert levels.shape == (2, 3, 3)
    assert levels[..., 0].tolist() == [[0, 0, 0], [1, 255, 255]]


def test_every_picture_is_in_its_place():
    sheet = contact_sheet(_tiles(5), columns=2)
    assert sheet.shape == (3 * (40 + GAP) + GAP, 2 * (40 + GAP) + GAP, 3)
    for number in range(5):
        top = GAP + (number // 2) * (40 + GAP)
        left = GAP + (number % 2) * (40 + GAP)
        assert (sheet[top : top + 40, left : left + 40] == 10 * number).all()
    assert (sheet[:GAP] == 255).all() and (sheet[-40:, -40:] == 255).all()


def test_labels_take_room_below_and_leave_the_picture_alone():
    plain = contact_sheet(_tiles(2), columns=2)
    labeled = contact_sheet(_tiles(2), columns=2, labels=["a red chair", ""])
    assert labeled.shape[0] > plain.shape[0] and labeled.shape[1] == plain.shape[1]
    assert (labeled[GAP : GAP + 40] == plain[GAP : GAP + 40]).all()
    below = labeled[GAP + 40 :]
    assert (below[:, : 40 + GAP] < 128).any(), "no label was drawn"
    assert (below[:, 40 + 2 * GAP :] == 255).all(), "the empty label left ink"


def test_long_labels_stay_under_their_picture():
    text = "an unreasonably long description of one single chair with everything"
    sheet = contact_sheet([np.full((40, 40, 3), 255, np.uint8)] * 3, 3, ["", text, ""])
    inked = np.flatnonzero((sheet < 128).any((0, 2)))
    assert len(inked) and inked.min() >= 40 + 2 * GAP and inked.max() < 2 * (40 + GAP)


def test_a_tensor_is_taken_too():
    sheet = contact_sheet(torch.zeros(3, 3, 8, 8), columns=3)
    assert (sheet[GAP : GAP + 8, GAP : GAP + 8] == 0).all()


@pytest.mark.parametrize(
    ("tiles", "columns", "labels", "message"),
    [
        ([], 1, None, "0 pictures"),
        (_tiles(2), 0, None, "columns is 0"),
        (_tiles(2), 1, ["a"], "1 labels for 2"),
        ([*_tiles(1), *_tiles(1, 20)], 1, None, "picture 1 is 20 x 20"),
    ],
)
def test_misuse(tiles, columns, labels, message):
    with pytest.raises(UsageError, match=message):
        contact_sheet(tiles, columns, labels)


def test_png_round_trip(tmp_path):
    sheet = contact_sheet(_tiles(4), columns=2)
    path = save_png(tmp_path / "new" / "a.png", sheet)
    assert (np.asarray(Image.open(path)) == sheet).all()
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]


def test_png_only_and_writable(tmp_path):
    with pytest.raises(UsageError, match="only .png"):
        save_png(tmp_path / "a.jpg", _tiles(1)[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipNerfError, match="file"):
        save_png(tmp_path / "file" / "a.png", _tiles(1)[0])


def test_a_sheet_shows_itself_in_a_notebook_and_its_parts_do_not():
    sheet = contact_sheet(torch.rand(3, 3, 8, 8), 2, ["a", "b", "c"])
    with Image.open(io.BytesIO(sheet._repr_png_())) as shown:
        assert np.array_equal(np.asarray(shown), sheet)
    assert sheet[..., 0]._repr_png_() is None and sheet[:0]._repr_png_() is None
    assert (sheet / 2)._repr_png_() is None


@pytest.mark.parametrize("label", ["a" * 20_000, "a/" * 5000, "aa " * 5000])
def test_endless_labels_are_cut_in_no_time(label):
    start = time.monotonic()
    contact_sheet(_tiles(1), 1, [label])
    assert time.monotonic() - start < 3
