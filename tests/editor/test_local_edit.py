"""Local edits by an Editor: phrases, boxes, painted masks, several at once, and what is refused."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.editor import Editor, Painted
from clipnerf.editor.local_edit import last_of
from clipnerf.editor.morph import between
from clipnerf.editor.regions import THRESHOLD, PhraseGrounding, RegionFinder
from clipnerf.errors import UsageError
from clipnerf.fields.region import RegionField
from clipnerf.io.video import read_video
from clipnerf.rendering.density_grid import EMPTY_SHARE
from tests.tiny_bundle import tiny_bundle, tiny_generator

BOX = (-1.0, -1.0, 0.1, 1.0, 1.0, 1.0)
VECTOR = 4


class FakeSentences:
    """A phrase is its own projection: some number of the field's, nothing, or everything."""

    def sentence(self, texts):
        rows = []
        for text in texts:
            row = torch.zeros(VECTOR + 1)
            row[-1] = {"the armrests": -40.0, "the chair": 40.0}.get(text, 0.0)
            if not float(row[-1]):
                row[["the seat", "the back"].index(text) if text.startswith("the ") else 2] = 9.0
                row[-1] = math.log(THRESHOLD / (1 - THRESHOLD))  # half of the points are above
            rows.append(row)
        return torch.stack(rows)

    def unknown_words(self, text):
        return [word for word in text.split() if word.startswith("zy")]


@pytest.fixture(scope="module")
def plain_editor(tmp_path_factory):
    """Of a bundle without region field."""
    return Editor.load(tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


@pytest.fixture(scope="module")
def editor(plain_editor):
    generator = plain_editor.generator
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        sizes = (generator.field.density_layers[0].weight.shape[0], 8, VECTOR + 1)
        field = RegionField(*sizes, width=8, vector=VECTOR)
        field.text.weight.copy_(torch.eye(VECTOR + 1))
        field.text.bias.zero_()
    known = PhraseGrounding(field.requires_grad_(False), FakeSentences(), "chair")
    mappers = list(plain_editor.mappers.values())
    return Editor(generator, plain_editor.clip, mappers, None, RegionFinder(generator, known))


@pytest.fixture
def codes(editor):
    return editor.sample([0, 1])


def changed(one, other) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("kind", ["phrase", "box", "painted"])
def test_a_local_color_changes_its_region_alone(editor, codes, kind):
    mask = torch.zeros(1, 16, 16)
    mask[:, :8] = 1
    region = {"phrase": "the seat", "box": BOX, "painted": Painted(mask, 30.0, 20.0)}[kind]
    edited = editor.edit(codes, "a red chair", shape=0, region=region)
    assert torch.equal(edited.shape, codes.shape)
    assert torch.equal(edited.appearance, codes.appearance)
    before, after = editor.render(codes, size=16), editor.render(edited, size=16)
    assert torch.equal(before.opacity, after.opacity) and torch.equal(before.depth, after.depth)
    shown = editor.region_picture(codes, region, size=16)
    assert shown.shape == (2, 1, 16, 16) and float(shown.min()) == 0 < float(shown.max()) <= 1
    outside = (shown == 0).expand_as(before.rgb)
    # the picture of the mask leaves out fog that counts as empty
    limit = EMPTY_SHARE if kind == "phrase" else 0.0
    assert changed(before.rgb[outside], after.rgb[outside]) <= limit
    assert changed(before.rgb, after.rgb) > 0.02


@pytest.mark.parametrize("front_deg", [0.0, 90.0, 135.0, 180.0])
def test_boxes_have_the_objects_front_at_x_wherever_it_faces(front_deg):
    generator = tiny_generator()
    generator.config = dataclasses.replace(generator.config, front_azimuth_deg=front_deg)
    codes = Editor(generator).sample([0, 1])
    front_left = RegionFinder(generator).find(codes, (0, 0, -1, 1, 1, 1))[[1]].to("cpu")
    mask = front_left.bind(generator.field.shape_mapping, codes.shape[[1]])
    # cameras stand to the front, and to the left of it, as people name them
    places = generator.camera(torch.tensor([45.0, 135.0, 225.0, 315.0]), 0.0, 8).c2w[:, :3, 3]
    points = 0.5 * torch.nn.functional.normalize(places, dim=1)
    assert mask(points[None], torch.zeros(1, 4, 1)).tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_the_pictures_of_nothing_and_of_everything(editor, codes):
    opacity = editor.render(codes, size=12).opacity
    everything = editor.region_picture(codes, "the chair", size=12)
    torch.testing.assert_close(everything, opacity, atol=EMPTY_SHARE, rtol=0)
    assert not editor.region_picture(codes, "the armrests", size=12).any()


def test_a_higher_threshold_finds_less(editor, codes):
    low, high = (editor.region_picture(codes, "the seat", size=12, threshold=t) for t in (0.1, 0.9))
    assert bool((low >= high - 1e-6).all()) and float(low.sum()) > float(high.sum()) * 1.05


def test_a_bare_word_asks_for_the_category(editor, codes):
    bare = editor.edit(codes, "red", region="the seat")
    whole = editor.edit(codes, "a red chair", region="the seat")
    assert torch.equal(bare.layers[0].appearance, whole.layers[0].appearance)
    assert bare.layers[0].shape is None  # a bare color leaves the shape alone
    assert bare.layers[0].paint is not None and whole.layers[0].paint is None


def test_several_at_once_are_one_after_the_other(editor, codes):
    edits = {"the seat": "red", "the back": "blue"}
    both = editor.edit_parts(codes, edits)
    one = editor.edit(codes, "red", region="the seat")
    after = editor.edit(one, "blue", region="the back")
    assert len(both.layers) == 2
    assert torch.equal(editor.render(both, size=12).rgb, editor.render(after, size=12).rgb)
    assert torch.equal(
        editor.render(editor.edit_parts(codes, list(edits.items())), size=12).rgb,
        editor.render(both, size=12).rgb,
    )


def test_of_two_edits_of_one_part_the_last_counts(editor, codes):
    pairs = [("the seat", "red"), ("the back", "blue"), ("The  seat", "green")]
    with pytest.warns(UserWarning, match="'the seat' is edited more than once"):
        assert last_of(pairs) == [("the back", "blue"), ("The  seat", "green")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert last_of({"the seat": "red"}) == [("the seat", "red")]
    with pytest.raises(UsageError, match="no local edit"):
        editor.edit_parts(codes, {})


def test_a_later_edit_of_the_whole_reaches_the_parts(editor, codes):
    local = editor.edit(codes, "a red chair", shape=0, region="the seat")
    after = editor.edit(local, "a blue chair", shape=0)
    whole = editor.edit(codes, "a blue chair", shape=0)
    assert torch.equal(after.appearance, whole.appearance)
    assert not torch.equal(after.layers[0].appearance, local.layers[0].appearance)
    assert after.layers[0].shape is None
    assert changed(editor.render(after, size=12).rgb, editor.render(whole, size=12).rgb) > 0.01


def test_parts_that_no_object_has_and_that_some_lack(editor, codes, monkeypatch):
    with pytest.raises(UsageError, match="no such part: 'the armrests'") as caught:
        editor.edit(codes, "red", region="the armrests")
    assert "\n" not in str(caught.value)
    share = torch.tensor([0.3, 0.0])
    monkeypatch.setattr(RegionFinder, "share", lambda self, codes, region: share)
    with pytest.warns(UserWarning, match="no such part: 'the seat' is not on object 1 of 2"):
        edited = editor.edit(codes, "a red chair", shape=0, region="the seat")
    before, after = editor.render(codes, size=12).rgb, editor.render(edited, size=12).rgb
    assert torch.equal(before[1], after[1]) and changed(before[0], after[0]) > 0.02


def test_share_is_of_what_is_seen(editor, codes):
    region = editor.parts.find
    assert editor.parts.share(codes, region(codes, "the armrests")).tolist() == [0, 0]
    all_of_it = editor.parts.share(codes, region(codes, "the chair"))
    torch.testing.assert_close(all_of_it, torch.ones(2), atol=2e-3, rtol=0)
    upper, lower = (
        editor.parts.share(codes, region(codes, (-2, -2, low, 2, 2, low + 2))) for low in (0, -2)
    )
    assert bool(((upper + lower > 0.8) & (upper + lower <= 1.001)).all())


def test_unknown_words_of_a_phrase_are_named(editor, codes):
    with pytest.warns(UserWarning, match="never met 'zyx'"):
        editor.region_picture(codes, "zyx wheel", size=8)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (" ", "region is empty"),
        ((0, 0, 0, 1, 1), "the lowest and the highest"),
        ((0, 0, 0, 1, 1, -1), "the lowest and the highest"),
        ((0, 0, 0, 1, 1, float("nan")), "the lowest and the highest"),
        (Painted(torch.zeros(1, 8, 9)), "painted mask is 1 x 8 x 9"),
        (Painted(torch.zeros(3, 8, 8)), "painted mask is 3 x 8 x 8"),
        (Painted("no/such.png"), "no/such.png"),
    ],
)
def test_regions_that_are_none(editor, codes, region, message):
    with pytest.raises(UsageError, match=message) as caught:
        editor.edit(codes, "red", region=region)
    assert "\n" not in str(caught.value)


def test_a_mask_may_be_painted_in_many_ways(editor, codes, tmp_path):
    shares = torch.zeros(1, 16, 16)
    shares[:, :8] = 1
    wanted = editor.edit(codes, "red", region=Painted(shares)).layers[0].region.painted
    levels = shares[0].byte().numpy()
    layer = np.dstack([levels * 0] * 3 + [levels * 255])
    Image.fromarray(layer).save(tmp_path / "alpha.png")
    Image.fromarray(levels).save(tmp_path / "0-and-1.png")
    for mask in (
        tmp_path / "alpha.png",
        str(tmp_path / "0-and-1.png"),
        levels,
        levels > 0,
        shares.byte(),
        shares.byte() * 255,
        Image.fromarray(layer),
    ):
        edited = editor.edit(codes, "red", region=Painted(mask))
        assert torch.equal(edited.layers[0].region.painted, wanted)
    with pytest.raises(UsageError, match="the mask has more than two values, the largest 3;"):
        editor.edit(codes, "red", region=Painted(torch.arange(4).expand(1, 16, 4).repeat(1, 1, 4)))


def test_a_painted_mask_of_another_size_than_its_camera(editor, codes):
    camera = editor.generator.camera(30.0, 20.0, 16)
    with pytest.raises(UsageError, match="8 pixels wide and its camera's picture 16"):
        editor.edit(codes, "red", region=Painted(torch.ones(1, 8, 8), camera=camera))


@pytest.mark.parametrize("threshold", [0, 1, -0.5, float("nan")])
def test_thresholds_out_of_range(editor, codes, threshold):
    with pytest.raises(UsageError, match="threshold is"):
        editor.edit(codes, "red", region="the seat", threshold=threshold)


def test_a_bundle_without_region_field_says_how_to_make_one(plain_editor):
    codes = plain_editor.sample([0])
    with pytest.raises(UsageError, match="no region field.*clipnerf train-region") as caught:
        plain_editor.edit(codes, "a red chair", region="the seat")
    assert "\n" not in str(caught.value)
    boxed = plain_editor.edit(codes, "a red chair", region=BOX)  # needs none
    assert (
        changed(plain_editor.render(boxed, size=12).rgb, plain_editor.render(codes, size=12).rgb)
        > 0.02
    )


def test_a_morph_through_a_local_edit_fades_it_in(editor, codes):
    edited = editor.edit(codes, "a red chair", shape=0, region="the seat")
    assert between(codes, edited, 0.25).layers[0].strength.flatten().tolist() == [0.25, 0.25]
    assert between(edited, codes, 0.25).layers[0].strength.flatten().tolist() == [0.75, 0.75]
    other = editor.edit(codes, "a blue chair", shape=0, region="the seat")
    middle = between(edited, other, 0.5)
    assert len(middle.layers) == 1 and middle.layers[0].strength.flatten().tolist() == [1, 1]
    ends = edited.layers[0].appearance, other.layers[0].appearance
    assert all(changed(middle.layers[0].appearance, end) > 1e-3 for end in ends)
    elsewhere = editor.edit(codes, "a blue chair", shape=0, region="the back")
    assert len(between(edited, elsewhere, 0.5).layers) == 2


def test_an_orbit_shows_local_edits(editor, codes, tmp_path):
    edited = editor.edit(codes, "a red chair", shape=0, appearance=3, region=BOX)
    films = [
        read_video(editor.orbit(some, tmp_path / f"{n}.mp4", frames=2, size=32)).astype(int)
        for n, some in enumerate((codes, edited))
    ]
    view = editor.render(edited, 0, 20, 32).rgb
    wanted = torch.cat(list(view), dim=2).permute(1, 2, 0).numpy() * 255
    assert abs(films[1][0] - wanted).mean() < 12
    assert abs(films[1] - films[0]).max() > 20


def test_strength_zero_for_both_changes_nothing(editor, codes):
    assert editor.edit(codes, "red", shape=0, appearance=0, region="the seat") is codes


def test_a_local_shape_changes_its_region_alone(editor, codes):
    before = editor.render(codes, size=16)
    for region in ("the seat", BOX):
        edited = editor.edit(codes, "a wide chair", shape=3, appearance=0, region=region)
        assert edited.layers[0].appearance is None and torch.equal(edited.shape, codes.shape)
        after = editor.render(edited, size=16)
        assert changed(before.opacity, after.opacity) > 0.01
        shown = editor.region_picture(edited, region, size=16)
        outside = (shown == 0) & (editor.region_picture(codes, region, size=16) == 0)
        if region is BOX:
            assert bool(outside.any())
            assert changed(before.opacity[outside], after.opacity[outside]) <= EMPTY_SHARE
