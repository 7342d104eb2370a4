"""The Triton kernels against the PyTorch reference; on a CPU by Triton's interpreter."""

import pytest
import torch

from clipnerf.fields.backends import triton as backend
from clipnerf.fields.backends.torch import hash_grid as reference
from clipnerf.fields.backends.torch import naive_hash_grid
from clipnerf.fields.backends.triton import Launch, hash_grid
from clipnerf.fields.hash_grid import HashGrid
from clipnerf.fields.layout import GridLayout
from tests.fields.points import SIZES, away_from_vertices, points_of_interest, random_table

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

pytestmark = pytest.mark.skipif(
    bool(backend.problem(DEVICE)), reason=f"no Triton here: {backend.problem(DEVICE)}"
)


def launches(layout: GridLayout) -> list[Launch]:
    """The launch of a Hopper GPU, of an Ampere one, and the plainest one a level at a time."""
    wide = backend.plan(layout, torch.float32, torch.device("cpu"))
    return [
        Launch(64, 4, wide.load, wide.add, layout.levels),
        Launch(64, 4, wide.load, 0, layout.levels // 2 if layout.levels % 2 == 0 else 1),
        Launch(32, 1, 1, 1, 1),
    ]


def gradients(function, x, table, layout, **options):
    """Value, gradient to the positions, gradient to the table, for one upstream gradient."""
    leaf, table = x.clone().requires_grad_(), table.clone().requires_grad_()
    out = function(leaf, table, layout, **options)
    # numbers that every width holds exactly
    upstream = torch.linspace(-1, 2, out.numel()).view_as(out).bfloat16().to(out)
    return (out, *torch.autograd.grad(out, (leaf, table), upstream))


@pytest.mark.parametrize("launch", [0, 1, 2], ids=["vectors", "no vector atomics", "plain"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values_and_gradients_are_the_reference_s(size, launch):
    layout = GridLayout(*size)
    x = points_of_interest(layout).float().to(DEVICE)
    table = random_table(layout, torch.float32).to(DEVICE)
    ours = gradients(hash_grid, x, table, layout, launch=launches(layout)[launch])
    theirs = gradients(reference, x, table, layout)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours[2], theirs[2], rtol=1e-4, atol=1e-4)
    smooth = away_from_vertices(x.cpu(), layout).to(DEVICE)
    assert int(smooth.sum()) >= 20
    torch.testing.assert_close(ours[1][smooth], theirs[1][smooth], rtol=1e-4, atol=1e-3)


def test_on_exact_vertices_the_slope_is_the_upper_cell_s():
    # scale 7 and x = 1/2: the position is 4 exactly, in every arithmetic
    layout = GridLayout(3, 1, 2, 9, 8, 8)
    assert layout.scales == (7.0,)
    x = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.3, 0.9]], device=DEVICE)
    table = random_table(layout, torch.float32).to(DEVICE)
    ours, theirs = (gradients(f, x, table, layout) for f in (hash_grid, reference))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("features", [1, 2, 4, 8])
@pytest.mark.parametrize("read", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tables_and_results_of_half_the_width(read, dtype, features):
    layout = GridLayout(3, 5, features, 9, 4, 24)
    x, table = torch.rand(90, 3).to(DEVICE), random_table(layout, torch.float32).to(DEVICE)
    found = gradients(hash_grid, x, table, layout, dtype=dtype, read=read)
    assert found[0].dtype == dtype and found[1].dtype == found[2].dtype == torch.float32
    # the table as it was read; what is left is the rounding of the result
    expected = gradients(reference, x, table.to(read).float(), layout)
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found[0].float(), expected[0], rtol=step, atol=step)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-4, atol=1e-4)


def test_hundreds_of_additions_to_one_entry_are_summed_in_float32():
    layout = GridLayout(2, 1, 2, 4, 2, 2)
    x = torch.full((3000, 2), 0.4, device=DEVICE)
    table = random_table(layout, torch.float32).to(DEVICE).requires_grad_()
    hash_grid(x, table, layout, torch.float16).sum().backward()
    # in float16 the sum would stop at 2048
    torch.testing.assert_close(table.grad.sum().cpu(), torch.tensor(6000.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2], SIZES[4], SIZES[9]], ids=str)
def test_second_derivatives_are_those_of_the_textbook_form(size):
    layout = GridLayout(*size)
    x = points_of_interest(layout).float().clamp(0, 1)
    x = x[away_from_vertices(x, layout)][:30].to(DEVICE)
    results = []
    for function in (hash_grid, naive_hash_grid):
        leaf = x.clone().requires_grad_()
        table = random_table(layout, torch.float32).to(DEVICE).requires_grad_()
        upstream = torch.linspace(-1, 2, len(x) * layout.out_features, device=DEVICE)
        upstream = upstream.view(len(x), -1).requires_grad_()
        out = function(leaf, table, layout)
        to_x, to_table = torch.autograd.grad(out, (leaf, table), upstream, create_graph=True)
        # a regularizer on the slope, and one on the table's gradient
        value = to_x.square().sum() + (to_table * random_table(layout).to(to_table)).sum()
        results.append(torch.autograd.grad(value, (leaf, table, upstream)))
    for name, ours, theirs in zip(("x", "table", "upstream"), *results, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(
            ours, theirs, rtol=1e-4, atol=1e-5 * scale, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 300])
def test_any_number_of_points(count):
    layout = GridLayout(3, 3, 2, 8, 4, 8)
    x = torch.rand(count, 3, generator=torch.Generator().manual_seed(count)).to(DEVICE)
    table = random_table(layout, torch.float32).to(DEVICE)
    ours, theirs = (gradients(f, x, table, layout) for f in (hash_grid, reference))
    assert ours[0].shape == (count, 6) and ours[1].shape == (count, 3)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


def test_inputs_and_gradients_that_are_not_contiguous():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    table = random_table(layout, torch.float32).to(DEVICE)
    strided = torch.rand(7, 50).to(DEVICE).t()[:, 1:4]
    transposed = table.t().contiguous().t()
    assert not strided.is_contiguous() and not transposed.is_contiguous()
    leaf = strided.detach().clone().requires_grad_()
    out = hash_grid(leaf, table.requires_grad_(), layout)
    torch.testing.assert_close(hash_grid(strided, transposed, layout), out, rtol=0, atol=0)
    upstream = torch.randn(8, 50).to(DEVICE).t()
    assert not upstream.is_contiguous()
    some = torch.autograd.grad(out, (leaf, table), upstream, retain_graph=True)
    whole = torch.autograd.grad(out, (leaf, table), upstream.contiguous())
    for one, other in zip(some, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-5)


def test_only_what_is_asked_for_gets_a_gradient():
    layout = GridLayout(3, 2, 2, 8, 4, 8)
    x, table = torch.rand(9, 3).to(DEVICE), random_table(layout, torch.float32).to(DEVICE)
    hash_grid(x, table.requires_grad_(), layout).sum().backward()
    assert x.grad is None
    torch.testing.assert_close(table.grad.sum().cpu(), torch.tensor(9.0 * 2 * 2))
    for launch in launches(layout):
        leaf = x.clone().requires_grad_()
        hash_grid(leaf, table.detach(), layout, launch=launch).sum().backward()
        other = x.clone().requires_grad_()
        reference(other, table.detach(), layout).sum().backward()
        torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_outside_the_cube_is_clamped_and_has_no_slope():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    table = random_table(layout, torch.float32).to(DEVICE)
    x = torch.tensor([[-0.7, 0.3, 1.9], [5.0, -5.0, 0.5], [1e30, -1e30, 0.2]], device=DEVICE)
    out = hash_grid(x.requires_grad_(), table, layout)
    torch.testing.assert_close(out, hash_grid(x.detach().clamp(0, 1), table, layout))
    out.sum().backward()
    beyond = (x < 0) | (x > 1)
    assert not x.grad[beyond].any() and bool(x.grad[~beyond].all())


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_a_position_that_is_not_a_number_gives_no_number_and_no_crash():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    x = torch.tensor([[0.2, float("nan"), 0.4], [0.1, 0.2, 0.3]], device=DEVICE).requires_grad_()
    out = hash_grid(x, random_table(layout, torch.float32).to(DEVICE).requires_grad_(), layout)
    assert bool(out[0].isnan().all()) and bool(out[1].isfinite().all())
    out.sum().backward()


def test_the_module_uses_it_when_it_is_asked_for():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    grid = HashGrid(layout, "triton").to(DEVICE)
    assert grid.choice.name == "triton"
    torch.nn.init.normal_(grid.table)
    x = torch.rand(70, 3).to(DEVICE)
    torch.testing.assert_close(grid(x), reference(x, grid.table, layout), rtol=1e-5, atol=1e-5)
    assert grid(x, torch.bfloat16).dtype == torch.bfloat16


def test_levels_that_do_not_fit_into_the_cache_together_are_passed_in_groups():
    big = GridLayout(3, 16, 2, 19, 16, 2048)
    launch = backend.plan(big, torch.float32, torch.device("cpu"))
    table_bytes = big.total_rows * 2 * 4
    assert 16 % launch.group == 0 and table_bytes * launch.group / 16 <= 2**25 / 2
    assert table_bytes * launch.group * 2 / 16 > 2**25 / 2
    assert backend.plan(GridLayout(), torch.float16, torch.device("cpu")).group == 8
