"""Folded FiLM against FiLM written out."""

import pytest
import torch

from clipnerf.fields.modulated import CodeMapping, ModulatedLinear


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_folding_equals_scaling_and_shifting_each_channel(strength):
    torch.manual_seed(0)
    layer = ModulatedLinear(7, 5, style_dim=4).double()
    torch.nn.init.normal_(layer.bias)
    x, style = torch.randn(3, 11, 7).double(), torch.randn(3, 4).double()
    gamma, beta = layer.film(style).split(5, dim=1)
    plain = x @ layer.weight + layer.bias
    expected = plain * (1 + strength * gamma[:, None]) + strength * beta[:, None]
    torch.testing.assert_close(layer.fold(style, strength)(x), expected)


def test_strength_zero_is_one_layer_for_all_objects():
    layer = ModulatedLinear(7, 5, style_dim=4)
    affine = layer.fold(torch.randn(3, 4), 0.0)
    for row in range(3):
        assert torch.equal(affine.weight[row], layer.weight)
        assert torch.equal(affine.bias[row, 0], layer.bias)


def test_a_plain_layer_ignores_the_style():
    layer = ModulatedLinear(7, 5)
    x = torch.randn(3, 11, 7)
    torch.testing.assert_close(layer.fold(torch.randn(3, 4))(x), x @ layer.weight + layer.bias)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_a_selection_of_objects_keeps_their_weights():
    layer = ModulatedLinear(7, 5, style_dim=4)
    affine, x = layer.fold(torch.randn(3, 4)), torch.randn(3, 2, 7)
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(affine.rows(rows)(x[rows]), affine(x)[rows])


def test_gradients_reach_weights_film_and_style():
    layer = ModulatedLinear(7, 5, style_dim=4).double()
    style = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, p: layer.fold(s)(p), (style, x))
    layer.fold(style)(x).square().sum().backward()
    assert all(bool(p.grad.any()) for p in layer.parameters())


def test_the_mapping_sees_only_a_codes_direction():
    mapping = CodeMapping(16, 8)
    code = torch.randn(4, 16)
    torch.testing.assert_close(mapping(code), mapping(3 * code), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mapping(code), mapping(-code))
    assert bool(mapping(torch.zeros(1, 16)).isfinite().all())
