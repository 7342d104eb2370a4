"""The generator: closed forms through its whole path, what each code reaches, bounded memory."""

import math

import numpy as np
import pytest
import torch

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.rendering.volume import RenderOutput


def chords(generator: Generator, azimuth_deg: float, elevation_deg: float, size: int) -> np.ndarray:
    """Length of each pixel's ray inside the box, in double, written out here."""
    az, el = math.radians(azimuth_deg), math.radians(elevation_deg)
    prior, box = generator.config.camera, np.array(generator.config.box)
    backward = np.array([math.cos(el) * math.cos(az), math.cos(el) * math.sin(az), math.sin(el)])
    right = np.array([-math.sin(az), math.cos(az), 0.0])
    down = np.cross(-backward, right)
    focal = 0.5 * size / math.tan(math.radians(prior.fov_deg) / 2)
    lengths = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            x, y = (column + 0.5 - size / 2) / focal, (row + 0.5 - size / 2) / focal
            ray = x * right + y * down - backward
            ray /= np.linalg.norm(ray)
            ends = np.stack([(s * box - prior.radius * backward) / ray for s in (-1, 1)])
            lengths[row, column] = max(ends.max(0).min() - ends.min(0).max(), 0.0)
    return lengths


@pytest.mark.parametrize("sigma", [1e-3, 0.8, 5.0, 1e6])
def test_constant_density_gives_one_minus_exp_of_sigma_times_length(
    make_generator, monkeypatch, sigma
):
    generator = make_generator()
    monkeypatch.setattr(
        generator.field, "density", lambda x, style: torch.full(x.shape[:2], float(sigma))
    )
    azimuth, elevation, size = 33.0, 21.0, 16
    view = generator.render(Codes.from_seeds([0], 8), generator.camera(azimuth, elevation, size))
    lengths = chords(generator, azimuth, elevation, size)
    assert (lengths > 0).any() and (lengths == 0).any()
    expected = 1 - np.exp(-sigma * lengths)
    found = view.opacity[0, 0].numpy()
    # A grazing ray's short chord is a difference of two distances of about 4, in float32.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * min(sigma, 1) + 1e-7)
    assert not found[lengths == 0].any()
    assert bool((view.rgb[0][:, torch.tensor(lengths == 0)] == 1).all())


def opaque_ball(generator: Generator, monkeypatch, radius: float) -> None:
    """Turns the generator's object into an opaque gray ball."""
    monkeypatch.setattr(generator.field, "features", lambda points, dtype: points)
    monkeypatch.setattr(
        generator.field,
        "density",
        lambda points, style: torch.where(points.norm(dim=-1) < radius, 1e5, 0.0),
    )
    monkeypatch.setattr(generator.field, "color", lambda points, *_: torch.full_like(points, 0.25))


def test_depth_and_outline_of_an_opaque_ball(make_generator, monkeypatch):
    generator, radius, size = make_generator(stir=0.0), 0.5, 32
    opaque_ball(generator, monkeypatch, radius)
    camera = generator.camera(-70.0, 40.0, size)
    view = generator.render(Codes.from_seeds([3], 8), camera, samples=200, background=0.5)
    distance = generator.config.camera.radius
    focal = float(camera.K[0, 0, 0])
    inside = view.opacity[0, 0] > 0.5
    # The outline of a ball is a circle of radius f * r / sqrt(d^2 - r^2).
    edge = focal * radius / math.sqrt(distance**2 - radius**2)
    assert float(inside.sum()) == pytest.approx(math.pi * edge**2, rel=0.03)
    pixels = torch.arange(size) + 0.5 - size / 2
    tangent = (pixels[:, None].square() + pixels[None].square()).sqrt() / focal
    cosine = 1 / (1 + tangent.square()).sqrt()
    sine_limit = (radius**2 - distance**2 * (1 - cosine.square())).clamp(min=0).sqrt()
    expected = distance * cosine - sine_limit
    error = (view.depth[0, 0] - expected)[inside].abs()
    stratum = 2 * math.sqrt(2 * 0.6**2 + 0.8**2) / 200
    assert float(error.max()) < stratum
    assert bool((view.rgb[0][:, inside] == 0.25).all())
    assert bool((view.rgb[0][:, view.opacity[0, 0] == 0] == 0.5).all())


def with_appearance_of(first: Codes, second: Codes) -> Codes:
    return Codes(first.shape, second.appearance)


@pytest.mark.parametrize("view_direction", [False, True])
def test_appearance_changes_no_bit_of_opacity_or_depth(make_generator, view_direction):
    generator = make_generator(field={"view_direction": view_direction})
    camera = generator.camera(30.0, 20.0, 16)
    a, b = Codes.from_seeds([0, 1], 8), Codes.from_seeds([2, 3], 8)
    one, other = generator.render(a, camera), generator.render(with_appearance_of(a, b), camera)
    assert 0.05 < float(one.opacity.mean()) < 0.95
    assert torch.equal(one.opacity, other.opacity) and torch.equal(one.depth, other.depth)
    solid = (one.opacity > 0.3).expand(-1, 3, -1, -1)
    assert float((one.rgb - other.rgb).abs()[solid].mean()) > 0.02


def test_appearance_changes_no_bit_of_geometry_in_training_patches(make_generator):
    generator = make_generator()
    a, b = Codes.from_seeds([0, 1], 8), Codes.from_seeds([2, 3], 8)
    camera = generator.camera(30.0, 20.0, 16)
    patches = Patches.sample(2, 0.5, 0.8, torch.Generator().manual_seed(0))

    def look(codes: Codes) -> RenderOutput:
        noise = torch.Generator().manual_seed(1)
        jitter = torch.rand(2, 64, 4, generator=noise)
        rough = 0.3 * torch.randn(2, 64, 4, generator=noise)
        return generator.render_patch(codes, camera, patches, 8, jitter=jitter, density_noise=rough)

    one, other = look(a), look(with_appearance_of(a, b))
    assert torch.equal(one.opacity, other.opacity) and torch.equal(one.depth, other.depth)
    assert not torch.equal(one.rgb, other.rgb)


def test_in_the_entangled_baseline_appearance_does_reach_geometry(make_generator):
    generator = make_generator(field={"conditioning": "entangled"})
    camera = generator.camera(30.0, 20.0, 16)
    a, b = Codes.from_seeds([0, 1], 8), Codes.from_seeds([2, 3], 8)
    one, other = generator.render(a, camera), generator.render(with_appearance_of(a, b), camera)
    assert float((one.opacity - other.opacity).abs().max()) > 1e-3


def test_swapping_codes_swaps_shapes_and_leaves_color_networks_alone(make_generator):
    generator = make_generator()
    camera = generator.camera(30.0, 20.0, 16)
    a, b = Codes.from_seeds([0, 1], 8), Codes.from_seeds([2, 3], 8)
    mixed = generator.render(with_appearance_of(b, a), camera)
    assert torch.equal(mixed.opacity, generator.render(b, camera).opacity)
    assert not torch.equal(mixed.opacity, generator.render(a, camera).opacity)
    # z_s cannot reach the color at a (deformed) point: the styles of color are the same.
    of_a, of_mixed = generator.styles(a)[1], generator.styles(with_appearance_of(b, a))[1]
    for one, other in zip(of_a.color, of_mixed.color, strict=True):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


def assert_same(one: RenderOutput, other: RenderOutput, atol: float = 1e-5) -> None:
    for name in ("rgb", "opacity", "depth"):
        torch.testing.assert_close(
            getattr(one, name), getattr(other, name), atol=atol, rtol=0, msg=name
        )


@pytest.mark.parametrize("max_points", [1, 100, 1111])
def test_rendering_in_chunks_is_the_same_picture(make_generator, max_points):
    generator = make_generator()
    codes, camera = Codes.from_seeds([0, 1], 8), generator.camera(10.0, 30.0, 9)
    whole = generator.render(codes, camera, max_points=2**20)
    assert_same(generator.render(codes, camera, max_points=max_points), whole)


def test_chunks_bound_how_many_points_are_evaluated_at_a_time(make_generator, monkeypatch):
    generator = make_generator(grid_cells=4)
    points: list[int] = []
    features = generator.field.features

    def counting(deformed, dtype):
        points.append(deformed.shape[0] * deformed.shape[1])
        return features(deformed, dtype)

    monkeypatch.setattr(generator.field, "features", counting)
    codes, camera = Codes.from_seeds([0, 1, 2], 8), generator.camera(10.0, 30.0, 24)
    generator.render(codes, camera, samples=8, max_points=2000)
    assert max(points) <= 2000 and len(points) > 3
    # Rays that miss the box are not evaluated.
    assert sum(points) < 0.9 * 3 * 24 * 24 * 8


def test_a_picture_does_not_depend_on_its_batch(make_generator):
    generator = make_generator()
    codes = Codes.from_seeds([0, 1], 8)
    camera = generator.camera(torch.tensor([0.0, 45.0]), torch.tensor([0.0, 50.0]), 12)
    together = generator.render(codes, camera)
    alone = RenderOutput.cat([generator.render(codes[n], camera[n]) for n in range(2)])
    missed = (alone.depth == 0).flatten(1).sum(1)
    assert bool((missed > 0).all()) and missed[0] != missed[1]
    # a batched product rounds otherwise, and samples lie where rounded densities say
    assert_same(together, alone, atol=1e-4)


def test_a_patch_is_a_crop_of_the_whole_rendering(make_generator):
    generator = make_generator()
    codes, camera = Codes.from_seeds([0, 1], 8), generator.camera(75.0, 15.0, 16)
    full = generator.render(codes, camera, samples=6)
    corners = torch.tensor([[3.0, 5.0], [8.0, 0.0]])
    patches = Patches(torch.full((2,), 0.5), corners / 16)
    patch = generator.render_patch(codes, camera, patches, 8, samples=6, precision="float32")
    for n, (x, y) in enumerate(corners.int().tolist()):
        for name in ("rgb", "opacity", "depth"):
            crop = getattr(full, name)[n, :, y : y + 8, x : x + 8]
            torch.testing.assert_close(getattr(patch, name)[n], crop, atol=1e-5, rtol=0)


def test_bfloat16_is_close_to_float32_and_is_no_other_function(make_generator):
    generator = make_generator(stir=0.3)
    codes, camera = Codes.from_seeds([0, 1], 8), generator.camera(75.0, 15.0, 16)
    single = generator.render(codes, camera)
    half = generator.render(codes, camera, precision="bfloat16")
    assert_same(half, single, atol=0.06)
    assert float((half.rgb - single.rgb).abs().mean()) < 0.005


def test_values_stay_in_their_ranges_with_wild_weights(make_generator):
    generator = make_generator(stir=20.0)
    view = generator.render(Codes.from_seeds([0, 1], 8), generator.camera(5.0, 5.0, 12))
    for values, top in ((view.rgb, 1.0), (view.opacity, 1.0), (view.depth, 6.0)):
        assert bool(values.isfinite().all())
        assert float(values.min()) >= -1e-6 and float(values.max()) <= top + 1e-6


def test_jitter_repeats_with_its_seed_and_differs_without(make_generator):
    generator = make_generator()
    codes, camera = Codes.from_seeds([0], 8), generator.camera(5.0, 5.0, 12)

    def look(seed: int | None, strength: float = 0.0) -> torch.Tensor:
        noise = torch.Generator().manual_seed(seed or 0)
        jitter = None if seed is None else torch.rand(1, 64, 4, generator=noise)
        rough = strength * torch.randn(1, 64, 4, generator=noise) if strength else None
        return generator.render_patch(
            codes, camera, Patches.whole(1), 8, jitter=jitter, density_noise=rough
        ).rgb

    assert torch.equal(look(1), look(1)) and not torch.equal(look(1), look(2))
    assert not torch.equal(look(1, 0.5), look(1)) and not torch.equal(look(None), look(1))


def test_gradients_reach_both_codes_and_every_network(make_generator):
    generator = make_generator().requires_grad_(True)
    codes = Codes.from_seeds([0, 1], 8)
    codes.shape.requires_grad_(), codes.appearance.requires_grad_()
    view = generator.render(codes, generator.camera(5.0, 5.0, 8))
    (view.rgb.square().mean() + view.depth.mean()).backward()
    assert bool(codes.shape.grad.any()) and bool(codes.appearance.grad.any())
    without = [name for name, p in generator.named_parameters() if not bool(p.grad.any())]
    assert without == []


def test_cameras_of_the_prior(make_generator):
    generator = make_generator()
    prior = generator.config.camera
    prior.elevation_min_deg, prior.elevation_max_deg = 10.0, 80.0
    for by_area in (False, True):
        prior.elevation_by_area = by_area
        camera = generator.sample_cameras(4000, 16, torch.Generator().manual_seed(0))
        position = camera.c2w[:, :3, 3] / prior.radius
        height = torch.asin(position[:, 2])
        degrees = torch.rad2deg(height)
        assert float(degrees.min()) >= 9.99 and float(degrees.max()) <= 80.01
        assert float(position[:, :2].mean(0).abs().max()) < 0.03  # all around
        even = height.sin() if by_area else height  # what is uniform lies half below its middle
        middle = [math.radians(10), math.radians(80)]
        middle = [math.sin(v) for v in middle] if by_area else middle
        below = (even < sum(middle) / 2).float().mean()
        assert float(below) == pytest.approx(0.5, abs=0.03)


def test_the_front_is_where_the_configuration_says(make_generator):
    generator = make_generator(front_azimuth_deg=90.0)
    position = generator.camera(0.0, 0.0, 8).c2w[0, :3, 3]
    torch.testing.assert_close(position, torch.tensor([0.0, 4.0, 0.0]), atol=1e-5, rtol=0)
