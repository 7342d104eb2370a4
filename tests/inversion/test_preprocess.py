"""From photos of every kind to one object on white, in its usual place."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.errors import UsageError
from clipnerf.inversion.preprocess import Frame, bounding_box, prepare, usual_frame
from tests.tiny_bundle import tiny_generator

FRAME = Frame(least=0.4, middle=0.5, most=0.7, away=0.1)


def photo(width=64, height=64, box=(16, 16, 48, 48), background=255) -> np.ndarray:
    """A red rectangle (left, top, right, bottom)."""
    pixels = np.full((height, width, 3), background, np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (200, 20, 20)
    return pixels


def save(tmp_path, pixels, name="photo.png", **options):
    path = tmp_path / name
    Image.fromarray(pixels).save(path, **options)
    return path


def seen(picture) -> tuple[int, int, int, int] | None:
    return bounding_box((1 - picture[0]).amax(0) > 0.4)


def test_an_object_in_its_usual_place_stays_there(tmp_path):
    found = prepare(save(tmp_path, photo()), 64, FRAME)
    assert found.square == (0, 0, 64) and seen(found.picture) == (16, 16, 48, 48)
    assert found.picture[0, :, 0, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (300, 200, (10, 20, 30, 40)),  # tiny, in a corner
        (100, 64, (5, 10, 25, 60)),  # beyond the middle square
        (64, 64, (0, 0, 64, 60)),  # fills the picture
    ],
)
def test_others_are_framed_as_the_generator_does(tmp_path, width, height, box):
    found = prepare(save(tmp_path, photo(width, height, box)), 64, FRAME)
    left, top, right, bottom = seen(found.picture)
    assert max(right - left, bottom - top) == pytest.approx(32, abs=2)
    assert (left + right) / 2 == pytest.approx(32, abs=1.5)
    assert (top + bottom) / 2 == pytest.approx(32, abs=1.5)


def test_framing_can_be_left_alone_or_asked_for(tmp_path):
    path = save(tmp_path, photo(100, 64, (5, 10, 25, 60)))
    assert prepare(path, 64, FRAME, framing="none").square == (18, 0, 64)
    usual = save(tmp_path, photo(box=(20, 16, 48, 48)), "usual.png")
    assert prepare(usual, 64, FRAME, framing="fit").square == (2, 0, 64)


def test_nearly_white_becomes_white(tmp_path):
    found = prepare(save(tmp_path, photo(background=240)), 64, FRAME)
    assert (found.picture[0, :, :10] == 1).all()
    kept = prepare(save(tmp_path, photo(background=240)), 64, FRAME, background="none")
    assert kept.picture[0, 0, 0, 0] == pytest.approx(240 / 255)


def test_alpha_and_masks_take_any_background_away(tmp_path):
    pixels = photo(background=60)
    alpha = np.zeros((64, 64, 1), np.uint8)
    alpha[16:48, 16:48] = 255
    transparent = save(tmp_path, np.concatenate((pixels, alpha), axis=2), "alpha.png")
    wanted = prepare(save(tmp_path, photo(), "white.png"), 64, FRAME).picture
    assert torch.equal(prepare(transparent, 64, FRAME).picture, wanted)
    opaque = save(tmp_path, pixels, "opaque.png")
    mask = save(tmp_path, alpha[..., 0].repeat(2, 0).repeat(2, 1), "mask.png")
    assert torch.equal(prepare(opaque, 64, FRAME, mask=mask).picture, wanted)
    with pytest.raises(UsageError, match="has no transparency"):
        prepare(opaque, 64, FRAME, background="alpha")
    with pytest.raises(UsageError, match="other proportions"):
        prepare(opaque, 64, FRAME, mask=save(tmp_path, photo(64, 30)[:, :, 0], "wide.png"))


def test_a_background_that_is_not_white_is_said(tmp_path):
    with pytest.warns(UserWarning, match="is not white") as caught:
        prepare(save(tmp_path, photo(background=120)), 64, FRAME)
    assert any("no background is to be told" in str(w.message) for w in caught)


def test_an_empty_picture_is_refused(tmp_path):
    with pytest.raises(UsageError, match="shows no object: 0.00%"):
        prepare(save(tmp_path, photo(box=(0, 0, 0, 0))), 64, FRAME)


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "LA", "CMYK"])
def test_pictures_of_other_kinds_are_read(tmp_path, mode):
    image = Image.fromarray(photo())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    path = tmp_path / ("photo.tiff" if mode == "CMYK" else "photo.png")
    image.save(path)
    found = prepare(path, 64, FRAME)
    assert seen(found.picture) == (16, 16, 48, 48)


def test_exif_rotation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    upright = photo(box=(16, 16, 30, 48))
    lying = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.png", exif=exif)
    assert seen(prepare(tmp_path / "lying.png", 64, FRAME, framing="none").picture) == (
        16,
        16,
        30,
        48,
    )


def test_a_huge_photo_is_read(tmp_path):
    path = save(tmp_path, photo(6000, 4000, (2000, 1000, 4000, 3000)))
    assert prepare(path, 64, FRAME).picture.shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"no picture at all", "is not a picture"), (None, "does not exist")],
)
def test_what_is_no_picture_is_named(tmp_path, content, says):
    path = tmp_path / "photo.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        prepare(path, 64, FRAME)
    assert "photo.png" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cut_off_file_and_a_tiny_one_are_refused(tmp_path):
    path = save(tmp_path, np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UsageError, match="photo.png"):
        prepare(path, 64, FRAME)
    with pytest.raises(UsageError, match="1 x 1 pixels; allowed: 8"):
        prepare(save(tmp_path, photo(1, 1), "one.png"), 64, FRAME)


def test_the_usual_frame_is_that_of_the_generators_own_pictures():
    frame = usual_frame(tiny_generator())
    assert 0 <= frame.least <= frame.middle <= frame.most <= 1 and frame.away <= 0.5
    assert frame == usual_frame(tiny_generator())
