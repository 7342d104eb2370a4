"""Hash grid in plain PyTorch: the reference of the other backends, and the path of a CPU.

Level by level and in slices of points that stay in the cache. A table with two features is viewed
as complex64, so that one index fetches or adds both. Gradients are written by hand: the backward
pass of the generic operators would build the eight corners of every level as separate tensors.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.layout import PRIMES, GridLayout

# Points a slice on one thread: eight corners of four bytes then take half a megabyte, an L2 cache's
# worth. Several threads want longer operations: on two, a training step was measured 1.25 times as
# fast with the second figure as with the first.
SLICE = 16384
THREADED_SLICE = 131072


def _slice() -> int:
    return SLICE if torch.get_num_threads() == 1 else THREADED_SLICE


def _signed32(value: int) -> int:
    """The int32 with the bits of an unsigned 32-bit number."""
    return value - 2**32 if value >= 2**31 else value


def _corners(x: Tensor, layout: GridLayout, level: int) -> tuple[Tensor, Tensor]:
    """Rows of the 2^D corners, [2^D, n] (last dimension slowest), and fractions, [D, n].

    ``x`` is [D, n] in [0, 1].
    """
    rows, res = layout.rows[level], layout.resolutions[level]
    # rounding differs from a fused multiply-add by less than 1e-6 of a cell
    position = x * layout.scales[level] + 0.5
    floor = position.floor()
    fraction = position.sub_(floor)
    # NaN becomes the lowest integer: kept in range here, so that it reaches the losses' alarm
    low = floor.to(torch.int32).clamp_(min=0)
    index: Tensor | None = None
    for d in range(layout.dim):
        factor = _signed32(PRIMES[d]) if layout.hashed[level] else res**d
        first = low[d] * factor
        pair = torch.stack((first, first + factor))
        if index is None:
            index = pair
        elif layout.hashed[level]:
            index = (pair[:, None] ^ index[None]).flatten(0, 1)
        else:
            index = (pair[:, None] + index[None]).flatten(0, 1)
    assert index is not None
    if layout.hashed[level]:
        index &= rows - 1  # hashed levels have 2^T rows: modulo is a mask
    elif not index.is_cpu or int(index.max()) >= rows:
        # only the far border leaves a dense table, and by less than its size
        index = torch.where(index >= rows, index - rows, index)
    return index, fraction


def _fetch(table: Tensor, index: Tensor) -> Tensor:
    """Entries of ``table`` [rows, F] at ``index`` [2^D, n] -> [2^D, n * F]."""
    flat = index.flatten()
    if table.shape[1] == 2:
        # complex index_select is vectorised for int64 only
        pairs = torch.view_as_complex(table).index_select(0, flat.long())
        return torch.view_as_real(pairs).view(len(index), -1)
    return table.index_select(0, flat).view(len(index), -1)


def _interpolate(values: Tensor, fraction: Tensor) -> Tensor:
    """Multilinear interpolation of [2^D, m] by fractions [D, m] -> [m]."""
    for d in reversed(range(len(fraction))):
        half = len(values) // 2
        values = torch.lerp(values[:half], values[half:], fraction[d])
    return values[0]


def _spread(grad: Tensor, fraction: Tensor) -> Tensor:
    """The transpose of :func:`_interpolate`: [m] -> [2^D, m]."""
    values = grad[None]
    for d in range(len(fraction)):
        high = values * fraction[d]
        values = torch.cat((values - high, high))
    return values


def _position_gradient(dots: Tensor, fraction: Tensor, scale: float) -> Tensor:
    """Gradient to x, [D, n], from each corner's product with the output's gradient [2^D, n]."""
    columns: list[Tensor] = []
    for d in reversed(range(len(fraction))):
        half = len(dots) // 2
        columns.insert(0, _interpolate(dots[half:] - dots[:half], fraction[:d]) * scale)
        dots = torch.lerp(dots[:half], dots[half:], fraction[d])
    return torch.stack(columns)


def _dot(values: Tensor, grad: Tensor) -> Tensor:
    """Sum over features of [2^D, n * F] times [n, F] -> [2^D, n], without a strided reduction."""
    values = values.view(len(values), *grad.shape)
    total = values[..., 0] * grad[:, 0]
    for f in range(1, grad.shape[1]):
        total.addcmul_(values[..., f], grad[:, f])
    return total


class _HashGrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
        ctx.save_for_backward(x, table)
        ctx.layout = layout
        features = layout.features
        out = x.new_empty(len(x), layout.levels, features)
        size = _slice()
        for start in range(0, len(x), size):
            columns = x[start : start + size].t().contiguous()
            for level in range(layout.levels):
                part = table[layout.offsets[level] : layout.offsets[level + 1]]
                index, fraction = _corners(columns, layout, level)
                wide = fraction.repeat_interleave(features, dim=1)
                mixed = _interpolate(_fetch(part, index), wide)
                out[start : start + size, level] = mixed.view(-1, features)
        return out.flatten(1)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        x, table = ctx.saved_tensors
        layout: GridLayout = ctx.layout
        needs_x, needs_table = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():
            # a gradient that is itself differentiated: rare, so the textbook form does
            leaves = [leaf for leaf, needed in ((x, needs_x), (table, needs_table)) if needed]
            out = naive_hash_grid(x, table, layout)
            found = list(torch.autograd.grad(out, leaves, grad, create_graph=True))
            return (
                found.pop(0) if needs_x else None,
                found.pop(0) if needs_table else None,
                None,
            )
        grad = grad.reshape(len(x), layout.levels, layout.features)
        x_grad = torch.zeros_like(x) if needs_x else None
        table_grad = torch.zeros_like(table) if needs_table else None
        size = _slice()
        for start in range(0, len(x), size):
            columns = x[start : start + size].t().contiguous()
            columns_grad = torch.zeros_like(columns)
            for level in range(layout.levels):
                rows = slice(layout.offsets[level], layout.offsets[level + 1])
                index, fraction = _corners(columns, layout, level)
                part = grad[start : start + size, level].contiguous()
                if needs_x:
                    dots = _dot(_fetch(table[rows], index), part)
                    columns_grad += _position_gradient(dots, fraction, layout.scales[level])
                if table_grad is not None:
                    wide = fraction.repeat_interleave(layout.features, dim=1)
                    _accumulate(table_grad[rows], index, _spread(part.flatten(), wide))
            if x_grad is not None:
                x_grad[start : start + size] = columns_grad.t()
        return x_grad, table_grad, None


def _accumulate(table: Tensor, index: Tensor, values: Tensor) -> None:
    """Add ``values`` [2^D, n * F] to the rows ``index`` [2^D, n] of ``table`` in place."""
    flat, values = index.flatten(), values.view(-1, table.shape[1])
    if table.shape[1] == 2:
        table, values = torch.view_as_complex(table), torch.view_as_complex(values)
    table.index_add_(0, flat, values)


def hash_grid(
    x: Float[Tensor, "points dim"],
    table: Float[Tensor, "rows features"],
    layout: GridLayout,
) -> Float[Tensor, "points out"]:
    """Features of points, linearly interpolated from every level's table.

    Args:
        x: positions in [0, 1]; values outside are clamped, and get no gradient there.
        table: parameters, ``layout.total_rows`` by ``layout.features``, float32 or float64.
        layout: the grid's sizes.

    Returns:
        ``[points, levels * features]``, level-major, in the table's dtype. Twice differentiable.
    """
    return _HashGrid.apply(x.to(table.dtype).clamp(0, 1), table, layout)


def naive_hash_grid(
    x: Float[Tensor, "points dim"],
    table: Float[Tensor, "rows features"],
    layout: GridLayout,
) -> Float[Tensor, "points out"]:
    """The same function in the textbook form, all corners at once through autograd.

    The peer that ``clipnerf bench`` times :func:`hash_grid` against, and an independent check.
    """
    out = []
    x = x.to(table.dtype).clamp(0, 1)
    for level in range(layout.levels):
        position = x * layout.scales[level] + 0.5
        low = position.floor().detach()
        fraction = position - low
        grid = low.long()
        total = x.new_zeros(len(x), layout.features)
        for corner in itertools.product((0, 1), repeat=layout.dim):
            index = torch.zeros_like(grid[:, 0])
            weight = torch.ones_like(x[:, 0])
            for d, bit in enumerate(corner):
                g = grid[:, d] + bit
                if layout.hashed[level]:
                    index = index ^ (g * PRIMES[d] & 0xFFFFFFFF)
                else:
                    index = index + g * layout.resolutions[level] ** d
                weight = weight * (fraction[:, d] if bit else 1 - fraction[:, d])
            row = index % layout.rows[level] + layout.offsets[level]
            total = total + weight[:, None] * table[row]
        out.append(total)
    return torch.cat(out, dim=1)
