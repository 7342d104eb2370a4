"""Codes with local edits: selections, joins, and pictures that change in the region alone."""

from dataclasses import replace

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.fields.masks import BoxRegion
from clipnerf.gan.codes import Codes, Detail, LocalEdit
from clipnerf.gan.inference import CachedRenderer
from clipnerf.rendering.rays import box_interval, pixel_grid, rays_through
from tests.tiny_bundle import CODE_DIM, tiny_generator

LOW, HIGH = (-1.0, -1.0, 0.1), (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


@pytest.fixture(params=["trace", "finished"])
def render(request, generator):
    """Pictures by the path of training, and by that of finished pictures."""

    def made(codes, size: int = 20):
        with torch.set_grad_enabled(request.param == "trace"):
            return generator.render(codes, generator.camera(40.0, 15.0, size), samples=24)

    return made


def codes(seeds=(0, 1)) -> Codes:
    return Codes.from_seeds(list(seeds), CODE_DIM)


def local(plain: Codes, shape: bool, appearance: bool, seed: int = 8, low=LOW, high=HIGH) -> Codes:
    """A part of each object is changed, the upper one."""
    other = codes(range(seed, seed + len(plain)))
    corners = [torch.tensor([corner]).expand(len(plain), -1) for corner in (low, high)]
    layer = LocalEdit(
        BoxRegion(*corners),
        other.shape if shape else None,
        other.appearance if appearance else None,
        torch.ones(len(plain), 1),
        "upper",
    )
    return replace(plain, layers=(*plain.layers, layer))


def untouched(generator, size: int = 20, reach: float = 0.0) -> torch.Tensor:
    """Pixels whose rays do not come nearer to the region than ``reach`` along any axis."""
    rays = rays_through(generator.camera(40.0, 15.0, size), pixel_grid(size, size), generator.box)
    middle, half = (
        (torch.tensor(LOW) + torch.tensor(HIGH)) / 2,
        (torch.tensor(HIGH) - torch.tensor(LOW)) / 2 + reach,
    )
    near, far = box_interval(rays.origins - middle, rays.directions, half)
    return (far <= near).view(size, size)


def test_a_color_edit_changes_no_bit_of_geometry_and_none_outside(generator, render):
    plain = codes()
    before, after = render(plain), render(local(plain, False, True))
    assert torch.equal(before.opacity, after.opacity) and torch.equal(before.depth, after.depth)
    outside = untouched(generator)
    assert 20 < int(outside.sum()) < 380
    assert torch.equal(before.rgb[..., outside], after.rgb[..., outside])
    change = (before.rgb - after.rgb).abs().amax((1, 2, 3))
    assert bool((change > 0.05).all())


def test_a_shape_edit_changes_the_region_and_no_color_code(generator, render):
    plain = codes()
    before, after = render(plain), render(local(plain, True, False))
    # the first pass sees the new shape a cell away, and puts the samples there elsewhere
    near, far = untouched(generator), untouched(generator, reach=0.06)
    assert 20 < int(far.sum()) < int(near.sum())
    for outside, bound in ((near, 0.5 / 255), (far, 1e-5)):
        torch.testing.assert_close(
            before.rgb[..., outside], after.rgb[..., outside], atol=bound, rtol=0
        )
    assert float((before.opacity - after.opacity).abs().max()) > 0.05


def test_a_layer_is_only_of_the_objects_that_have_it(render):
    plain = codes((0, 1, 2))
    parts = [local(plain[0], True, True), plain[1], local(plain[2], False, True, seed=5)]
    joined = Codes.cat(parts)
    assert [layer.strength.flatten().tolist() for layer in joined.layers] == [[1, 0, 0], [0, 0, 1]]
    together = render(joined)
    for row, part in enumerate(parts):
        for some in (part, joined[row], joined[[row]], joined[row : row + 1].to("cpu")):
            alone = render(some)
            for name in ("rgb", "opacity", "depth"):
                torch.testing.assert_close(
                    getattr(together, name)[[row]], getattr(alone, name), atol=1e-4, rtol=0
                )
    assert float((render(plain).rgb - together.rgb).abs().amax((1, 2, 3))[1]) < 1e-4


def test_objects_that_differ_in_an_edit_alone_are_not_taken_for_one(generator):
    """Finished pictures share what equal codes have in common."""
    plain = codes((0,))
    three = Codes.cat([plain, local(plain, False, True), local(plain, True, False)])
    geometry, look = three.geometry, three.look
    assert torch.equal(geometry[0, :CODE_DIM], geometry[2, :CODE_DIM])
    styles = generator.styles(three)
    objects = CachedRenderer(generator.field, generator.box, three, *styles, [20] * 3)
    assert objects.geometries == [0, 0, 2] and objects.looks[0] != objects.looks[1]
    assert not torch.equal(look[0], look[1])


def test_strength_fades_an_edit(render):
    plain = codes((0,))
    full = local(plain, False, True)
    half = replace(full, layers=(full.layers[0].times(0.5),))
    none = replace(full, layers=(full.layers[0].times(0.0),))
    pictures = [render(some).rgb for some in (plain, half, full)]
    torch.testing.assert_close(pictures[1], (pictures[0] + pictures[2]) / 2, atol=5e-3, rtol=0)
    torch.testing.assert_close(render(none).rgb, pictures[0], atol=1e-6, rtol=0)


def test_the_later_of_two_edits_lies_above(render):
    def whole(some, seed):
        return local(some, False, True, seed, (-3.0, -3.0, -3.0), (3.0, 3.0, 3.0))

    plain = codes((0,))
    twice = render(whole(whole(plain, 8), 20)).rgb
    torch.testing.assert_close(twice, render(whole(plain, 20)).rgb, atol=1e-5, rtol=0)
    assert float((twice - render(whole(whole(plain, 20), 8)).rgb).abs().max()) > 0.05


def test_detail_of_an_inversion_is_folded_into_the_edit_as_well(generator, render):
    plain = codes((0,))
    layers = generator.field.detail_layers
    noise = torch.Generator().manual_seed(0)
    detail = Detail(*(torch.randn(1, n, 8, generator=noise) for n in layers))
    own = replace(plain, detail=detail)
    edited = replace(local(own, True, True), detail=detail)
    # an edit whose codes are those of the object itself changes nothing that shows
    layer = replace(edited.layers[0], shape=plain.shape, appearance=plain.appearance)
    before, after = render(own), render(replace(own, layers=(layer,)))
    torch.testing.assert_close(before.rgb, after.rgb, atol=1e-4, rtol=0)
    assert float((render(plain).rgb - before.rgb).abs().max()) > 0.02


def test_entangled_objects_have_no_parts():
    entangled = tiny_generator(conditioning="entangled")
    with pytest.raises(UsageError, match="entangled") as caught:
        entangled.styles(local(codes(), False, True))
    assert "\n" not in str(caught.value)
