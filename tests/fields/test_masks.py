"""Local edits in the field: masks that are exactly nothing outside, and layers that obey them."""

import pytest
import torch

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.masks import (
    BEHIND,
    BOX_EDGE,
    AnyOf,
    BoxRegion,
    ColorLayer,
    PaintedRegion,
    PhraseRegion,
    ShapeLayer,
)
from clipnerf.fields.region import RegionField
from clipnerf.fields.styles import AppearanceStyle
from clipnerf.rendering.cameras import Camera
from tests.tiny_bundle import CODE_DIM, tiny_generator


@pytest.fixture(scope="module")
def field() -> ConditionalField:
    return tiny_generator().field


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def box(batch: int = 2) -> BoxRegion:
    """A box for each object, each a little higher than the one before."""
    up = 0.1 * torch.arange(batch)[:, None] * torch.tensor([0.0, 0.0, 1.0])
    return BoxRegion(torch.tensor([[-0.5, -0.5, 0.0]]) + up, torch.tensor([[0.5, 0.5, 0.5]]) + up)


def painted(batch: int = 2) -> PaintedRegion:
    """The left half of the view from the front, of a surface at a distance of 4."""
    camera = Camera.orbit(0.0, 0.0, size=8).expand(batch)
    mask = torch.zeros(batch, 1, 8, 8)
    mask[..., :4] = 1
    return PaintedRegion(camera, mask, torch.full((batch, 1, 8, 8), 4.0))


def phrase(field: ConditionalField, batch: int = 2) -> PhraseRegion:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        region = RegionField(field.density_layers[0].weight.shape[0], 8, 6, width=8, vector=4)
    return PhraseRegion(region, 4 * draw(batch, 5, seed=4), torch.tensor([[0.5], [0.6]]))


def test_a_box_is_nothing_outside_and_all_inside():
    lift = torch.tensor([-0.1, 0.0, BOX_EDGE / 2, BOX_EDGE, 0.25, 0.5, 0.6])
    points = torch.zeros(1, 7, 3)
    points[..., 2] = lift
    mask = box(1)(points, points)[0]
    assert mask[[0, 1, 5, 6]].tolist() == [0, 0, 0, 0] and mask[[3, 4]].tolist() == [1, 1]
    assert float(mask[2]) == pytest.approx(0.5, abs=1e-5)
    assert box(1)(torch.tensor([[[0.9, 0.0, 0.25]]]), points).item() == 0


def test_a_painted_mask_covers_its_pixels_down_to_a_little_behind_the_surface():
    """Seen from the front (+x), left in the picture is -y."""
    points = torch.tensor(
        [
            [
                [0.0, -0.4, 0.0],
                [0.0, 0.4, 0.0],
                [-0.7 * BEHIND, -0.4, 0.0],
                [-1.5 * BEHIND, -0.4, 0.0],
                [0.4, -0.4, 0.2],
                [0.0, -5.0, 0.0],
            ]
        ]
    )
    assert painted(1)(points, points).tolist() == [[1, 0, 1, 0, 1, 0]]


@pytest.mark.parametrize("kind", ["box", "painted", "phrase", "any"])
def test_masks_of_a_selection_are_the_selected_masks(field, kind):
    z_s = draw(2, CODE_DIM)
    regions = {"box": box(), "painted": painted(), "phrase": phrase(field)}
    found = {name: region.bind(field.shape_mapping, z_s) for name, region in regions.items()}
    mask = AnyOf((found["box"], found["phrase"])) if kind == "any" else found[kind]
    points = 0.4 * draw(2, 200, 3, seed=1)
    features = field.features(points)
    values = mask(points, features).detach()
    assert 0 == float(values.min()) and float(values.max()) == 1
    rows = torch.tensor([1])
    torch.testing.assert_close(mask.rows(rows)(points[rows], features[rows]), values[rows])
    if kind != "any":
        region = regions[kind]
        mask = region[rows].to("cpu").bind(field.shape_mapping, z_s[rows])
        again = mask(points[rows], features[rows])
        torch.testing.assert_close(again, values[rows])
        assert torch.equal(region[rows].numbers, region.numbers[rows])


def test_a_phrases_mask_depends_on_the_shape_code(field):
    points = 0.4 * draw(2, 200, 3, seed=1)
    features = field.features(points)
    one = phrase(field).bind(field.shape_mapping, draw(2, CODE_DIM))(points, features)
    other = phrase(field).bind(field.shape_mapping, draw(2, CODE_DIM, seed=9))(points, features)
    assert not torch.equal(one, other)


def test_a_color_is_another_within_the_mask_and_the_same_bits_outside(field):
    plain = field.appearance_style(draw(2, CODE_DIM))
    other = field.appearance_style(draw(2, CODE_DIM, seed=5))
    points = 0.6 * draw(2, 300, 3, seed=1)
    features = field.features(points)
    strength = torch.tensor([[1.0], [0.0]])
    style = AppearanceStyle(plain.color, (ColorLayer(other.color, box(), strength),))
    before, after = field.color(features, plain), field.color(features, style, None, points)
    mask = box()(points, features)
    outside = mask == 0
    assert torch.equal(before[outside], after[outside]) and bool((mask[0] == 1).any())
    wanted = field.color(features, other)
    full = mask[0] == 1
    torch.testing.assert_close(after[0][full], wanted[0][full])
    assert not torch.allclose(before[0][full], wanted[0][full], atol=0.02)
    assert torch.equal(before[1], after[1])  # the edit is not of this object
    with pytest.raises(ValueError, match="points"):
        field.color(features, style)


def test_a_shape_is_another_within_the_mask_and_the_same_bits_outside(field):
    plain = field.shape_style(draw(2, CODE_DIM))
    other = field.shape_style(draw(2, CODE_DIM, seed=5))
    layer = ShapeLayer(other.deform, other.density, box(), box(), torch.ones(2, 1))
    style = type(plain)(plain.deform, plain.density, (layer,))
    points = 0.6 * draw(2, 400, 3, seed=1)
    (features, sigma), (own, thick) = field.geometry(points, plain), field.geometry(points, style)
    outside = box()(points, features) == 0
    assert torch.equal(features[outside], own[outside])
    assert torch.equal(sigma[outside], thick[outside])
    # well inside, and where either object is solid, it is the other shape
    wanted = field.geometry(points, other)[1]
    full = (box()(points, features) == 1) & ((sigma > 6) | (wanted > 6))
    assert int(full.sum()) > 5
    torch.testing.assert_close(thick[full], wanted[full], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(sigma[full], wanted[full], atol=0.1)
    rows = torch.tensor([1])
    few = field.geometry(points[rows], style.rows(rows))[1]
    torch.testing.assert_close(few, thick[rows], atol=1e-4, rtol=1e-4)  # of another batch
