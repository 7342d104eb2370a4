"""Finished pictures, which skip empty space, against the same pictures with gradients."""

import math

import pytest
import torch

from clipnerf.gan.codes import Codes
from clipnerf.gan.inference import HIDDEN_SHARE, CachedRenderer, finished_cells, first_equal
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import EMPTY_SHARE
from clipnerf.rendering.volume import RenderOutput


def both_ways(generator, codes, camera, **options) -> tuple[RenderOutput, RenderOutput]:
    generator.config.grid_cells = 28  # samples lie in the same places both ways
    with torch.enable_grad():
        dense = generator.render(codes, camera, **options)
    with torch.no_grad():
        sparse = generator.render(codes, camera, **options)
    return dense, sparse


def largest_difference(one: RenderOutput, other: RenderOutput) -> float:
    names = ("rgb", "opacity", "depth")
    return max(float((getattr(one, n) - getattr(other, n)).abs().max()) for n in names)


@pytest.fixture
def make_object(make_generator, monkeypatch):
    """A generator whose object is given: solid where ``inside`` says so, colored by position."""

    def make(inside, sigma: float = 200.0):
        generator = make_generator(stir=0.0)
        field = generator.field
        monkeypatch.setattr(field, "features", lambda points, dtype: points)
        monkeypatch.setattr(
            field, "density", lambda points, style: torch.where(inside(points), sigma, 0.0)
        )
        monkeypatch.setattr(field, "color", lambda points, *_: points.mul(0.5).add(0.5).clamp(0, 1))
        return generator

    return make


def chair(points: torch.Tensor) -> torch.Tensor:
    """A seat, a back and two thin legs."""
    x, y, z = points.unbind(-1)
    seat = (z.abs() < 0.06) & (x.abs() < 0.5) & (y.abs() < 0.5)
    back = ((x + 0.45).abs() < 0.05) & (y.abs() < 0.5) & (z > 0)
    legs = (z < 0) & ((x - 0.4).abs() < 0.04) & ((y.abs() - 0.4).abs() < 0.04)
    return seat | back | legs


@pytest.mark.parametrize("sigma", [3.0, 200.0, 1e6])
def test_skipping_changes_no_picture_by_more_than_a_shade(make_object, sigma):
    generator = make_object(chair, sigma)
    codes = Codes.from_seeds([0, 1, 2], 8)
    camera = generator.camera(torch.tensor([0.0, 40.0, 200.0]), 20.0, 24)
    dense, sparse = both_ways(generator, codes, camera, samples=48)
    assert 0.05 < float(dense.opacity.mean()) < 0.6
    assert largest_difference(dense, sparse) <= 1 / 255


def fog(make_object, monkeypatch, sigma: float):
    """Black fog of one density that fills the box, seen along the box's diagonal."""
    generator = make_object(lambda points: points[..., 0] < 9, sigma)
    black = torch.zeros_like
    monkeypatch.setattr(generator.field, "color", lambda points, *_: black(points))
    diagonal = math.degrees(math.atan2(0.8, math.hypot(0.6, 0.6)))
    return generator, generator.camera(45.0 - generator.config.front_azimuth_deg, diagonal, 25)


def test_fog_that_is_skipped_changes_no_pixel_by_more_than_its_share(make_object, monkeypatch):
    longest = 2 * math.hypot(0.6, 0.6, 0.8)
    generator, camera = fog(make_object, monkeypatch, 0.999 * EMPTY_SHARE / longest)
    dense, sparse = both_ways(generator, Codes.from_seeds([0], 8), camera, samples=48)
    assert not bool(sparse.opacity.any()) and bool((sparse.rgb == 1).all())
    for name in ("rgb", "opacity"):
        change = float((getattr(dense, name) - getattr(sparse, name)).abs().max())
        # the picture is seen along the longest path there is: the bound is nearly reached
        assert 0.9 * EMPTY_SHARE < change <= EMPTY_SHARE < 1 / 255, name


def test_colors_that_are_skipped_change_no_pixel_by_more_than_their_share(make_object, monkeypatch):
    """Fog a little denser than what counts as empty, on paths of all lengths."""
    longest = 2 * math.hypot(0.6, 0.6, 0.8)
    generator, camera = fog(make_object, monkeypatch, 1.3 * EMPTY_SHARE / longest)
    dense, sparse = both_ways(generator, Codes.from_seeds([0], 8), camera, samples=48)
    assert float((dense.opacity - sparse.opacity).abs().max()) < 1e-6
    change = (dense.rgb - sparse.rgb).abs()
    assert 0.8 * HIDDEN_SHARE < float(change.max()) <= HIDDEN_SHARE + 1e-6
    assert float(change.max()) + EMPTY_SHARE < 0.51 / 255
    assert bool((change[dense.opacity.expand_as(change) > 1.05 * HIDDEN_SHARE] < 1e-6).all())


def test_skipping_saves_densities_and_hidden_colors(make_object, monkeypatch):
    generator = make_object(chair)
    seen = {"density": 0, "color": 0}
    density, color = generator.field.density, generator.field.color

    def counting_density(points, style):
        seen["density"] += points.shape[1]
        return density(points, style)

    def counting_color(points, style, directions, places):
        seen["color"] += points.shape[1]
        return color(points, style, directions, places)

    monkeypatch.setattr(generator.field, "density", counting_density)
    monkeypatch.setattr(generator.field, "color", counting_color)
    codes, camera = Codes.from_seeds([0], 8), generator.camera(30.0, 20.0, 32)
    with torch.no_grad():
        generator.render(codes[[0] * 6], camera, samples=48)
    grid = math.prod(finished_cells(generator.box, 0))  # once for six pictures of one object
    pixels = 6 * 32 * 32 * 48
    assert seen["density"] - grid < 0.35 * pixels
    assert seen["color"] < 0.3 * (seen["density"] - grid)


@pytest.mark.parametrize("view_direction", [False, True])
def test_a_field_of_noise_is_the_same_both_ways(make_generator, view_direction):
    generator = make_generator(field={"view_direction": view_direction})
    codes, camera = Codes.from_seeds([0, 1], 8), generator.camera(30.0, 20.0, 16)
    dense, sparse = both_ways(generator, codes, camera)
    assert largest_difference(dense, sparse) < 0.02


def test_appearance_changes_no_bit_of_opacity_or_depth(make_generator):
    generator = make_generator()
    camera = generator.camera(30.0, 20.0, 16)
    a, b = Codes.from_seeds([0, 1], 8), Codes.from_seeds([2, 3], 8)
    with torch.no_grad():
        one = generator.render(a, camera)
        other = generator.render(Codes(a.shape, b.appearance), camera)
    assert torch.equal(one.opacity, other.opacity) and torch.equal(one.depth, other.depth)
    assert float((one.rgb - other.rgb).abs().max()) > 0.02


def test_what_is_traced_together_does_not_depend_on_appearance(make_generator):
    """One object in equal, and in different, colors: one geometry, bit for bit."""
    generator = make_generator()
    shape = Codes.from_seeds([0], 8).shape.expand(4, -1)
    looks = Codes.from_seeds([1, 2, 3, 4], 8).appearance
    camera = generator.camera(torch.tensor([0.0, 50.0, 100.0, 150.0]), 20.0, 16)
    with torch.no_grad():
        many = generator.render(Codes(shape, looks), camera)
        one = generator.render(Codes(shape, looks[[2, 2, 2, 2]]), camera)
    assert torch.equal(one.opacity, many.opacity) and torch.equal(one.depth, many.depth)
    assert float((one.rgb[2] - many.rgb[2]).abs().max()) < 1e-5
    assert all(float((one.rgb[n] - many.rgb[n]).abs().max()) > 0.02 for n in (0, 1, 3))


def test_views_in_any_order_are_the_views_of_their_objects(make_generator):
    generator = make_generator()
    codes = Codes.from_seeds([0, 1], 8)
    styles = generator.styles(codes)
    objects = CachedRenderer(generator.field, generator.box, codes, *styles, [20] * 3)
    camera = generator.camera(torch.tensor([0.0, 40.0, 80.0, 120.0, 160.0]), 20.0, 10)
    rows = [1, 0, 0, 1, 0]
    views = objects.render(camera, rows, samples=6)
    for number, row in enumerate(rows):
        alone = objects.render(camera[number], [row], samples=6)
        picture = RenderOutput(*(getattr(views, n)[[number]] for n in ("rgb", "opacity", "depth")))
        assert largest_difference(alone, picture) < 1e-4


def test_rows_that_are_equal_are_found():
    rows = torch.tensor([[3.0, 1.0], [0.0, 2.0], [3.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    assert first_equal(rows) == [0, 1, 0, 3, 1]


def test_a_camera_that_looks_away_sees_the_background(make_generator):
    generator = make_generator()
    camera = generator.camera(0.0, 0.0, 8)
    away = Camera(camera.c2w @ torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0])), camera.K, 8, 8)
    with torch.no_grad():
        view = generator.render(Codes.from_seeds([0], 8), away, background=0.25)
    assert bool((view.rgb == 0.25).all())
    assert not view.opacity.any() and not view.depth.any()


def test_each_object_has_its_own_empty_space(make_generator):
    for conditioning in ("disentangled", "entangled"):
        generator = make_generator(field={"conditioning": conditioning})
        a, b = Codes.from_seeds([0], 8), Codes.from_seeds([1], 8)
        four = Codes.cat([a, Codes(a.shape, b.appearance), Codes(b.shape, a.appearance), a])
        camera = generator.camera(30.0, 20.0, 12)
        with torch.no_grad():
            together = generator.render(four, camera)
            alone = RenderOutput.cat([generator.render(four[n], camera) for n in range(4)])
        assert largest_difference(together, alone) < 1e-4  # rounding of a batched product


@pytest.mark.parametrize("max_points", [48, 1000])
def test_chunks_give_the_same_picture(make_object, max_points):
    generator = make_object(chair)
    codes, camera = Codes.from_seeds([0], 8), generator.camera(30.0, 20.0, 12)
    with torch.no_grad():
        whole = generator.render(codes, camera, samples=12)
        parts = generator.render(codes, camera, samples=12, max_points=max_points)
    assert largest_difference(whole, parts) < 1e-6


def test_max_points_bounds_what_is_evaluated_at_a_time(make_generator, monkeypatch):
    generator = make_generator()
    codes = Codes.from_seeds([0], 8)
    styles = generator.styles(codes)
    objects = CachedRenderer(generator.field, generator.box, codes, *styles, [36] * 3)
    assert bool(objects.first_pass(0)[1].any())
    seen: list[int] = []
    features = generator.field.features

    def counting(deformed, dtype):
        seen.append(deformed.shape[1])
        return features(deformed, dtype)

    monkeypatch.setattr(generator.field, "features", counting)
    camera = generator.camera(torch.tensor([0.0, 90.0, 180.0]), 20.0, 12)
    objects.render(camera, [0, 0, 0], samples=10, max_points=600)
    assert 300 < max(seen) <= 600 and len(seen) > 2
    seen.clear()
    objects.render(camera, [0, 0, 0], samples=10)  # all views in one launch
    assert len(seen) == 1


def test_an_empty_object_is_background_that_ends_where_rays_leave_the_box(make_object):
    generator = make_object(lambda points: points[..., 0] > 9)
    codes, camera = Codes.from_seeds([0], 8), generator.camera(0.0, 0.0, 9)
    dense, sparse = both_ways(generator, codes, camera, background=0.5)
    assert bool((sparse.rgb == 0.5).all()) and not sparse.opacity.any()
    torch.testing.assert_close(sparse.depth, dense.depth)
    # The middle ray runs along x, through a box of half-width 0.6.
    assert float(sparse.depth[0, 0, 4, 4]) == pytest.approx(4.6, abs=1e-5)


def test_no_gradient_is_lost_where_one_is_asked_for(make_generator):
    generator = make_generator()
    codes = Codes.from_seeds([0], 8)
    codes.appearance.requires_grad_()
    generator.render(codes, generator.camera(30.0, 20.0, 8)).rgb.sum().backward()
    assert bool(codes.appearance.grad.any())
