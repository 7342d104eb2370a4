"""The surface of a view, colored later, is the rendered view."""

import pytest
import torch

from clipnerf.config.generator import FieldConfig, GeneratorConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.surface import LEAST_WEIGHT, see_surface

SAMPLES = 6


def _generator(view_direction: bool = False) -> Generator:
    torch.manual_seed(0)
    field = FieldConfig(
        code_dim=16,
        style_dim=8,
        levels=3,
        log2_rows=8,
        finest_resolution=16,
        deform_width=8,
        density_width=8,
        color_width=8,
        view_direction=view_direction,
        density_bias=-6.0,
    )
    generator = Generator(GeneratorConfig(field=field, samples=SAMPLES, render_samples=SAMPLES))
    with torch.no_grad():
        for table in generator.field.grid.parameters():
            table.normal_()
        generator.field.density_layers[-1].weight.mul_(4)
    return generator.eval().requires_grad_(False)


def _scene(generator: Generator, batch: int = 3):
    rng = torch.Generator().manual_seed(1)
    return Codes.sample(batch, 16, rng), generator.sample_cameras(batch, 12, rng)


@pytest.mark.parametrize("view_direction", [False, True])
def test_a_colored_surface_is_the_rendered_picture(view_direction):
    generator = _generator(view_direction)
    codes, camera = _scene(generator)
    surface = see_surface(generator, codes, camera, SAMPLES)
    view = generator.render(codes, camera, samples=SAMPLES)
    left_out = SAMPLES * LEAST_WEIGHT
    assert 0.05 < float(view.opacity.mean()) < 0.95, "the scene should be neither empty nor full"
    rgb = surface.color(generator, generator.styles(codes)[1])
    assert torch.allclose(rgb, view.rgb, atol=left_out)
    assert torch.allclose(surface.opacity, view.opacity, atol=left_out)


def test_one_surface_takes_many_appearances():
    generator = _generator()
    codes, camera = _scene(generator)
    surface = see_surface(generator, codes, camera, SAMPLES)
    row = torch.tensor([0, 0, 2, 1])
    appearance = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    rgb = surface.rows(row).color(generator, generator.field.appearance_style(appearance))
    view = generator.render(Codes(codes.shape[row], appearance), camera[row], samples=SAMPLES)
    assert torch.allclose(rgb, view.rgb, atol=SAMPLES * LEAST_WEIGHT)


def test_the_gradient_is_the_renderers():
    generator = _generator()
    codes, camera = _scene(generator)
    target = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    gradients = []
    for use_surface in (True, False):
        appearance = codes.appearance.clone().requires_grad_()
        if use_surface:
            surface = see_surface(generator, codes, camera, SAMPLES)
            rgb = surface.color(generator, generator.field.appearance_style(appearance))
        else:
            rgb = generator.render(Codes(codes.shape, appearance), camera, samples=SAMPLES).rgb
        (rgb - target).square().sum().backward()
        gradients.append(appearance.grad)
    assert float(gradients[1].norm()) > 0
    assert torch.allclose(*gradients, rtol=0.05, atol=0.02 * float(gradients[1].abs().max()))


def test_the_surface_of_an_empty_scene_is_white():
    generator = _generator()
    generator.field.density_bias = -50.0
    codes, camera = _scene(generator)
    surface = see_surface(generator, codes, camera, SAMPLES)
    rgb = surface.color(generator, generator.styles(codes)[1])
    assert torch.equal(rgb, torch.ones_like(rgb)) and float(surface.opacity.max()) == 0
