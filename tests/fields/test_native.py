"""The field in C, beside PyTorch in double precision, gradient by gradient, and its bits."""

import os
import subprocess
import sys
from functools import partial

import pytest
import torch

from clipnerf.fields import hash_grid
from clipnerf.fields.backends import native, native_library
from clipnerf.fields.field import ConditionalField
from clipnerf.fields.layout import GridLayout
from tests.gan.test_train import assert_same_bits

ROWS, JOB = 48, native.JOB
CPU, LAYOUT = torch.device("cpu"), GridLayout(3, 5, 2, 10, 4, 40)

pytestmark = pytest.mark.skipif(
    native_library.problem(CPU, LAYOUT) is not None,
    reason=f"the field in C: {native_library.problem(CPU, LAYOUT)}",
)


def make(backend="native", *, dtype=torch.float32, **options) -> ConditionalField:
    torch.manual_seed(3)
    sizes = {"code_dim": 8, "style_dim": 16, "deform_width": 24, "density_width": 40}
    field = ConditionalField(
        LAYOUT, extent=1.2, backend=backend, **{**sizes, "color_width": 16, **options}
    )
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        field.grid.table.normal_(std=0.3)
    return field.to(dtype)


def inputs(count, objects=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    points = torch.rand(objects, count, 3, generator=draw) * 2.6 - 1.3  # outside the grid as well
    codes = torch.randn(2, objects, 8, generator=draw)
    return points, codes


def everything(field, points, codes, wanted=None):
    """Features, sigma, color, and gradients of points and of every parameter."""
    dtype = field.grid.table.dtype
    points = points.to(dtype).clone().requires_grad_()
    z_s, z_a = codes.to(dtype)
    entangled = field.entangled
    shape = field.shape_style(z_s, z_a if entangled else None)
    look = field.appearance_style(z_a, z_s if entangled else None)
    features, sigma = field.geometry(points, shape, dtype)
    ahead = torch.ones_like(points) if field.view_direction else None
    rgb = field.color(features, look, ahead)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(v.shape, generator=draw).to(dtype) for v in (sigma, rgb)]
    field.zero_grad()
    ((sigma * weights[0]).mean() + (rgb * weights[1]).mean()).backward()
    found = {"features": features, "sigma": sigma, "rgb": rgb, "points": points.grad}
    found |= {name: p.grad for name, p in field.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in found.items()}


def off_faces(points, extent=1.2):
    """Points that no rounding moves into another cell."""
    for _ in range(20):
        near = torch.zeros(points.shape[:-1], dtype=torch.bool)
        place = (points / (2 * extent) + 0.5).clamp(0, 1).double()
        for scale in LAYOUT.scales:
            part = (place * scale + 0.5) % 1
            near |= ((part < 1e-3) | (part > 1 - 1e-3)).any(-1)
        points = torch.where(near[..., None], torch.rand_like(points) * 2 - 1, points)
    return points


OPTIONS = [
    {},
    {"mirror": True},
    {"deform_width": 20, "density_width": 33, "color_width": 7, "position_octaves": 0},
    {"view_direction": True, "deform_octaves": 1},
    {"conditioning": "entangled"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: ",".join(o) or "plain")
def test_every_value_and_gradient_is_that_of_double_precision(options):
    points, codes = inputs(700)
    if "mirror" not in options and "conditioning" not in options:
        points[..., 0, :] = 0  # a face's own point, and a corner of the box
    points = off_faces(points)
    found = everything(make(**options), points, codes)
    eager = everything(make("torch", **options), points, codes)
    exact = everything(make("torch", dtype=torch.float64, **options), points, codes)
    assert found.keys() == exact.keys() and len(found) > 20
    for name, value in exact.items():
        size = float(value.abs().max())
        error, usual = (float((v[name] - value).abs().max()) for v in (found, eager))
        assert size > 0 and error < max(3 * usual, 1e-5 * size), (name, error / size, usual / size)


@pytest.mark.parametrize("count", [1, ROWS - 1, ROWS, ROWS + 1, JOB - 1, JOB, JOB + 1])
def test_odd_tails(count):
    points, codes = inputs(count)
    found = everything(make(mirror=True), points, codes)
    eager = everything(make("torch", mirror=True), points, codes)
    for name in ("features", "sigma", "rgb"):
        torch.testing.assert_close(found[name], eager[name], rtol=1e-4, atol=1e-5)
    for name in ("density_layers.0.weight", "deform_layers.0.weight", "color_layers.2.bias"):
        worst = float((found[name] - eager[name]).abs().max() / eager[name].abs().max())
        assert worst < 1e-3, (name, worst)


def test_points_on_faces_and_outside_the_box_are_those_of_eager():
    points, codes = inputs(300, objects=1)
    steps = torch.linspace(-1.2, 1.2, 5)
    faces = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).view(1, -1, 3)
    points = torch.cat((points * 4, faces), dim=1)
    found, eager = (everything(make(b), points, codes) for b in ("native", "torch"))
    for name in ("features", "sigma", "rgb"):
        torch.testing.assert_close(found[name], eager[name], rtol=1e-4, atol=2e-5)
    # beyond the grid nothing moves with the point but its frequencies
    far = torch.full((1, 1, 3), 9.0).requires_grad_()
    field = make(conditioning="entangled", position_octaves=0)
    field.features(far)[..., : LAYOUT.out_features].sum().backward()
    assert not far.grad.any()


def test_a_batch_without_points_passes():
    points, codes = inputs(0)
    field = make()
    features, sigma = field.geometry(points, field.shape_style(codes[0]))
    assert features.shape == (2, 0, field.point_features) and sigma.shape == (2, 0)


def test_bits_depend_on_no_order_no_neighbors_and_no_threads():
    points, codes = inputs(2 * JOB + 100)
    field = make(mirror=True)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = everything(field, points, codes)
        again = everything(field, points, codes)
        torch.set_num_threads(2)
        assert_same_bits(whole, everything(field, points, codes))
    finally:
        torch.set_num_threads(threads)
    assert_same_bits(whole, again)
    style, look = field.shape_style(codes[0]), field.appearance_style(codes[1])
    order, last = torch.randperm(points.shape[1]), torch.tensor([1])
    for chosen, rows in ((order, torch.arange(2)), (slice(77, 1000), last)):
        some = points[rows][:, chosen]
        features, sigma = field.geometry(some, style.rows(rows))
        rgb = field.color(features, look.rows(rows))
        for name, value in (("features", features), ("sigma", sigma), ("rgb", rgb)):
            assert torch.equal(value, whole[name][rows][:, chosen]), name


def test_an_appearance_changes_no_bit_of_sigma_and_nan_stays_where_it_is():
    points, codes = inputs(500)
    field = make()
    plain = everything(field, points, codes)
    other = everything(field, points, torch.stack((codes[0], -codes[1])))
    assert torch.equal(plain["sigma"], other["sigma"])
    assert not torch.equal(plain["rgb"], other["rgb"])
    points[0, 123, 1] = float("nan")
    broken = everything(field, points, codes)
    for name in ("features", "sigma", "rgb"):
        bad = broken[name].flatten(2 if broken[name].dim() > 2 else 1).isnan()
        bad = bad.any(-1) if bad.dim() > 2 else bad
        assert bad.nonzero().tolist() == [[0, 123]], name
    assert torch.equal(broken["sigma"][1], plain["sigma"][1])


def test_second_derivatives_are_those_of_eager():
    points, codes = inputs(60, objects=1)
    points = off_faces(points)
    found = []
    for backend in ("native", "torch"):
        field, at = make(backend), points.clone().requires_grad_()
        sigma = field.geometry(at, field.shape_style(codes[0]))[1]
        (slope,) = torch.autograd.grad(sigma.sum(), at, create_graph=True)
        slope.square().mean().backward()
        found.append((slope.detach(), field.density_layers[0].weight.grad, field.grid.table.grad))
    for one, other in zip(*found, strict=True):
        assert float((one - other).abs().max()) < 1e-3 * float(other.abs().max())


def test_weights_shared_by_objects_and_weights_in_another_order_are_read_rightly():
    points, codes = inputs(100)
    field = make()
    style = field.shape_style(codes[0])
    features = field.features(field.deform(points, style))
    mixed = [
        type(layer)(layer.weight.mT.contiguous().mT, layer.bias.expand(2, 1, -1))
        for layer in style.density
    ]
    assert not mixed[0].weight.is_contiguous()  # the same numbers, other strides
    plain = native.network(features, style.density, native.NOTHING, lambda *_: None)
    assert torch.equal(native.network(features, mixed, native.NOTHING, lambda *_: None), plain)


RUN = """
import sys, torch
from tests.fields.test_native import everything, inputs, make
torch.set_num_threads(1)
found = everything(make(sys.argv[2], mirror=True), *inputs(500))
torch.save((found, str(make('auto').grid.choice)), sys.argv[1])
"""


def elsewhere(path, version, backend="auto"):
    """The same in another process, with another version of the library."""
    env = {**os.environ, native_library.SWITCH: version}
    subprocess.run([sys.executable, "-c", RUN, str(path), backend], env=env, check=True)
    return torch.load(path, weights_only=True)


def test_all_versions_of_the_library_agree(tmp_path):
    found, own = native_library.library()
    kinds = [k for k in ("avx512", "avx2", "generic") if getattr(found, f"runs_{k}", int)()]
    assert own in kinds
    here = everything(make(mirror=True), *inputs(500))
    for kind in kinds:
        values, choice = elsewhere(tmp_path / kind, kind)
        assert choice == f"native ({kind} on the CPU)"
        for name, value in here.items():
            worst = float((values[name] - value).abs().max())
            assert worst <= 1e-5 * float(value.abs().max()), (kind, name)


def test_without_the_library_everything_is_computed_as_before(tmp_path, monkeypatch):
    values, choice = elsewhere(tmp_path / "off", "0")
    assert choice == "torch (on the CPU; native: CLIPNERF_NATIVE is 0)"
    assert_same_bits(values, elsewhere(tmp_path / "torch", "avx2", "torch")[0])
    monkeypatch.setattr(native_library, "library", lambda: "it was not built")
    hash_grid._choose.cache_clear()
    try:
        assert make("auto").grid.choice.name == "torch"
        with pytest.raises(ValueError, match="'native', but it was not built; use 'auto'"):
            everything(make(), *inputs(3))
    finally:
        monkeypatch.undo()
        hash_grid._choose.cache_clear()


def test_little_is_kept_for_the_backward_pass():
    points, codes = inputs(5000)
    kept = {}
    for backend in ("native", "torch"):
        found: dict[int, int] = {}

        def keep(value, found=found):
            found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            everything(make(backend, density_width=64), points, codes)
        kept[backend] = sum(found.values())
    assert kept["native"] < 0.3 * kept["torch"], kept


def test_far_from_matter_there_is_exactly_none():
    field = make()
    raw = torch.tensor([-1e30, -200.0, -100.0, 50.0, 200.0, 1e30]).view(1, -1, 1)
    sigma = field._sigma(raw)[0].tolist()
    assert sigma[:3] == [0, 0, 0] and sigma[3:] == pytest.approx(
        [field.density_scale * (x + field.density_bias) for x in (50, 200, 1e30)]
    )
    rgb = field._rgb(raw, ())[0, :, 0].tolist()
    assert rgb[:2] == [0, 0] and rgb[4:] == [1, 1]


def test_it_is_off_for_other_dtypes():
    field = make("auto", dtype=torch.float64)
    points, codes = inputs(10)
    style = field.shape_style(codes[0].double())
    assert field.geometry(points.double(), style, torch.float64)[1].dtype == torch.float64


def test_rounded_numbers_are_computed_in_float32():
    points, codes = inputs(200)
    field, style_of = make(), partial(ConditionalField.shape_style, z_s=codes[0])
    features, sigma = field.geometry(points, style_of(field), torch.bfloat16)
    assert features.dtype == torch.float32
    assert torch.equal(sigma, field.geometry(points, style_of(field))[1])
