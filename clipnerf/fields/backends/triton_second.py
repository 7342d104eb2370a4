"""The Triton kernel of the hash grid's second derivative; see ``triton_kernels.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl

from clipnerf.fields.backends.triton_kernels import (
    _cells,
    _level,
    _load,
    _pair,
    _side,
    _slope,
    _store,
)


@triton.jit
def _double_backward(
    x,
    table,
    upstream,
    v,
    up_grad,
    x_grad,
    table_grad,
    info,
    scales,
    count,
    levels,
    D: tl.constexpr,
    F: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Gradients of sum(v * x_grad), where x_grad is what ``_backward`` gives; v is [count, D].

    To the upstream gradient, [count, levels * F]; to the positions, [groups, count, D]; to the
    table, added. Rarely used: one entry at a time.
    """
    points = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = points < count
    seen = valid[:, None]
    x0, x1, x2, x3 = _load(x, points, valid, D)
    v0, v1, v2, v3 = _load(v, points, valid, D)
    column = tl.arange(0, F)[None, :]
    grad0 = tl.zeros([BLOCK], tl.float32)
    grad1 = tl.zeros([BLOCK], tl.float32)
    grad2 = tl.zeros([BLOCK], tl.float32)
    grad3 = tl.zeros([BLOCK], tl.float32)
    for step in range(GROUP):
        level = tl.program_id(1) * GROUP + step
        scale, first, rows, mask, hashed, f1, f2, f3 = _level(info, scales, level)
        low0, low1, low2, low3, u0, u1, u2, u3 = _cells(x0, x1, x2, x3, scale)
        at = (points * levels * F)[:, None] + level * F + column
        wide = tl.load(upstream + at, mask=seen, other=0.0).to(tl.float32)
        to_upstream = tl.zeros([BLOCK, F], tl.float32)
        for p in tl.static_range(2**D):
            i0, i1 = _pair(
                low0,
                low1,
                low2,
                low3,
                rows,
                mask,
                hashed,
                f1,
                f2,
                f3,
                (p >> 1) & 1,
                (p >> 2) & 1,
                (p >> 3) & 1,
                D,
            )
            index = (i1 if p & 1 else i0).to(tl.int32)
            m0, m1 = _side(u0, p & 1, 0, D), _side(u1, (p >> 1) & 1, 1, D)
            m2, m3 = _side(u2, (p >> 2) & 1, 2, D), _side(u3, (p >> 3) & 1, 3, D)
            s0, s1 = _slope(p & 1, 0, D), _slope((p >> 1) & 1, 1, D)
            s2, s3 = _slope((p >> 2) & 1, 2, D), _slope((p >> 3) & 1, 3, D)
            d0, d1, d2, d3 = v0 * s0, v1 * s1, v2 * s2, v3 * s3
            # derivative of the corner's weight along v
            along = d0 * m1 * m2 * m3 + d1 * m0 * m2 * m3 + d2 * m0 * m1 * m3 + d3 * m0 * m1 * m2
            along *= scale
            entry = (index * F)[:, None] + column
            values = tl.load(table + first * F + entry, mask=seen, other=0.0).to(tl.float32)
            to_upstream += along[:, None] * values
            to_table = table_grad + first * F + entry
            tl.atomic_add(to_table, along[:, None] * wide, mask=seen, sem="relaxed")
            q = tl.sum(values * wide, axis=1) * scale * scale
            grad0 += q * s0 * (d1 * m2 * m3 + d2 * m1 * m3 + d3 * m1 * m2)
            grad1 += q * s1 * (d0 * m2 * m3 + d2 * m0 * m3 + d3 * m0 * m2)
            grad2 += q * s2 * (d0 * m1 * m3 + d1 * m0 * m3 + d3 * m0 * m1)
            grad3 += q * s3 * (d0 * m1 * m2 + d1 * m0 * m2 + d2 * m0 * m1)
        tl.store(up_grad + at, to_upstream.to(up_grad.dtype.element_ty), mask=seen)
    to = x_grad + (tl.program_id(1).to(tl.int64) * count + points) * D
    _store(to, valid, grad0, grad1, grad2, grad3, D)
