"""Paint: parts that never take a color get it; parts that do are left to the network."""

from dataclasses import replace

import pytest
import torch

from clipnerf.editor.mapping import CodeChange
from clipnerf.editor.morph import between
from clipnerf.editor.recolor import random_appearances, recolored
from clipnerf.fields.masks import BoxRegion
from clipnerf.gan.codes import Codes, LocalEdit
from tests.tiny_bundle import tiny_generator

RED = torch.tensor([0.9, 0.1, 0.1])
BLACK = torch.tensor([0.05, 0.05, 0.05])


@pytest.fixture
def generator(monkeypatch):
    """Objects solid all over; above the floor their color is z_a's, below it always black."""
    generator = tiny_generator()
    field = generator.field
    monkeypatch.setattr(
        field, "geometry", lambda points, style, *_: (points, torch.full(points.shape[:2], 9.0))
    )

    def color(points, style, *_):
        own = style.color[0].bias[:, :, :1].sigmoid() * RED
        above = (points[..., 2:] > 0).float()
        return above * own + (1 - above) * BLACK

    monkeypatch.setattr(field, "color", color)
    return generator


def layer_of(codes, low, high) -> tuple[LocalEdit, CodeChange]:
    count = len(codes)
    region = BoxRegion(torch.tensor([low]).expand(count, 3), torch.tensor([high]).expand(count, 3))

    def whole(objects: Codes) -> Codes:
        """The code whose color is strongest, whatever an object had."""
        target = torch.linspace(-2, 2, objects.appearance.shape[1])
        return replace(objects, appearance=target.expand_as(objects.appearance))

    layer = LocalEdit(region, None, whole(codes).appearance, torch.ones(count, 1))
    random = random_appearances(tiny_generator())
    return layer, CodeChange(random, whole(random))


def test_a_part_that_never_takes_a_color_is_painted(generator):
    codes = Codes.from_seeds([0, 1], 16)
    legs, random = layer_of(codes, [-1.0, -1.0, -1.0], [1.0, 1.0, -0.1])
    found = recolored(generator, codes, legs, random)
    wanted = generator.field.color(
        torch.tensor([[[0.0, 0.0, 0.5]]]).expand(2, 1, 3),
        generator.field.appearance_style(legs.appearance),
    )[:, 0]
    assert found.paint[:, 3].tolist() == [1.0, 1.0]
    torch.testing.assert_close(found.paint[:, :3], wanted, atol=1e-3, rtol=0)


def test_a_part_that_takes_it_is_left_to_the_network(generator):
    codes = Codes.from_seeds([0, 1], 16)
    seat, random = layer_of(codes, [-1.0, -1.0, 0.1], [1.0, 1.0, 1.0])
    assert recolored(generator, codes, seat, random).paint[:, 3].tolist() == [0.0, 0.0]


def test_an_edit_of_shape_alone_is_not_painted(generator):
    codes = Codes.from_seeds([0], 16)
    seat, random = layer_of(codes, [-1.0, -1.0, 0.1], [1.0, 1.0, 1.0])
    plain = replace(seat, shape=seat.appearance, appearance=None)
    assert recolored(generator, codes, plain, random) is plain


def test_paint_reaches_the_picture_only_where_it_is_asked_for():
    generator = tiny_generator()
    codes = Codes.from_seeds([0, 1], 16)
    seat, _ = layer_of(codes, [-1.0, -1.0, 0.1], [1.0, 1.0, 1.0])
    paint = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    camera = generator.camera(30.0, 20.0, 12)
    own = generator.render(replace(codes, layers=(seat,)), camera)
    some = generator.render(replace(codes, layers=(replace(seat, paint=paint),)), camera)
    assert torch.equal(own.opacity, some.opacity)
    torch.testing.assert_close(own.rgb[1], some.rgb[1])
    assert float((own.rgb[0] - some.rgb[0]).abs().max()) > 0.05
    alone = replace(codes, layers=(replace(seat, paint=paint),))[[1]]
    assert alone.layers[0].paint.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_paint_fades_in_a_morph():
    codes = Codes.from_seeds([0], 16)
    seat, _ = layer_of(codes, [-1.0, -1.0, 0.1], [1.0, 1.0, 1.0])
    bare = replace(codes, layers=(seat,))
    red = replace(codes, layers=(replace(seat, paint=torch.tensor([[1.0, 0.0, 0.0, 1.0]])),))
    half = between(bare, red, 0.5).layers[0].paint
    assert half.tolist() == [[1.0, 0.0, 0.0, 0.5]]
    assert between(red, bare, 0.25).layers[0].paint.tolist() == [[1.0, 0.0, 0.0, 0.75]]
    assert between(bare, bare, 0.5).layers[0].paint is None
