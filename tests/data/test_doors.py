"""Every kind of picture through every door: a data set, photographs, exemplars, masks, arrays."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from clipnerf.data import pictures
from clipnerf.data.check import check
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.masks import read_labels, read_mask
from clipnerf.data.masks import read_square as read_padded
from clipnerf.data.photo import read_photo, read_square
from clipnerf.data.pictures import BrokenPicture, Source, decode, peek
from clipnerf.data.referring import ReferringDataset
from clipnerf.editor.exemplar import exemplar_pictures
from clipnerf.errors import UsageError
from clipnerf.inversion.preprocess import Frame, prepare
from tests.data.pictures_of_all_kinds import (
    FIGURE,
    FILES,
    GRAY,
    MASKS,
    NO_MASKS,
    NO_PICTURES,
    SHARES,
    SIDE,
)

ROOT = Path(__file__).parents[2]
FRAME = Frame(0.2, 0.5, 0.8, 0.2)
LOSSY = 8 / 255

DOORS = {
    "data set": lambda path: decode(Source(path.parent), path.name, SIDE)[0] / 255,
    "referring": lambda path: read_padded(Source(path.parent), path.name, SIDE)[0] / 255,
    "photo": lambda path: read_photo(path).rgb,
    "photo by its name": lambda path: read_photo(str(path)).rgb,
    "photo in PIL": lambda path: read_photo(Image.open(path)).rgb,
    "exemplar": lambda path: read_square(path, SIDE, "the exemplar")[0],
    "exemplar in PIL": lambda path: exemplar_pictures(Image.open(path), SIDE)[0][0],
}


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_is_the_same_through_every_door(tmp_path, kind):
    path = FILES[kind](tmp_path)
    for door, read in DOORS.items():
        off = np.abs(np.asarray(read(path)) - SHARES).max()
        assert off <= (LOSSY if "JPEG" in kind else 0.51 / 255 + 1e-6), door
    assert peek(Source(tmp_path), path.name) == (SIDE, SIDE)
    assert PictureDataset(tmp_path, SIDE)[0].shape == (3, SIDE, SIDE)


@pytest.mark.parametrize("kind", [k for k in FILES if "alpha" in k or "transparent" in k])
def test_what_is_transparent_is_known(tmp_path, kind):
    path = FILES[kind](tmp_path)
    assert (read_photo(path).alpha[0].numpy() == FIGURE).all()
    black, _ = decode(Source(tmp_path), path.name, SIDE, background=0.0)
    assert (black == np.where(FIGURE, GRAY, 0)).all()


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_is_refused_by_every_door(tmp_path, kind):
    write, says = NO_PICTURES[kind]
    path = write(tmp_path)
    for door in ("data set", "referring"):
        with pytest.raises(BrokenPicture, match=says):
            DOORS[door](path)
    for door in ("photo", "exemplar"):
        with pytest.raises(UsageError, match=f"picture.*{says}") as caught:
            DOORS[door](path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=says):
        PictureDataset(tmp_path, SIDE)


def test_only_decoders_that_are_meant_are_started(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    path = NO_PICTURES["PostScript"][0](tmp_path)
    for read in (read_photo, read_mask, check):
        with pytest.raises(UsageError) if read is not check else warnings.catch_warnings():
            read(path if read is not check else tmp_path)
    assert started == []


def test_large_pictures_are_converted_like_small_ones(tmp_path, monkeypatch):
    kinds = [kind for kind in FILES if "JPEG" not in kind]
    plain = [read_photo(FILES[kind](tmp_path)) for kind in kinds]
    monkeypatch.setattr("clipnerf.data.levels._AT_ONCE", 3 * SIDE)
    monkeypatch.setattr(pictures, "_LARGE", 10)
    for kind, whole in zip(kinds, plain, strict=True):
        found = read_photo(FILES[kind](tmp_path))
        assert torch.equal(found.rgb, whole.rgb), kind
        assert (found.alpha is None) == (whole.alpha is None), kind


def test_a_jpeg_above_the_limit_is_read_at_half_its_size(tmp_path, monkeypatch):
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.jpg")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.png")
    source = Source(tmp_path)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 64 * 48 - 1)
    assert decode(source, "a.jpg", 16)[1] == (32, 24)
    with pytest.raises(BrokenPicture, match="too many pixels .3,072; allowed: 3,071"):
        decode(source, "a.png", 16)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 64 * 24 - 1)
    with pytest.raises(BrokenPicture, match="too many pixels"):
        peek(source, "a.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_largest_picture_takes_less_than_1500_mb(tmp_path):
    side, exif = 7094, Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.new("RGBA", (side, side), (9, 9, 200, 100)).save(path, compress_level=1, exif=exif)
    program = (
        "import sys; from clipnerf.data.photo import read_photo; read_photo(sys.argv[1])\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    run = [sys.executable, "-c", program, str(path)]
    found = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 1_500_000  # kB


def test_an_image_of_the_caller_stays_as_it_was(tmp_path):
    picture = Image.open(FILES["orientation 6"](tmp_path))
    first, again = read_photo(picture).rgb, read_photo(picture).rgb
    assert torch.equal(first, again) and picture.getexif()[0x0112] == 6


_rgba = np.dstack([np.where(FIGURE, GRAY, 90)] * 3 + [FIGURE * 255]).astype(np.uint8)
ARRAYS = {
    "gray": GRAY,
    "channels last": np.repeat(GRAY[..., None], 3, 2),
    "channels first": np.repeat(GRAY[None], 3, 0),
    "one channel": GRAY[..., None],
    "alpha": _rgba,
    "16 bits": np.repeat((SHARES * 65535).astype(np.uint16)[..., None], 3, 2),
    "12 bits": (SHARES * 4095).astype(np.int64),
    "backwards": GRAY[::-1].copy()[::-1],
    "tensor": torch.from_numpy(GRAY)[None].expand(3, -1, -1),
    "tensor with alpha": torch.from_numpy(_rgba).permute(2, 0, 1),
    "floats": SHARES,
    "float32 RGB": np.repeat(SHARES.astype(np.float32)[..., None], 3, 2),
    "floats with alpha": _rgba / 255,
    "float tensor": torch.from_numpy(SHARES)[None].expand(3, -1, -1),
    "half": torch.from_numpy(SHARES).half()[None].expand(3, -1, -1),
    "bfloat": torch.tensor(SHARES > 0.5).bfloat16()[None],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_tensors_are_pictures(kind):
    given, wanted = ARRAYS[kind], SHARES > 0.5 if kind == "bfloat" else SHARES
    near = {"atol": 0.51 / 255 + 1e-6, "rtol": 0}
    np.testing.assert_allclose(read_photo(given).rgb.numpy(), np.stack([wanted] * 3), **near)
    (some,) = exemplar_pictures(given, SIDE)
    np.testing.assert_allclose(some[0].numpy(), np.stack([wanted] * 3), **near)
    several = exemplar_pictures([given, given], SIDE)
    assert torch.equal(torch.cat(several), torch.cat([some, some]))


NO_ARRAYS = {
    "number": 5,
    "none": None,
    "fraction": 0.5,
    "bytes": b"photo.png",
    "set": {"a"},
    "mapping": {"a": 1},
    "object": object(),
    "empty": "",
    "words": np.array(["a.png"]),
    "objects": np.array([None, 1]),
    "complex": np.zeros((9, 9), complex),
    "five": np.zeros((2,) * 5),
    "two channels": np.zeros((9, 9, 2), np.uint8),
    "no pixels": np.zeros((0, 9), np.uint8),
    "vector": torch.zeros(9),
    "negative": np.full((9, 9), -1),
    "list": [[0, 1], [1, 0]],
    "tiny": np.zeros((2, 2), np.uint8),
    "closed": Image.new("L", (9, 9)),
    "NUL": "a\0.png",
    "long": "x" * 5000,
    "huge": np.diag(np.arange(9)) * 1e30,
    "no numbers": np.full((9, 9, 3), np.nan),
}
NO_ARRAYS["closed"].close()


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_what_is_no_picture_in_python_is_one_line(kind):
    given = NO_ARRAYS[kind]
    doors = {
        "photo": read_photo,
        "exemplar": lambda picture: exemplar_pictures(picture, SIDE),
        "inversion": lambda picture: prepare(picture, SIDE, FRAME),
        "mask": read_mask,
    }
    for door, read in doors.items():
        with pytest.raises(UsageError) as caught:
            read(given)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500, door


@pytest.mark.parametrize("given", [5, None, b"folder", ["folder"], "", "x" * 5000, "a\0b"])
def test_what_is_no_set_in_python_is_one_line(given):
    doors = (Source, check, lambda p: PictureDataset(p, 8), lambda p: ReferringDataset.open(p, 8))
    for read in doors:
        with pytest.raises(UsageError) as caught:
            read(given)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_means_the_figure(tmp_path, kind, recwarn):
    path = MASKS[kind](tmp_path)
    for given in (path, str(path), Image.open(path)):
        found = read_mask(given)[0].numpy()
        assert np.abs(found - FIGURE).max() <= (LOSSY if kind == "JPEG" else 0)
    assert np.abs(read_mask(path, 2 * SIDE, 2 * SIDE)[0, ::2, ::2] - found).max() <= LOSSY
    assert [str(each.message) for each in recwarn if each.category is UserWarning] == []
    if kind not in ("JPEG", "palette that begins with white", "transparent index"):
        assert ((read_labels(Source(tmp_path), path.name) > 0) == FIGURE).all()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("tensor", [False, True])
def test_arrays_are_masks(kind, tensor):
    mask = FIGURE.astype(kind)
    given = torch.from_numpy(mask)[None] if tensor else mask
    assert (read_mask(given)[0].numpy() == FIGURE).all()


def test_soft_masks_stay_soft(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "m.png")
    assert torch.equal(read_mask(tmp_path / "m.png")[0], torch.from_numpy(GRAY) / 255)
    shares = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 0.7
    assert torch.equal(read_mask(shares), shares)
    deep = (SHARES * 65535).astype(np.uint16)
    assert np.abs(read_mask(deep)[0].numpy() - SHARES).max() < 1 / 255


@pytest.mark.parametrize("kind", NO_MASKS)
def test_what_is_no_mask_is_named_with_its_largest_value(tmp_path, kind):
    write, largest = NO_MASKS[kind]
    path = write(tmp_path)
    with pytest.raises(UsageError, match=f"the mask '.*picture.*the largest {largest};") as caught:
        read_mask(path)
    assert "\n" not in str(caught.value)
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    with pytest.raises(UsageError, match="the mask"):
        prepare(photo, SIDE, FRAME, mask=path)


@pytest.mark.parametrize(("level", "covers"), [(0, "nothing"), (1, "everything"), (255, "every")])
def test_a_mask_of_nothing_or_everything_is_warned_of(level, covers):
    mask = np.full((SIDE, SIDE), level, np.uint8)
    with pytest.warns(UserWarning, match=f"the mask covers {covers}"):
        assert read_mask(mask).unique().item() == float(level > 0)


def test_an_empty_mask_is_blamed_and_not_the_photo():
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    with pytest.warns(UserWarning, match="covers nothing"):
        with pytest.raises(UsageError, match="^the mask leaves no object"):
            prepare(photo, SIDE, FRAME, mask=photo[..., 0])


def test_label_maps(tmp_path):
    source = Source(tmp_path)
    labels = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 7

    def read(picture: Image.Image, suffix: str = ".png"):
        picture.save(tmp_path / f"m{suffix}")
        return read_labels(source, f"m{suffix}")

    for dtype, suffix in (
        (np.uint8, ".png"),
        (np.uint16, ".png"),
        (np.int32, ".tif"),
        (np.float32, ".tif"),
    ):
        assert (read(Image.fromarray(labels.astype(dtype)), suffix) == labels).all()
    for dtype, factor in ((np.uint16, 60), (np.float32, 0.5), (np.float32, -1)):
        with pytest.raises(BrokenPicture, match="labels from"):
            read(Image.fromarray((labels * factor).astype(dtype)), ".tif")
    layers = np.dstack([labels] * 3 + [labels % 2 * 255]).astype(np.uint8)
    assert (read(Image.fromarray(layers)) == labels * (labels % 2)).all()


def test_regions_of_nothing_or_everything_are_warned_of(folder):
    folder.picture("a.png")
    Image.fromarray(np.ones((16, 16), np.uint8)).save(folder.path / "m.png")
    regions = [{"text": "all", "mask": "m.png"}, {"text": "none", "mask": "m.png", "values": [9]}]
    folder.metadata({"file_name": "a.png", "regions": regions})
    with pytest.warns(UserWarning) as caught:
        ReferringDataset.open(folder.path, 16)
    said = [str(warning.message) for warning in caught]
    assert ["cover nothing: m.png" in s or "cover their whole picture" in s for s in said] == [1, 1]
    assert sum("1 regions cover" in text for text in check(folder.path).warnings) == 2
