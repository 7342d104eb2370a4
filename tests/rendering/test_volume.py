"""Volume rendering against closed forms, and at densities no network should reach."""

import math

import pytest
import torch

from clipnerf.rendering.volume import RenderOutput, composite, expected_depth, render_weights


@pytest.mark.parametrize("sigma", [0.01, 0.7, 3.0, 40.0])
@pytest.mark.parametrize("samples", [1, 5, 64])
def test_constant_density_stops_one_minus_exp_of_sigma_times_length(sigma, samples):
    length = 1.7
    delta = torch.tensor([length / samples], dtype=torch.float64)
    weights = render_weights(torch.full((1, samples), sigma, dtype=torch.float64), delta)
    assert float(weights.sum()) == pytest.approx(1 - math.exp(-sigma * length), rel=1e-9)
    step = length / samples
    for i, weight in enumerate(weights[0].tolist()):
        expected = math.exp(-sigma * i * step) * (1 - math.exp(-sigma * step))
        assert weight == pytest.approx(expected, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("power", [-30, -10, -3, 0, 3, 10, 30])
@pytest.mark.parametrize("delta", [1e-6, 0.05, 3.0])
def test_weights_stay_finite_and_sum_to_at_most_one(power, delta):
    draw = torch.Generator().manual_seed(power + 40)
    sigma = torch.rand(50, 24, generator=draw) * 10.0**power
    sigma.requires_grad_()
    weights = render_weights(sigma, torch.full((50,), delta))
    weights.square().sum().backward()
    weights = weights.detach()
    assert bool(weights.isfinite().all()) and bool(sigma.grad.isfinite().all())
    assert float(weights.min()) >= 0
    assert float(weights.double().sum(-1).max()) <= 1 + 1e-7  # half a rounding a sample


def test_densities_of_every_size_on_one_ray():
    sigma = torch.tensor([[1e-30, 1e30, 0.0, 1.0, 1e30, 1e-30], [0.0, 1e-30, 0.0, 0.0, 0.0, 1e30]])
    weights = render_weights(sigma, torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(weights, torch.tensor([[0.0, 1, 0, 0, 0, 0], [0.0, 0, 0, 0, 0, 1]]))


def test_an_empty_interval_stops_nothing_however_dense():
    assert not render_weights(torch.full((1, 8), 1e30), torch.zeros(1)).any()


def test_gradcheck_of_the_weights():
    sigma = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    delta = torch.rand(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(render_weights, (sigma, delta))


@pytest.mark.parametrize("background", [0.0, 0.25, 1.0])
def test_colors_over_a_background(background):
    weights = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.25, 0.5]])
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    rgb = torch.stack((red, blue)).expand(3, 2, 3)
    color, opacity = composite(weights, rgb, background)
    torch.testing.assert_close(opacity, torch.tensor([1.0, 0.0, 0.75]))
    torch.testing.assert_close(color[0], blue)
    torch.testing.assert_close(color[1], torch.full((3,), background))
    torch.testing.assert_close(color[2], 0.25 * red + 0.5 * blue + 0.25 * background)


def test_depth_of_a_wall_of_nothing_and_of_fog():
    t, far = torch.tensor([[1.0, 2.0, 3.0]]).expand(2, 3), torch.full((2,), 9.0)
    weights = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert expected_depth(weights, t, far).tolist() == [2.0, 9.0]
    # Fog of density sigma on [0, L]: the mean of an exponential cut off at L.
    sigma, length, samples = 1.3, 2.0, 4000
    delta = torch.tensor([length / samples], dtype=torch.float64)
    middle = (torch.arange(samples, dtype=torch.float64)[None] + 0.5) * delta
    weights = render_weights(torch.full_like(middle, sigma), delta)
    found = expected_depth(weights, middle, torch.tensor([length], dtype=torch.float64))
    assert float(found) == pytest.approx((1 - math.exp(-sigma * length)) / sigma, rel=1e-5)


def test_batches_are_joined():
    parts = [
        RenderOutput(torch.rand(n, 3, 4, 4), torch.rand(n, 1, 4, 4), torch.rand(n, 1, 4, 4))
        for n in (1, 2)
    ]
    whole = RenderOutput.cat(parts)
    assert whole.rgb.shape == (3, 3, 4, 4)
    assert torch.equal(whole.opacity[1:], parts[1].opacity)
    assert torch.equal(whole.depth[:1], parts[0].depth)
