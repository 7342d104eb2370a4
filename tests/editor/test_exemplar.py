"""Exemplars: what is read as a picture, and that the same mappers follow it."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.editor import Editor, exemplar
from clipnerf.editor.exemplar import OwnPictures, exemplar_pictures, read_exemplar
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from tests.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return Editor.load(tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


@pytest.fixture
def drawing() -> Image.Image:
    """A red bar at the top of the left half, on white; nothing about it is symmetric."""
    pixels = np.full((32, 32, 3), 255, np.uint8)
    pixels[2:8, 2:16] = (200, 20, 20)
    return Image.fromarray(pixels)


def test_a_picture_is_read_in_0_to_1(drawing, tmp_path):
    drawing.save(tmp_path / "a.png")
    picture = read_exemplar(tmp_path / "a.png", 32)
    assert picture.shape == (1, 3, 32, 32)
    assert picture[0, :, 4, 4].tolist() == pytest.approx([200 / 255, 20 / 255, 20 / 255])
    assert picture[0, :, 20, 20].tolist() == [1, 1, 1]


def test_gray_alpha_and_exif_are_sensible_pictures(drawing, tmp_path):
    drawing.save(tmp_path / "rgb.png")
    plain = read_exemplar(tmp_path / "rgb.png", 32)

    drawing.convert("L").save(tmp_path / "gray.png")
    gray = read_exemplar(tmp_path / "gray.png", 32)
    assert torch.equal(gray[:, 0], gray[:, 1]) and torch.equal(gray[:, 0], gray[:, 2])

    alpha = np.dstack([np.asarray(drawing), np.zeros((32, 32), np.uint8)])
    alpha[2:8, 2:16, 3] = 255
    alpha[8:, :, :3] = 7  # what is transparent is white, whatever color it has
    Image.fromarray(alpha, "RGBA").save(tmp_path / "alpha.png")
    assert torch.equal(read_exemplar(tmp_path / "alpha.png", 32), plain)

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    lying = drawing.transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.png", exif=exif)
    assert torch.equal(read_exemplar(tmp_path / "lying.png", 32), plain)


def test_fifty_megapixels_are_read(drawing, tmp_path):
    side = 7072
    drawing.resize((side, side), Image.Resampling.NEAREST).save(
        tmp_path / "large.png", compress_level=1
    )
    assert side * side > 50_000_000
    picture = read_exemplar(tmp_path / "large.png", 32)
    assert picture[0, :, 4, 4].tolist() == pytest.approx([200 / 255, 20 / 255, 20 / 255])


def _write(kind: str, path):
    {
        "text": lambda: path.write_text("no picture"),
        "empty": lambda: path.write_bytes(b""),
        "half": lambda: _half(path),
        "tiny": lambda: Image.new("RGB", (1, 1), "red").save(path),
        "line": lambda: Image.linear_gradient("L").resize((200, 2)).save(path),
        "plain": lambda: Image.new("RGB", (64, 64), "red").save(path),
        "transparent": lambda: Image.new("RGBA", (64, 64), (9, 9, 9, 0)).save(path),
        "folder": lambda: path.mkdir(),
        "missing": lambda: None,
    }[kind]()


def _half(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:4000])


BROKEN = {
    "text": "is not a picture",
    "empty": "is empty",
    "half": "cannot be decoded",
    "tiny": "is 1 x 1 pixels; allowed: 8 or more",
    "line": "is 200 x 2 pixels",
    "plain": "one plain color",
    "transparent": "one plain color",
    "folder": "is a folder",
    "missing": "does not exist",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_exemplar_is_named_in_one_line(editor, tmp_path, kind):
    path = tmp_path / "photo.png"
    _write(kind, path)
    with pytest.raises(UsageError, match=BROKEN[kind]) as caught:
        editor.edit(editor.sample([0]), image=path)
    assert "photo.png" in str(caught.value) and "\n" not in str(caught.value)


def test_too_many_pixels(drawing, tmp_path, monkeypatch):
    drawing.save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the real limit takes seconds to draw
    with pytest.raises(UsageError, match="'.*photo.png' has too many pixels"):
        read_exemplar(tmp_path / "photo.png", 32)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (torch.zeros(16, 16), "shape"),
        (torch.zeros(16, 16, 3), "shape"),
        (torch.zeros(0, 3, 16, 16), "shape"),
        (torch.full((3, 16, 16), 255.0), "up to 255"),
        (torch.full((3, 16, 16), float("nan")), "no numbers"),
        (torch.full((3, 16, 16), -1.0), "below 0"),
        (torch.zeros(3, 1, 1), "1 x 1"),
        ([], "empty list"),
    ],
)
def test_tensors_that_are_no_pictures(picture, message):
    with pytest.raises(UsageError, match=message):
        exemplar_pictures(picture, 16)


def test_shape_only_appearance_only_or_both(editor, drawing, tmp_path):
    drawing.save(tmp_path / "photo.png")
    codes = editor.sample([0, 1])
    both = editor.edit(codes, image=tmp_path / "photo.png")
    shape = editor.edit(codes, image=str(tmp_path / "photo.png"), appearance=0.0)
    colors = editor.edit(codes, image=str(tmp_path / "photo.png"), shape=0.0)
    assert torch.equal(shape.appearance, codes.appearance)
    assert torch.equal(colors.shape, codes.shape)
    assert torch.equal(both.shape, shape.shape) and torch.equal(both.appearance, colors.appearance)
    assert not torch.allclose(both.shape, codes.shape, atol=1e-3)
    assert not torch.allclose(both.appearance, codes.appearance, atol=1e-3)
    nothing = editor.edit(codes, image=str(tmp_path / "photo.png"), shape=0.0, appearance=0.0)
    assert nothing is codes


def test_one_exemplar_for_each_object(editor, drawing, tmp_path):
    drawing.save(tmp_path / "a.png")
    drawing.rotate(180).save(tmp_path / "b.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    codes = editor.sample([0, 1])
    each = editor.edit(codes, image=paths)
    for row in range(2):
        alone = editor.edit(codes[row], image=paths[row])
        assert torch.allclose(each[row].shape, alone.shape, atol=1e-5)
    assert not torch.allclose(each.shape[1], editor.edit(codes, image=paths[0]).shape[1], atol=1e-3)
    with pytest.raises(UsageError, match="2 exemplars for 3 objects"):
        editor.edit(editor.sample([0, 1, 2]), image=paths)


def test_an_exemplar_is_one_however_it_is_given(editor, drawing, tmp_path):
    drawing.save(tmp_path / "a.png")
    codes, levels = editor.sample([0]), np.asarray(drawing)
    wanted = editor.edit(codes, image=tmp_path / "a.png")
    tensor = torch.from_numpy(levels.copy()).permute(2, 0, 1)
    for image in (drawing, levels, tensor, [drawing], levels[None], Image.open(tmp_path / "a.png")):
        assert torch.equal(editor.edit(codes, image=image).shape, wanted.shape)


def test_rendered_pictures_are_exemplars(editor):
    codes = editor.sample([0, 1])
    views = editor.render(editor.sample([5, 6]), size=16).rgb
    both = editor.edit(codes, image=views)
    assert torch.allclose(both[1].shape, editor.edit(codes[1], image=views[1]).shape, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "neither text nor image"), ({"text": "a chair", "image": "a.png"}, "both text and")],
)
def test_either_text_or_image(editor, given, message):
    with pytest.raises(UsageError, match=message):
        editor.edit(editor.sample([0]), **given)


def test_the_category_is_looked_at_once(editor, monkeypatch):
    fresh = Editor(editor.generator, editor.clip, list(editor.mappers.values()))
    looked: list[int] = []

    def counting(*arguments):
        looked.append(1)
        return own(*arguments)

    own = exemplar.own_pictures
    monkeypatch.setattr("clipnerf.editor.conditions.own_pictures", counting)
    views = fresh.render(fresh.sample([5]), size=16).rgb
    fresh.edit(fresh.sample([0]), image=views)
    fresh.edit(fresh.sample([1]), image=views)
    assert len(looked) == 1


def test_an_exemplar_is_a_direction_among_pictures_without_the_other_codes_part():
    along = {"shape": torch.eye(4)[:, :1], "appearance": torch.eye(4)[:, 1:2]}
    own = OwnPictures(torch.tensor([1.0, 1.0, 1.0, 0.0]), along)
    centre = torch.tensor([0.0, 0.0, 0.0, 5.0])
    picture = torch.tensor([[2.0, 3.0, 4.0, 0.0]])
    assert own.embedding(picture, "shape", centre, 2.0).tolist() == [[2.0, 0.0, 6.0, 5.0]]
    assert own.embedding(picture, "appearance", centre, 2.0).tolist() == [[0.0, 4.0, 6.0, 5.0]]


def test_the_codes_of_the_bundle_are_told_apart_in_its_pictures():
    """Another color moves the embedding along appearance rather than shape, and vice versa."""
    editor = Editor.load("data/pretrained/chairs", device="cpu")
    own = exemplar.own_pictures(editor.generator, editor.clip)
    for basis in own.along.values():
        assert torch.allclose(basis.mT @ basis, torch.eye(basis.shape[1]), atol=1e-4)
    some, others = editor.sample([100, 101, 102, 103]), editor.sample([200, 201, 202, 203])
    start = editor.clip.encode_image(editor.render(some, size=64).rgb)
    for which, other in (("shape", "appearance"), ("appearance", "shape")):
        changed = Codes(
            others.shape if which == "shape" else some.shape,
            others.appearance if which == "appearance" else some.appearance,
        )
        moved = editor.clip.encode_image(editor.render(changed, size=64).rgb) - start
        within, beside = (float((moved @ own.along[w]).norm()) for w in (which, other))
        assert within > 1.3 * beside


def test_the_bundles_objects_come_closer_to_drawn_exemplars(tmp_path):
    """Chairs drawn by the category, which the generator never saw; 4 objects each."""
    editor = Editor.load("data/pretrained/chairs", device="cpu")
    folder = synthesize("chairs", 6, 64, seed=1, out=tmp_path / "chairs")
    codes = editor.sample([0, 1, 2, 3])
    before = editor.render(codes, size=64).rgb
    gains, colors = [], []
    for path in sorted(folder.glob("0*.png")):
        picture = read_exemplar(path, 64)
        goal = editor.clip.encode_image(picture)[0]
        after = editor.render(editor.edit(codes, image=path), size=64).rgb
        similar = [editor.clip.encode_image(views) @ goal for views in (before, after)]
        gains.append(similar[1] - similar[0])
        colors.append([_color(before, picture), _color(after, picture)])
    gain, color = torch.stack(gains), torch.tensor(colors).mean(0)
    assert float(gain.mean()) > 0.25 and float((gain > 0).float().mean()) > 0.8
    assert color[1] < 0.75 * color[0]


def _color(views: torch.Tensor, picture: torch.Tensor) -> float:
    """Mean distance of the mean color of what is not white from that of a picture."""

    def mean(some: torch.Tensor) -> torch.Tensor:
        drawn = (some.amin(1, keepdim=True) < 0.9).float()
        return (some * drawn).sum((2, 3)) / drawn.sum((2, 3))

    return float((mean(views) - mean(picture)).norm(dim=1).mean())
