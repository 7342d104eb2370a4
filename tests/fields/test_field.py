"""The conditional field: what each code can reach, and how far."""

import inspect

import pytest
import torch

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.layout import GridLayout


def make_field(seed: int = 0, **options) -> ConditionalField:
    torch.manual_seed(seed)
    sizes = dict(code_dim=8, style_dim=8, deform_width=8, density_width=8, color_width=8)
    return ConditionalField(GridLayout(3, 3, 2, 9, 4, 16), **{**sizes, **options})


def stirred(field: ConditionalField) -> ConditionalField:
    """The field with every parameter moved well away from its start."""
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return field


def test_no_argument_of_geometry_can_carry_appearance():
    # z_a enters through AppearanceStyle alone, and neither deform nor density accept one.
    for method in (ConditionalField.deform, ConditionalField.density):
        source = " ".join(str(p) for p in inspect.signature(method).parameters.values())
        assert "ppearance" not in source and "z_a" not in source
    field = make_field()
    with pytest.raises(ValueError, match="entangled baseline only"):
        field.shape_style(torch.randn(1, 8), torch.randn(1, 8))
    with pytest.raises(ValueError, match="entangled baseline only"):
        field.appearance_style(torch.randn(1, 8), torch.randn(1, 8))


def test_an_appearance_style_handed_to_density_is_refused():
    field = make_field()
    style = field.appearance_style(torch.randn(1, 8))
    features = field.features(torch.zeros(1, 4, 3))
    with pytest.raises(Exception, match="style"):
        field.density(features, style)


def test_the_deformation_starts_at_zero():
    points = torch.rand(2, 30, 3) * 2 - 1
    field = make_field()
    assert torch.equal(field.deform(points, field.shape_style(torch.randn(2, 8))), points)


@pytest.mark.parametrize("limit", [0.05, 0.2])
def test_the_deformation_stays_within_its_limit_and_follows_the_shape_code(limit):
    field = stirred(make_field(deform_limit=limit))
    points = torch.rand(1, 200, 3).expand(2, -1, -1) * 2 - 1
    deformed = field.deform(points, field.shape_style(5 * torch.randn(2, 8)))
    shift = (deformed - points).abs().detach()
    assert float(shift.max()) <= limit + 1e-6
    assert float(shift.max()) > 0.5 * limit
    assert not torch.allclose(deformed[0], deformed[1])


def test_density_is_never_negative_and_color_stays_in_range():
    field = stirred(make_field())
    for parameter in field.parameters():
        parameter.data *= 10
    codes, points = torch.randn(2, 8), torch.rand(2, 100, 3) * 4 - 2
    style = field.shape_style(codes)
    features = field.features(field.deform(points, style))
    sigma = field.density(features, style).detach()
    rgb = field.color(features, field.appearance_style(codes)).detach()
    assert float(sigma.min()) >= 0 and bool(sigma.isfinite().all())
    assert float(rgb.min()) >= 0 and float(rgb.max()) <= 1
    assert sigma.shape == (2, 100) and rgb.shape == (2, 100, 3)


def test_density_of_a_zero_network_is_its_bias_in_closed_form():
    field = make_field(density_bias=-1.5, density_scale=7.0)
    for parameter in field.parameters():
        torch.nn.init.zeros_(parameter)
    style = field.shape_style(torch.randn(1, 8))
    sigma = field.density(field.features(torch.rand(1, 5, 3)), style)
    expected = 7.0 * torch.log1p(torch.exp(torch.tensor(-1.5)))
    torch.testing.assert_close(sigma, expected.expand(1, 5))


def test_progress_fades_the_modulation_of_density_and_opens_octaves():
    field = stirred(make_field())
    points = torch.rand(1, 20, 3).expand(2, -1, -1)
    codes = torch.randn(2, 8)

    def sigma(topology: float) -> torch.Tensor:
        field.set_progress(5.0, topology)
        return field.density(field.features(points), field.shape_style(codes))

    without, half, full = sigma(0.0), sigma(0.5), sigma(1.0)
    torch.testing.assert_close(without[0], without[1])
    assert not torch.allclose(half[0], half[1]) and not torch.allclose(half, full)
    field.set_progress(1.0, 1.0)
    early = field.deform(points, field.shape_style(codes))
    field.set_progress(99.0, 1.0)
    assert float(field.progress[0]) == field.deform_octaves
    assert not torch.allclose(early, field.deform(points, field.shape_style(codes)))
    assert "progress" in field.state_dict()


def test_a_selection_of_styles_is_the_selection_of_objects():
    field = stirred(make_field())
    codes, points, rows = torch.randn(3, 8), torch.rand(3, 10, 3), torch.tensor([2, 0])
    shape, appearance = field.shape_style(codes), field.appearance_style(codes)
    features = field.features(field.deform(points, shape))
    few = field.features(field.deform(points[rows], shape.rows(rows)))
    torch.testing.assert_close(few, features[rows])
    torch.testing.assert_close(
        field.density(few, shape.rows(rows)), field.density(features, shape)[rows]
    )
    torch.testing.assert_close(
        field.color(few, appearance.rows(rows)), field.color(features, appearance)[rows]
    )


def test_the_entangled_baseline_needs_both_codes_everywhere_and_does_not_deform():
    field = stirred(make_field(conditioning="entangled"))
    z_s, z_a = torch.randn(2, 8), torch.randn(2, 8)
    with pytest.raises(ValueError, match="must there"):
        field.shape_style(z_s)
    with pytest.raises(ValueError, match="must there"):
        field.appearance_style(z_a)
    points = torch.rand(2, 10, 3)
    style = field.shape_style(z_s, z_a)
    assert torch.equal(field.deform(points, style), points)
    features = field.features(points)
    other = field.density(features, field.shape_style(z_s, -z_a))
    assert not torch.allclose(field.density(features, style), other)


def test_color_sees_the_direction_only_where_it_is_asked_to():
    field = stirred(make_field(view_direction=True))
    style = field.appearance_style(torch.randn(1, 8))
    features = field.features(torch.rand(1, 10, 3))
    ahead = torch.tensor([0.0, 0.0, 1.0]).expand(1, 10, 3)
    assert not torch.allclose(
        field.color(features, style, ahead), field.color(features, style, -ahead)
    )
    with pytest.raises(ValueError, match="direction"):
        field.color(features, style)


def test_an_unknown_conditioning_is_named():
    with pytest.raises(ValueError, match="'mixed'.*'disentangled'"):
        make_field(conditioning="mixed")


def mirrored(points: torch.Tensor) -> torch.Tensor:
    return points * torch.tensor([1.0, -1.0, 1.0])


def test_mirrored_geometry_is_the_same_on_both_sides_bit_for_bit_and_color_is_not():
    field = stirred(make_field(mirror=True))
    points, code = torch.rand(1, 300, 3) * 2 - 1, torch.randn(1, 8)
    style = field.shape_style(code)
    features, sigma = field.geometry(points, style)
    other, as_dense = field.geometry(mirrored(points), style)
    assert torch.equal(sigma, as_dense) and float(sigma.std()) > 0
    assert torch.equal(features[..., :-1], other[..., :-1])
    assert torch.equal(features[..., -1], -other[..., -1])
    look = field.appearance_style(code)
    assert float((field.color(features, look) - field.color(other, look)).abs().max()) > 0.01
    # left and right stay apart in the canonical space, where regions are looked for
    moved = field.deform(points, style)
    torch.testing.assert_close(field.deform(mirrored(points), style), mirrored(moved))
    assert field.point_features == features.shape[-1]


def test_without_a_mirror_the_sides_differ():
    field = stirred(make_field())
    points, style = torch.rand(1, 100, 3) * 2 - 1, field.shape_style(torch.randn(1, 8))
    one, other = (field.geometry(p, style)[1] for p in (points, mirrored(points)))
    assert float((one - other).abs().max()) > 1e-3


def test_the_side_reaches_no_weight_of_density():
    field = stirred(make_field(mirror=True))
    style = field.shape_style(torch.randn(1, 8))
    assert not style.density[0].weight[:, -1].any()
    features = torch.randn(1, 50, field.point_features)
    moved = features.clone()
    moved[..., -1] += 3
    assert torch.equal(field.density(features, style), field.density(moved, style))


def test_a_mirrored_object_has_no_groove_where_its_halves_meet():
    field = stirred(make_field(mirror=True))
    style = field.shape_style(torch.randn(1, 8))
    on_plane = (torch.rand(1, 100, 3) * 2 - 1) * torch.tensor([1.0, 0.0, 1.0])
    for y, most in ((0.0, 1e-5), (0.3, None)):
        points = (on_plane + torch.tensor([0.0, y, 0.0])).requires_grad_()
        (slope,) = torch.autograd.grad(field.geometry(points, style)[1].sum(), points)
        assert float(slope[..., 0].abs().max()) > 1e-2
        steepest = float(slope[..., 1].abs().max())
        assert steepest > 1e-2 if most is None else steepest <= most
