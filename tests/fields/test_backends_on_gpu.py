"""The GPU backends at real sizes, against the reference on the same device."""

import pytest
import torch

from clipnerf.fields.backends import tcnn, triton
from clipnerf.fields.backends.torch import hash_grid as reference
from clipnerf.fields.hash_grid import HashGrid
from clipnerf.fields.layout import GridLayout
from tests.fields.points import away_from_vertices, points_of_interest

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")
# the grid of the figures, the one of the chairs, and others of all widths and dimensions
LAYOUTS = [
    GridLayout(3, 16, 2, 19, 16, 2048),
    GridLayout(3, 8, 2, 14, 8, 96),
    GridLayout(3, 12, 4, 18, 8, 512),
    GridLayout(3, 8, 8, 16, 8, 256),
    GridLayout(3, 10, 1, 17, 8, 300),
    GridLayout(2, 12, 2, 18, 16, 4096),
    GridLayout(4, 8, 2, 19, 8, 64),
]


def gradients(function, layout: GridLayout, x: torch.Tensor, table: torch.Tensor, *options):
    leaf, table = x.clone().requires_grad_(), table.clone().requires_grad_()
    out = function(leaf, table, layout, *options)
    draw = torch.Generator(CUDA).manual_seed(5)
    upstream = torch.randn(out.shape, generator=draw, device=CUDA).to(out.dtype)
    return out.float(), *torch.autograd.grad(out, (leaf, table), upstream)


def inputs(layout: GridLayout, count: int = 2**18) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator(CUDA).manual_seed(0)
    x = torch.rand(count, layout.dim, generator=draw, device=CUDA)
    x = torch.cat((x, points_of_interest(layout).float().to(CUDA)))
    table = torch.randn(layout.total_rows, layout.features, generator=draw, device=CUDA)
    return x, table


def assert_agree(ours, theirs, smooth: torch.Tensor, tolerance: float) -> None:
    for name, one, other in zip(("value", "to x", "to table"), ours, theirs, strict=True):
        if name == "to x":
            one, other = one[smooth], other[smooth]
        bound = tolerance * float(other.abs().max())
        worst = float((one.float() - other).abs().max())
        assert worst <= bound, f"{name}: {worst:g} of {bound:g}"


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [(layout, torch.float32) for layout in LAYOUTS]
    + [(layout, torch.float16) for layout in LAYOUTS]
    + [(layout, torch.bfloat16) for layout in LAYOUTS[:2]],
    ids=str,
)
def test_triton(layout, dtype):
    x, table = inputs(layout)
    smooth = away_from_vertices(x.cpu(), layout, 1e-3).to(CUDA)
    ours = gradients(triton.hash_grid, layout, x, table, dtype)
    tolerance = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}[dtype]
    assert_agree(ours, gradients(reference, layout, x, table), smooth, tolerance)


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_tinycudann(layout, dtype):
    problem = tcnn.problem(CUDA, layout)
    if problem:
        pytest.skip(problem)
    x, table = inputs(layout)
    smooth = away_from_vertices(x.cpu(), layout, 1e-3).to(CUDA)
    ours = gradients(tcnn.hash_grid, layout, x, table, dtype)
    tolerance = {torch.float32: 1e-4, torch.float16: 2e-2}[dtype]
    assert_agree(ours, gradients(reference, layout, x, table), smooth, tolerance)


@pytest.mark.parametrize(
    ("add", "load", "group"), [(0, 1, 1), (0, 4, 4), (1, 2, 16), (2, 4, 4), (2, 2, 16)]
)
def test_every_launch_gives_the_same(load, add, group):
    if add and torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("vector atomics need compute capability 9.0")
    layout = LAYOUTS[0]
    x, table = inputs(layout, 2**14)
    smooth = away_from_vertices(x.cpu(), layout, 1e-3).to(CUDA)

    def launched(*arguments):
        launch = triton.Launch(128, 4, load, add, group)
        return triton.hash_grid(*arguments, launch=launch)

    assert_agree(
        gradients(launched, layout, x, table), gradients(reference, layout, x, table), smooth, 2e-5
    )


def test_more_results_than_32_bits_can_count():
    if torch.cuda.get_device_properties(CUDA).total_memory < 24e9:
        pytest.skip("needs 16 GB of GPU memory")
    layout = GridLayout(3, 16, 8, 22, 16, 2048)
    grid = HashGrid(layout, "triton").to(CUDA)
    x = torch.rand(20_000_000, 3, device=CUDA)
    some = torch.tensor([0, 10_000_000, 19_999_999], device=CUDA)
    out = grid(x, torch.float16)
    assert out.numel() > 2**31
    expected = reference(x[some], grid.table.detach(), layout)
    torch.testing.assert_close(out[some].float(), expected, rtol=2e-3, atol=1e-6)


def test_auto_takes_a_fused_backend():
    grid = HashGrid(LAYOUTS[1]).to(CUDA)
    assert grid.choice.name in ("tcnn", "triton")
    assert torch.cuda.get_device_capability() >= (7, 0)
