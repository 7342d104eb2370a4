"""Triton kernels of the hash grid: values, gradients, and gradients of the positions' gradient.

A program takes a block of points and a group of levels; groups are the outer axis of the launch, so
that the tables of one group stay in the L2 cache while all points pass. Indices are recomputed in
every kernel rather than stored. The prime of the x axis is 1, so the two x-neighbors of a cell lie
side by side: one vector load of LOAD entries mostly holds both, and a second, masked one fetches
the neighbor where it does not. The same holds for atomics of ADD entries.

Names: D dimensions, F features, A = ADD * F columns of an atomic; ``low`` is a cell's lower vertex
and ``u`` the fraction inside it; a ``side`` is u or 1 - u; ``info`` holds eight integers a level:
offset / 8, rows, mask, hashed, and the factors of four axes. (`fmt: skip`: arguments stand in rows
by kind.)
"""

# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def _level(info, scales, level):
    """Scalars of a level: scale, first row, rows, mask, hashed, factors of y, z and w."""
    row = info + level * 8
    scale = tl.load(scales + level)
    # offsets are multiples of 8 rows; written so that the compiler knows
    first = tl.load(row).to(tl.int64) * 8
    rows = tl.load(row + 1).to(tl.uint32, bitcast=True)
    mask = tl.load(row + 2).to(tl.uint32, bitcast=True)
    hashed = tl.load(row + 3) != 0
    f1 = tl.load(row + 5).to(tl.uint32, bitcast=True)
    f2 = tl.load(row + 6).to(tl.uint32, bitcast=True)
    f3 = tl.load(row + 7).to(tl.uint32, bitcast=True)
    return scale, first, rows, mask, hashed, f1, f2, f3


@triton.jit
def _cell(x, scale):
    """Lower vertex and fraction along one axis."""
    position = x * scale + 0.5
    floor = tl.floor(position)
    # what is not a number stays inside the table here, and reaches the losses' alarm by u
    low = tl.maximum(floor.to(tl.int32), 0).to(tl.uint32)
    return low, position - floor


@triton.jit
def _axis(x, points, valid, d: tl.constexpr, D: tl.constexpr):
    """Coordinate d of the points; 0 for an axis that the grid does not have."""
    if d < D:
        return tl.load(x + points * D + d, mask=valid, other=0.0)
    else:
        return tl.zeros_like(points).to(tl.float32)


@triton.jit
def _cells(x0, x1, x2, x3, scale):
    """Lower vertices and fractions along all axes."""
    low0, u0 = _cell(x0, scale)
    low1, u1 = _cell(x1, scale)
    low2, u2 = _cell(x2, scale)
    low3, u3 = _cell(x3, scale)
    return low0, low1, low2, low3, u0, u1, u2, u3


@triton.jit
def _load(x, points, valid, D: tl.constexpr):
    """Four coordinates of each point of x [count, D]."""
    x0, x1 = _axis(x, points, valid, 0, D), _axis(x, points, valid, 1, D)
    x2, x3 = _axis(x, points, valid, 2, D), _axis(x, points, valid, 3, D)
    return x0, x1, x2, x3


@triton.jit
def _store(to, valid, grad0, grad1, grad2, grad3, D: tl.constexpr):
    """D coordinates of each point at ``to``."""
    tl.store(to, grad0, mask=valid)
    tl.store(to + 1, grad1, mask=valid)
    if D > 2:
        tl.store(to + 2, grad2, mask=valid)
    if D > 3:
        tl.store(to + 3, grad3, mask=valid)


@triton.jit
def _side(u, bit: tl.constexpr, d: tl.constexpr, D: tl.constexpr):
    """Weight of the lower or upper vertex; 1 for an axis that the grid does not have."""
    if d >= D:
        return tl.full(u.shape, 1.0, tl.float32)
    elif bit:
        return u
    else:
        return 1.0 - u


@triton.jit
def _slope(bit: tl.constexpr, d: tl.constexpr, D: tl.constexpr):
    """Derivative of a side by u."""
    if d >= D:
        return 0.0
    elif bit:
        return 1.0
    else:
        return -1.0


@triton.jit
def _join(a, b, hashed):
    """XOR where the level is hashed, sum where it is dense."""
    return tl.where(hashed, a ^ b, a + b)


@triton.jit
def _pair(
    low0, low1, low2, low3, rows, mask, hashed, f1, f2, f3, b1: tl.constexpr, b2: tl.constexpr,
    b3: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Rows of the two x-neighbors that lie at bits b1, b2, b3 of the other axes."""
    rest = (low1 + b1) * f1
    if D > 2:
        rest = _join(rest, (low2 + b2) * f2, hashed)
    if D > 3:
        rest = _join(rest, (low3 + b3) * f3, hashed)
    i0 = _join(low0, rest, hashed) & mask
    i1 = _join(low0 + 1, rest, hashed) & mask
    # only the far border leaves a dense table, and by less than its size
    i0 = tl.where(i0 >= rows, i0 - rows, i0)
    i1 = tl.where(i1 >= rows, i1 - rows, i1)
    return i0, i1


@triton.jit
def _fetch(table, i0, i1, valid, F: tl.constexpr, LOAD: tl.constexpr, KIND: tl.constexpr):
    """Entries of two neighboring rows of a level, [BLOCK, F], float32.

    With LOAD above 1 the table holds an entry a word. LOAD words, aligned, come in one vector, in
    which the first row is found, and the second mostly; a masked load brings it where it lies
    beyond. KIND is the type of a feature.
    """
    feature = tl.arange(0, F)[None, :]
    if LOAD == 1:
        at0 = (i0.to(tl.int32) * F)[:, None] + feature
        at1 = (i1.to(tl.int32) * F)[:, None] + feature
        first = tl.load(table + at0, mask=valid[:, None], other=0.0)
        second = tl.load(table + at1, mask=valid[:, None], other=0.0)
        return first.to(tl.float32), second.to(tl.float32)
    else:
        entry = tl.arange(0, LOAD)[None, :]
        g0, g1 = i0 // LOAD, i1 // LOAD
        vector = tl.load(
            table + (g0.to(tl.int32) * LOAD)[:, None] + entry, mask=valid[:, None], other=0
        )
        beyond = tl.load(table + i1.to(tl.int32), mask=valid & (g0 != g1), other=0)
        entry0 = (i0 % LOAD).to(tl.int32)[:, None]
        entry1 = (i1 % LOAD).to(tl.int32)[:, None]
        one = tl.sum(tl.where(entry == entry0, vector, 0), axis=1)
        two = tl.sum(tl.where(entry == entry1, vector, 0), axis=1)
        # by way of 64 bits, for the interpreter of Triton 3.2 sums wider than it says
        one, two = one.to(tl.int64).to(vector.dtype), two.to(tl.int64).to(vector.dtype)
        two = tl.where(g0 == g1, two, beyond)
        return _unpack(one, F, KIND), _unpack(two, F, KIND)


@triton.jit
def _unpack(words, F: tl.constexpr, KIND: tl.constexpr):
    """The F features of words, [BLOCK, F], float32."""
    bits: tl.constexpr = 32 if KIND == tl.float32 else 16
    part: tl.constexpr = tl.int32 if KIND == tl.float32 else tl.int16
    shift = (tl.arange(0, F)[None, :] * bits).to(words.dtype)
    return (words[:, None] >> shift).to(part).to(KIND, bitcast=True).to(tl.float32)


@triton.jit
def _forward(
    x, table, out, info, scales, count, levels,
    D: tl.constexpr, F: tl.constexpr, LOAD: tl.constexpr, KIND: tl.constexpr,
    BLOCK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """Features of points: out [count, levels * F]."""
    ENTRY: tl.constexpr = F if LOAD == 1 else 1
    points = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = points < count
    x0, x1, x2, x3 = _load(x, points, valid, D)
    feature = tl.arange(0, F)[None, :]
    for step in range(GROUP):
        level = tl.program_id(1) * GROUP + step
        scale, first, rows, mask, hashed, f1, f2, f3 = _level(info, scales, level)
        low0, low1, low2, low3, u0, u1, u2, u3 = _cells(x0, x1, x2, x3, scale)
        total = tl.zeros([BLOCK, F], tl.float32)
        for p in tl.static_range(2 ** (D - 1)):
            i0, i1 = _pair(
                low0, low1, low2, low3, rows, mask, hashed, f1, f2, f3,
                p & 1, (p >> 1) & 1, (p >> 2) & 1, D,
            )  # fmt: skip
            weight = _side(u1, p & 1, 1, D) * _side(u2, (p >> 1) & 1, 2, D)
            weight *= _side(u3, (p >> 2) & 1, 3, D)
            first_row, second_row = _fetch(table + first * ENTRY, i0, i1, valid, F, LOAD, KIND)
            total += (weight * (1.0 - u0))[:, None] * first_row
            total += (weight * u0)[:, None] * second_row
        where = out + (points * levels * F)[:, None] + level * F + feature
        tl.store(where, total.to(out.dtype.element_ty), mask=valid[:, None])


@triton.jit
def _backward(
    x, table, upstream, x_grad, table_grad, info, scales, count, levels,
    D: tl.constexpr, F: tl.constexpr, LOAD: tl.constexpr, KIND: tl.constexpr, ADD: tl.constexpr,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, TO_X: tl.constexpr, TO_TABLE: tl.constexpr,
):  # fmt: skip
    """Gradients of sum(upstream * features).

    x_grad [groups, count, D] gets a group's share; table_grad [rows, F], float32, is added to.
    """
    A: tl.constexpr = ADD * F
    ENTRY: tl.constexpr = F if LOAD == 1 else 1
    points = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    valid = points < count
    seen = valid[:, None]
    x0, x1, x2, x3 = _load(x, points, valid, D)
    column, add_column = tl.arange(0, F)[None, :], tl.arange(0, A)[None, :]
    add_entry = add_column // F
    grad0 = tl.zeros([BLOCK], tl.float32)
    grad1 = tl.zeros([BLOCK], tl.float32)
    grad2 = tl.zeros([BLOCK], tl.float32)
    grad3 = tl.zeros([BLOCK], tl.float32)
    for step in range(GROUP):
        level = tl.program_id(1) * GROUP + step
        scale, first, rows, mask, hashed, f1, f2, f3 = _level(info, scales, level)
        low0, low1, low2, low3, u0, u1, u2, u3 = _cells(x0, x1, x2, x3, scale)
        above = upstream + (points * levels * F)[:, None] + level * F
        if TO_X:
            wide = tl.load(above + column, mask=seen, other=0.0).to(tl.float32)
        if TO_TABLE:
            add_wide = tl.load(above + add_column % F, mask=seen, other=0.0).to(tl.float32)
        for p in tl.static_range(2 ** (D - 1)):
            i0, i1 = _pair(
                low0, low1, low2, low3, rows, mask, hashed, f1, f2, f3,
                p & 1, (p >> 1) & 1, (p >> 2) & 1, D,
            )  # fmt: skip
            m1, m2 = _side(u1, p & 1, 1, D), _side(u2, (p >> 1) & 1, 2, D)
            m3 = _side(u3, (p >> 2) & 1, 3, D)
            weight = m1 * m2 * m3
            if TO_X:
                first_row, second_row = _fetch(table + first * ENTRY, i0, i1, valid, F, LOAD, KIND)
                q0 = tl.sum(first_row * wide, axis=1)
                q1 = tl.sum(second_row * wide, axis=1)
                mixed = (q0 + (q1 - q0) * u0) * scale
                grad0 += (q1 - q0) * weight * scale
                grad1 += mixed * (_slope(p & 1, 1, D) * m2 * m3)
                grad2 += mixed * (_slope((p >> 1) & 1, 2, D) * m1 * m3)
                grad3 += mixed * (_slope((p >> 2) & 1, 3, D) * m1 * m2)
            if TO_TABLE:
                _add_pair(
                    table_grad + first * F, i0, i1, weight * (1.0 - u0), weight * u0, add_wide,
                    add_column, add_entry, seen, F, ADD,
                )  # fmt: skip
    if TO_X:
        to = x_grad + (tl.program_id(1).to(tl.int64) * count + points) * D
        _store(to, valid, grad0, grad1, grad2, grad3, D)


@triton.jit
def _add_pair(
    table_grad, i0, i1, w0, w1, wide, column, entry, seen, F: tl.constexpr, ADD: tl.constexpr
):
    """Adds w0 * wide and w1 * wide to two rows; in one vector where they are near enough."""
    A: tl.constexpr = ADD * F
    g0, g1 = (i0 // ADD).to(tl.int32), (i1 // ADD).to(tl.int32)
    near = (g0 == g1)[:, None]
    far = (g0 != g1)[:, None]
    first = tl.where(entry == (i0 % ADD).to(tl.int32)[:, None], w0[:, None], 0.0)
    second = tl.where(entry == (i1 % ADD).to(tl.int32)[:, None], w1[:, None], 0.0)
    both = first + tl.where(near, second, 0.0)
    tl.atomic_add(table_grad + (g0 * A)[:, None] + column, both * wide, mask=seen, sem="relaxed")
    tl.atomic_add(
        table_grad + (g1 * A)[:, None] + column, second * wide, mask=seen & far, sem="relaxed"
    )


@triton.jit
def _scatter(
    x, upstream, table_grad, info, scales, count, levels,
    D: tl.constexpr, F: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """What ``_backward`` adds to the table, for GPUs without vector atomics (before sm_90).

    One feature of a point a lane: neighboring lanes add to neighboring addresses.
    """
    items = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    points, feature = items // F, items % F
    valid = points < count
    x0, x1, x2, x3 = _load(x, points, valid, D)
    for step in range(GROUP):
        level = tl.program_id(1) * GROUP + step
        scale, first, rows, mask, hashed, f1, f2, f3 = _level(info, scales, level)
        low0, low1, low2, low3, u0, u1, u2, u3 = _cells(x0, x1, x2, x3, scale)
        above = tl.load(upstream + (points * levels + level) * F + feature, mask=valid, other=0.0)
        above = above.to(tl.float32)
        to = table_grad + first * F + feature
        for p in tl.static_range(2 ** (D - 1)):
            i0, i1 = _pair(
                low0, low1, low2, low3, rows, mask, hashed, f1, f2, f3,
                p & 1, (p >> 1) & 1, (p >> 2) & 1, D,
            )  # fmt: skip
            weight = _side(u1, p & 1, 1, D) * _side(u2, (p >> 1) & 1, 2, D)
            weight *= _side(u3, (p >> 2) & 1, 3, D) * above
            tl.atomic_add(to + i0.to(tl.int32) * F, weight * (1.0 - u0), mask=valid, sem="relaxed")
            tl.atomic_add(to + i1.to(tl.int32) * F, weight * u0, mask=valid, sem="relaxed")
