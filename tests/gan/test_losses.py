"""Losses against closed forms."""

import math

import pytest
import torch

from clipnerf.config.generator import DiscriminatorConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.losses import (
    blur,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    volume_priors,
)
from clipnerf.gan.patches import Patches


def test_the_game_in_closed_form():
    zero = torch.zeros(4)
    assert generator_loss(zero).item() == pytest.approx(math.log(2))
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    sure = torch.tensor([30.0, 30.0])
    assert discriminator_loss(sure, -sure).item() == pytest.approx(0, abs=1e-9)
    assert discriminator_loss(-sure, sure).item() == pytest.approx(60)
    assert generator_loss(-sure).item() == pytest.approx(30)
    values = torch.tensor([0.3, -1.2])
    expected = sum(math.log(1 + math.exp(-v)) for v in values.tolist()) / 2
    assert generator_loss(values).item() == pytest.approx(expected)


def test_the_generator_is_pushed_where_logits_grow():
    logits = torch.zeros(3, requires_grad=True)
    generator_loss(logits).backward()
    torch.testing.assert_close(logits.grad, torch.full((3,), -0.5 / 3))


class _Polynomial(Discriminator):
    """sum(w * x) + a/2 * sum(x^2): gradient w + a * x."""

    def __init__(self, weight: torch.Tensor, square: float = 0.0) -> None:
        super().__init__(DiscriminatorConfig(patch=8, width=1, max_width=1))
        self.linear, self.square = torch.nn.Parameter(weight), square

    def forward(self, pictures, patches):
        values = pictures * self.linear + 0.5 * self.square * pictures.square()
        return values.sum((1, 2, 3))


def test_r1_of_a_linear_discriminator_is_half_its_squared_norm():
    weight = torch.randn(3, 8, 8)
    discriminator, real = _Polynomial(weight), torch.rand(5, 3, 8, 8)
    penalty = r1_penalty(discriminator, real, Patches.whole(5))
    torch.testing.assert_close(penalty, 0.5 * weight.square().sum())
    penalty.backward()
    torch.testing.assert_close(discriminator.linear.grad, weight)
    assert not real.requires_grad


def test_r1_is_taken_at_the_real_pictures_and_averaged():
    weight, real = torch.randn(3, 8, 8), torch.rand(5, 3, 8, 8)
    penalty = r1_penalty(_Polynomial(weight, 3.0), real, Patches.whole(5))
    torch.testing.assert_close(penalty, 0.5 * (weight + 3 * real).square().sum((1, 2, 3)).mean())


def priors(generator, distance: float = 0.02, points: int = 64):
    styles = generator.styles(Codes.from_seeds([0, 1], 8))
    noise = torch.Generator().manual_seed(0)
    where = (torch.rand(2, points, 3, generator=noise) * 2 - 1) * generator.box
    offsets = torch.randn(2, points, 3, generator=noise) * distance
    return volume_priors(generator.field, styles, where, offsets)


def set_density(monkeypatch, generator, density, raw: float = 0.0) -> None:
    """A field of this density; its raw one is a constant."""
    monkeypatch.setattr(
        generator.field,
        "density_and_raw",
        lambda x, style: (density(x), torch.full(x.shape[:2], raw)),
    )


@pytest.mark.parametrize(("raw", "beyond"), [(0.0, 0), (-8.0, 0), (-11.0, 9), (10.0, 4)])
def test_raw_densities_beyond_the_softplus_are_drawn_back(make_generator, monkeypatch, raw, beyond):
    generator = make_generator()
    set_density(monkeypatch, generator, lambda x: torch.ones(x.shape[:2]), raw)
    assert float(priors(generator)[2]) == pytest.approx(beyond)


def test_the_raw_density_is_what_the_density_is_made_of(make_generator):
    field = make_generator().field
    style = field.shape_style(torch.randn(2, 8))
    features = field.features(torch.rand(2, 50, 3) - 0.5)
    sigma, raw = field.density_and_raw(features, style)
    softplus = torch.nn.functional.softplus(raw + field.density_bias)
    torch.testing.assert_close(sigma, field.density_scale * softplus)
    assert torch.equal(sigma, field.density(features, style))


def test_smoothness_of_an_exponential_density_in_closed_form(make_generator, monkeypatch):
    generator = make_generator(stir=0.0)
    slope = torch.tensor([3.0, -1.0, 2.0])
    monkeypatch.setattr(generator.field, "features", lambda points: points)
    set_density(monkeypatch, generator, lambda x: torch.expm1(6 + x @ slope))
    monkeypatch.setattr(generator.field, "color", lambda x, style, directions: x)
    # log(1 + sigma) is linear, so its difference is a normal number of known width.
    smoothness, *_ = priors(generator, distance=0.02, points=4000)
    expected = float(slope.norm()) * 0.02 * math.sqrt(2 / math.pi)
    assert float(smoothness) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("color", "whiteness"),
    [((1.0, 1.0, 1.0), 1.0), ((1.0, 0.9, 1.0), 0.6), ((1.0, 1.0, 0.7), 0.0), ((0, 0, 0), 0.0)],
)
def test_white_matter_of_a_constant_density_in_closed_form(
    make_generator, monkeypatch, color, whiteness
):
    generator, sigma = make_generator(), 12.0
    set_density(monkeypatch, generator, lambda x: torch.full(x.shape[:2], sigma))
    monkeypatch.setattr(
        generator.field,
        "color",
        lambda x, style, directions: torch.tensor(color).expand(*x.shape[:2], 3),
    )
    smoothness, white, _ = priors(generator)
    assert float(smoothness) == 0
    assert float(white) == pytest.approx(whiteness * (1 - math.exp(-0.05 * sigma)), rel=1e-5)


def test_white_matter_pushes_density_and_never_color(make_generator):
    generator = make_generator().requires_grad_(True)
    for layer in generator.field.color_layers[-1:]:
        torch.nn.init.constant_(layer.bias, 6.0)
    priors(generator)[1].backward()
    assert all(p.grad is None for p in generator.field.color_layers.parameters())
    assert all(p.grad is None for p in generator.field.appearance_mapping.parameters())
    assert all(bool(p.grad.any()) for p in generator.field.density_layers.parameters())


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.5, 4.0])
def test_blur_keeps_the_mean_and_has_its_width(sigma):
    size = 61
    picture = torch.zeros(1, 2, size, size)
    picture[:, 0, 30, 30] = 1.0
    picture[:, 1, 28:33, 25:36] = 0.5
    blurred = blur(picture, sigma)
    torch.testing.assert_close(blurred.mean((2, 3)), picture.mean((2, 3)), rtol=1e-4, atol=0)
    offset = torch.arange(size) - 30.0
    for axis in (1, 2):
        profile = blurred[0, 0].sum(2 - axis)
        assert float((profile * offset).sum()) == pytest.approx(0, abs=1e-4)
        if sigma >= 1:  # cut off at 2.5 standard deviations
            width = math.sqrt(float((profile * offset.square()).sum()))
            assert width == pytest.approx(sigma, rel=0.08)


def test_blur_leaves_flat_pictures_and_width_zero_alone():
    flat = torch.full((2, 3, 9, 9), 0.7)
    torch.testing.assert_close(blur(flat, 2.0), flat)
    picture = torch.rand(2, 3, 9, 9)
    assert torch.equal(blur(picture, 0.0), picture)
