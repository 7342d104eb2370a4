"""The hash grid against a slow loop, written from the paper's and tiny-cuda-nn's formulas."""

import itertools
import math

import numpy as np
import pytest
import torch

from clipnerf.fields.backends import torch as backend
from clipnerf.fields.backends.torch import hash_grid, naive_hash_grid
from clipnerf.fields.hash_grid import HashGrid
from clipnerf.fields.layout import GridLayout
from tests.fields.points import SIZES, points_of_interest, random_table


def slow_loop(x: list[list[float]], table: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """One point, one level, one corner at a time, in Python numbers."""
    dim, levels, features, log2_rows, base, finest = size
    primes = [1, 2654435761, 805459861, 3674653429]
    growth = (finest / base) ** (1 / (levels - 1)) if levels > 1 else 1.0
    result = np.zeros((len(x), levels * features))
    first_row = 0
    for level in range(levels):
        log2_b = np.float32(math.log2(float(np.float32(growth))))
        power = np.float32(2 ** float(np.float32(level) * log2_b))
        scale = float(power * np.float32(base) - np.float32(1))
        side = math.ceil(scale) + 1
        rows = min((side**dim + 7) // 8 * 8, 2**log2_rows)
        for n, point in enumerate(x):
            position = [scale * min(max(value, 0.0), 1.0) + 0.5 for value in point]
            cell = [math.floor(p) for p in position]
            for corner in itertools.product((0, 1), repeat=dim):
                vertex = [c + bit for c, bit in zip(cell, corner, strict=True)]
                if side**dim <= rows:
                    row = sum(v * side**axis for axis, v in enumerate(vertex))
                else:
                    row = 0
                    for v, prime in zip(vertex, primes, strict=False):
                        row ^= (v * prime) % 2**32
                share = 1.0
                for p, c, bit in zip(position, cell, corner, strict=True):
                    share *= (p - c) if bit else 1 - (p - c)
                entry = table[first_row + row % rows]
                result[n, level * features : (level + 1) * features] += share * entry
        first_row += rows
    assert first_row == len(table)
    return result


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_a_slow_loop(size):
    layout = GridLayout(*size)
    x, table = points_of_interest(layout), random_table(layout)
    expected = slow_loop(x.tolist(), table.numpy(), size)
    found = hash_grid(x, table, layout)
    assert found.shape == (len(x), layout.out_features)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_the_naive_form_with_its_gradients_across_slices(size, monkeypatch):
    monkeypatch.setattr(backend, "SLICE", 7)
    layout = GridLayout(*size)
    x = points_of_interest(layout)
    results = []
    for function in (hash_grid, naive_hash_grid):
        leaf, table = x.clone().requires_grad_(), random_table(layout).requires_grad_()
        out = function(leaf, table, layout)
        weight = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view_as(out)
        results.append((out, *torch.autograd.grad((out * weight).sum(), (leaf, table))))
    for name, ours, naive in zip(("value", "to x", "to table"), *results, strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-11, atol=1e-10, msg=name)


@pytest.mark.parametrize("features", [1, 2, 4])
def test_float32_equals_float64_to_rounding(features):
    layout = GridLayout(3, 6, features, 12, 8, 64)
    x, table = torch.rand(500, 3), random_table(layout, torch.float32)
    single = hash_grid(x, table, layout)
    assert single.dtype == torch.float32
    double = hash_grid(x.double(), table.double(), layout)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-4)


@pytest.mark.parametrize("size", [(2, 3, 2, 5, 3, 6), (3, 2, 2, 5, 2, 4), (4, 2, 1, 5, 2, 3)])
def test_gradcheck_in_double_to_positions_and_table(size):
    layout = GridLayout(*size)
    draw = torch.Generator().manual_seed(0)
    assert set(layout.hashed) == {True, False}
    x = torch.rand(4, size[0], generator=draw, dtype=torch.float64).mul(0.9).add(0.05)
    table = random_table(layout)
    assert torch.autograd.gradcheck(
        lambda a, b: hash_grid(a, b, layout), (x.requires_grad_(), table.requires_grad_())
    )


def test_only_what_is_asked_for_gets_a_gradient():
    layout = GridLayout(3, 2, 2, 8, 4, 8)
    x, table = torch.rand(9, 3), random_table(layout, torch.float32)
    hash_grid(x, table.requires_grad_(), layout).sum().backward()
    assert x.grad is None and table.grad is not None
    # Interpolation weights sum to one, so every point gives one unit to every level and feature.
    torch.testing.assert_close(table.grad.sum(), torch.tensor(9.0 * 2 * 2))


def test_no_points():
    layout = GridLayout(3, 3, 2, 8, 4, 8)
    x, table = torch.zeros(0, 3, requires_grad=True), random_table(layout, torch.float32)
    out = hash_grid(x, table.requires_grad_(), layout)
    assert out.shape == (0, 6)
    out.sum().backward()
    assert x.grad.shape == (0, 3) and not table.grad.any()


def test_inputs_and_gradients_that_are_not_contiguous():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    wide = torch.rand(7, 50, dtype=torch.float64)
    table = random_table(layout)
    strided = wide.t()[:, 1:4]
    assert not strided.is_contiguous()
    leaf = strided.detach().contiguous().requires_grad_()
    out = hash_grid(leaf, table.requires_grad_(), layout)
    torch.testing.assert_close(out, hash_grid(strided, table, layout), rtol=0, atol=0)
    upstream = torch.randn(8, 50, dtype=torch.float64).t()
    assert not upstream.is_contiguous()
    strided_grads = torch.autograd.grad(out, (leaf, table), upstream, retain_graph=True)
    whole_grads = torch.autograd.grad(out, (leaf, table), upstream.contiguous())
    for strided_grad, whole in zip(strided_grads, whole_grads, strict=True):
        torch.testing.assert_close(strided_grad, whole, rtol=0, atol=0)


def test_outside_the_cube_is_clamped_and_has_no_slope():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    table = random_table(layout)
    x = torch.tensor(
        [[-0.7, 0.3, 1.9], [5.0, -5.0, 0.5], [1e30, -1e30, 0.2]],
        dtype=torch.float64,
        requires_grad=True,
    )
    out = hash_grid(x, table, layout)
    torch.testing.assert_close(out, hash_grid(x.detach().clamp(0, 1), table, layout))
    out.sum().backward()
    beyond = (x < 0) | (x > 1)
    assert not x.grad[beyond].any() and bool(x.grad[~beyond].all())


def test_a_position_that_is_not_a_number_gives_no_number_and_no_crash():
    # A training that diverges has to reach its NaN alarm, not an index error in the grid.
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    assert set(layout.hashed) == {True, False}
    x = torch.tensor([[0.2, float("nan"), 0.4], [0.1, 0.2, 0.3]], requires_grad=True)
    out = hash_grid(x, random_table(layout, torch.float32).requires_grad_(), layout)
    assert bool(out[0].isnan().all()) and bool(out[1].isfinite().all())
    out.sum().backward()


def test_the_encoding_is_continuous_across_cells():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    table = random_table(layout)
    for scale in layout.scales:
        border = (3 - 0.5) / scale
        x = torch.full((2, 3), 0.37, dtype=torch.float64)
        x[:, 1] = torch.tensor([border - 1e-9, border + 1e-9])
        below, above = hash_grid(x, table, layout)
        torch.testing.assert_close(below, above, rtol=0, atol=1e-6)


def test_the_module_holds_one_small_table_and_reads_it():
    layout = GridLayout(3, 4, 2, 9, 4, 20)
    grid = HashGrid(layout)
    assert [name for name, _ in grid.named_parameters()] == ["table"]
    assert grid.table.shape == (layout.total_rows, 2) and grid.out_features == 8
    assert 5e-5 < float(grid.table.abs().max()) <= 1e-4
    x = torch.rand(10, 3)
    torch.testing.assert_close(grid(x), naive_hash_grid(x, grid.table, layout))


@pytest.mark.parametrize("size", [(2, 3, 2, 5, 3, 6), (3, 2, 2, 5, 2, 4), (4, 2, 1, 5, 2, 3)])
def test_gradgradcheck_in_double(size):
    layout = GridLayout(*size)
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(3, size[0], generator=draw, dtype=torch.float64).mul(0.9).add(0.05)
    table = random_table(layout)
    assert torch.autograd.gradgradcheck(
        lambda a, b: hash_grid(a, b, layout), (x.requires_grad_(), table.requires_grad_())
    )


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match="'cuda'.*auto"):
        HashGrid(GridLayout(), "cuda")
