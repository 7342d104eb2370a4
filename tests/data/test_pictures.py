"""One picture: orientation, alpha, odd modes, crops, and every way of being broken."""

import numpy as np
import pytest
from PIL import Image

from clipnerf.data.pictures import BrokenPicture, Source, decode, peek
from clipnerf.errors import UsageError


def test_pixels_come_as_they_are(folder):
    pixels = folder.picture("a.png")
    got, dimensions = decode(Source(folder.path), "a.png", 16)
    np.testing.assert_array_equal(got, pixels.transpose(2, 0, 1))
    assert dimensions == (16, 16)


def test_alpha_goes_over_the_background(folder):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 4:, 3] = 255
    rgba[:, :2, 3] = 51  # a fifth
    Image.fromarray(rgba).save(folder.path / "a.png")
    white, _ = decode(Source(folder.path), "a.png", 8)
    black, _ = decode(Source(folder.path), "a.png", 8, background=0.0)
    assert white[:, 0, 6].tolist() == black[:, 0, 6].tolist() == [200, 0, 0]
    assert white[:, 0, 3].tolist() == [255, 255, 255]
    assert black[:, 0, 3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(white[:, 0, 0], [244, 204, 204], atol=1)


def test_transparent_palette_and_gray_alpha(folder):
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    palette.save(folder.path / "p.png", transparency=0)
    Image.new("LA", (4, 4), (77, 0)).save(folder.path / "la.png")
    got, _ = decode(Source(folder.path), "p.png", 4)
    assert got[:, 0, 0].tolist() == [255, 255, 255]
    assert got[:, 0, 1].tolist() == [200, 100, 50]
    assert (decode(Source(folder.path), "la.png", 4)[0] == 255).all()


def test_sixteen_bits_keep_their_range(folder):
    ramp = np.array([[0, 32768], [65535, 257]], np.uint16)
    Image.fromarray(ramp).save(folder.path / "deep.png")
    got, _ = decode(Source(folder.path), "deep.png", 2)
    np.testing.assert_allclose(got[0], [[0, 128], [255, 1]], atol=1)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_other_modes_become_rgb(folder, mode):
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(folder.path / "a.tif")
    got, _ = decode(Source(folder.path), "a.tif", 8)
    assert got.shape == (3, 8, 8)
    assert (got >= 254).all()


def test_exif_rotation_is_honoured(folder):
    upright = Image.new("RGB", (12, 24), "white")
    upright.paste("red", (0, 0, 12, 12))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    upright.rotate(90, expand=True).save(
        folder.path / "turned.jpg", exif=exif, quality=95, subsampling=0
    )
    got, dimensions = decode(Source(folder.path), "turned.jpg", 12)
    assert dimensions == (12, 24) == peek(Source(folder.path), "turned.jpg")
    # The middle square holds the lower half of the red and the upper half of the white.
    np.testing.assert_allclose(got[:, 1, 6], [254, 0, 0], atol=6)
    np.testing.assert_allclose(got[:, 10, 6], [255, 255, 255], atol=6)


def test_oblong_pictures_are_cropped_to_their_middle(folder):
    picture = Image.new("RGB", (30, 10), "blue")
    picture.paste("red", (10, 0, 20, 10))
    picture.save(folder.path / "wide.png")
    got, dimensions = decode(Source(folder.path), "wide.png", 10)
    assert dimensions == (30, 10)
    assert (got == np.array([255, 0, 0]).reshape(3, 1, 1)).all()


def test_shrinking_is_antialiased(folder):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(folder.path / "stripes.png")
    got, _ = decode(Source(folder.path), "stripes.png", 8)
    assert np.abs(got.astype(int) - 128).max() < 12


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_cut_off_file_is_found_by_peek_and_by_decode(folder, kind, zipped):
    folder.picture(f"a.{kind}", (64, 64))
    path = folder.path / f"a.{kind}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = Source(folder.zipped() if zipped else folder.path)
    for look in (lambda: peek(source, path.name), lambda: decode(source, path.name, 16)):
        with pytest.raises(BrokenPicture, match="cannot be decoded") as caught:
            look()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, reason", [(b"", "is empty"), (b"hello" * 50, "is not a picture")]
)
def test_what_is_no_picture_says_so(folder, content, reason):
    (folder.path / "a.png").write_bytes(content)
    with pytest.raises(BrokenPicture, match=reason):
        peek(Source(folder.path), "a.png")


def test_trailing_bytes_are_no_fault(folder):
    folder.picture("a.jpg", (32, 32))
    with (folder.path / "a.jpg").open("ab") as file:
        file.write(b"\0" * 10_000)
    assert peek(Source(folder.path), "a.jpg") == (32, 32)


def test_a_damaged_zip_member_is_broken_and_names_no_traceback(folder):
    folder.picture("a.png", (32, 32))
    path = folder.zipped()
    raw = bytearray(path.read_bytes())
    raw[200] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(BrokenPicture, match="cannot be unpacked"):
        decode(Source(path), "a.png", 8)


def test_hidden_files_are_left_out(folder):
    for name in ("b.png", "sub/a.png", ".hidden.png", "__MACOSX/b.png", ".git/c.png"):
        folder.picture(name)
    assert Source(folder.path).names() == ["b.png", "sub/a.png"]
    assert Source(folder.zipped()).names() == ["b.png", "sub/a.png"]


def test_a_path_that_cannot_serve_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere does not exist"):
        Source(tmp_path / "nowhere")
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(UsageError, match="neither a folder nor a zip"):
        Source(tmp_path / "note.txt")
