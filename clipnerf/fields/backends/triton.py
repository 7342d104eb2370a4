"""Hash grid as fused Triton kernels: the fast path of a GPU, installed with PyTorch itself.

Same function and same table as the PyTorch reference, with its second derivative. Tables are read
in float32, float16 or bfloat16; sums and the table's gradient are float32. Additions to the table's
gradient come in any order, so two runs differ in the last bits.

With TRITON_INTERPRET=1 in the environment before Triton is imported, the kernels run on a CPU,
thousands of times slower: for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipnerf.fields.layout import PRIMES, GridLayout

try:
    import triton.language as tl
    from triton.runtime import JITFunction

    from clipnerf.fields.backends import triton_kernels as kernels
    from clipnerf.fields.backends import triton_second

    _PROBLEM = ""
except Exception as error:  # a broken installation fails in more ways than ImportError
    _PROBLEM = f"triton cannot be imported ({' '.join(str(error).split())[:100]})"

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
VECTOR_BYTES = 16
"""Bytes of the widest load and store of a lane."""


@dataclass(frozen=True)
class Launch:
    """How the kernels are launched; changes speed alone, never a result beyond rounding.

    Attributes:
        block: points a program.
        warps: warps a program.
        load: table entries that one vector load fetches.
        add: table entries that one vector atomic adds to; 0 adds feature by feature, for GPUs
            without vector atomics.
        group: levels that a program goes through; divides their number.
    """

    block: int
    warps: int
    load: int
    add: int
    group: int


def problem(device: torch.device) -> str:
    """Why this backend cannot run on a device; empty where it can."""
    if _PROBLEM:
        return _PROBLEM
    if not isinstance(kernels._forward, JITFunction):
        return ""  # the interpreter runs anywhere
    if device.type != "cuda":
        return f"triton needs a CUDA device, and this is {device.type}"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < (7, 0):
        return "triton needs compute capability 7.0 or newer"
    return ""


def plan(layout: GridLayout, dtype: torch.dtype, device: torch.device) -> Launch:
    """The launch for a grid whose table is read in ``dtype`` on ``device``."""
    size, features = torch.empty((), dtype=dtype).element_size(), layout.features
    capability, cache = (9, 0), 2**25
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        cache = torch.cuda.get_device_properties(device).L2_cache_size
    # half the cache is for what streams through
    groups = max(2 * layout.total_rows * features * size / max(cache, 1), 1)
    fitting = [
        n
        for n in range(1, layout.levels + 1)
        if layout.levels % n == 0 and n * groups <= layout.levels
    ]
    return Launch(
        # the interpreter's time goes by operations, however wide they are
        block=128 if device.type == "cuda" else 2048,
        warps=4,
        load=max(VECTOR_BYTES // (features * size), 1),
        add=max(VECTOR_BYTES // (features * 4), 1) if capability >= (9, 0) else 0,
        group=max(fitting, default=1),
    )


@lru_cache(maxsize=64)
def _levels(layout: GridLayout, device: torch.device) -> tuple[Tensor, Tensor]:
    """Eight integers and the scale of each level, as the kernels read them."""
    rows = []
    for level in range(layout.levels):
        hashed, res = layout.hashed[level], layout.resolutions[level]
        factors = [p if hashed else res**d for d, p in enumerate(PRIMES)]
        mask = layout.rows[level] - 1 if hashed else 2**32 - 1
        row = [layout.offsets[level] // 8, layout.rows[level], mask, int(hashed), *factors]
        # int32 with the bits of the unsigned number
        rows.append([(value + 2**31) % 2**32 - 2**31 for value in row])
    info = torch.tensor(rows, dtype=torch.int32, device=device)
    return info, torch.tensor(layout.scales, dtype=torch.float32, device=device)


def _run(
    kernel: Any, items: int, launch: Launch, layout: GridLayout, *tensors: Tensor, **constants: Any
) -> None:
    """Launches a kernel over ``items`` lanes; nothing for none."""
    count = len(tensors[0])
    if count == 0:
        return
    info, scales = _levels(layout, tensors[0].device)
    grid = (-(-items // launch.block), layout.levels // launch.group)
    kernel[grid](
        *tensors,
        info,
        scales,
        count,
        layout.levels,
        D=layout.dim,
        F=layout.features,
        BLOCK=launch.block,
        GROUP=launch.group,
        num_warps=launch.warps,
        **constants,
    )


def _entries(table: Tensor, launch: Launch) -> tuple[Tensor, dict[str, Any]]:
    """The table as the kernels read it, an entry a word where several come at once; and how."""
    kind = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
    constants = {"LOAD": launch.load, "KIND": kind[table.dtype]}
    size = table.shape[1] * table.element_size()
    if launch.load > 1 and size in _WORDS:
        return table.view(_WORDS[size]), constants
    return table, constants | {"LOAD": 1}


def _values(
    x: Tensor, table: Tensor, layout: GridLayout, launch: Launch, dtype: torch.dtype
) -> Tensor:
    out = torch.empty(len(x), layout.out_features, dtype=dtype, device=x.device)
    entries, kind = _entries(table, launch)
    _run(kernels._forward, len(x), launch, layout, x, entries, out, **kind)
    return out


def _to_positions(
    x: Tensor,
    table: Tensor,
    upstream: Tensor,
    layout: GridLayout,
    launch: Launch,
    table_grad: Tensor | None,
) -> Tensor:
    """Gradient to the positions; ``table_grad`` is added to on the way where it is given."""
    groups = layout.levels // launch.group
    shares = torch.empty(groups, *x.shape, device=x.device)
    entries, kind = _entries(table, launch)
    _run(
        kernels._backward,
        len(x),
        launch,
        layout,
        x,
        entries,
        upstream,
        shares,
        shares if table_grad is None else table_grad,
        ADD=max(launch.add, 1),
        TO_X=True,
        TO_TABLE=table_grad is not None,
        **kind,
    )
    return shares[0] if groups == 1 else shares.sum(0)


def _to_table(
    x: Tensor, table: Tensor, upstream: Tensor, layout: GridLayout, launch: Launch, to: Tensor
) -> None:
    """Adds the gradient to the table to ``to``."""
    if launch.add == 0:
        # one point and feature a lane: anything else would make lanes exchange data
        narrow = Launch(32 * launch.warps, launch.warps, 1, 0, launch.group)
        _run(kernels._scatter, len(x) * layout.features, narrow, layout, x, upstream, to)
        return
    entries, kind = _entries(table, launch)
    _run(
        kernels._backward,
        len(x),
        launch,
        layout,
        x,
        entries,
        upstream,
        to,
        to,
        ADD=launch.add,
        TO_X=False,
        TO_TABLE=True,
        **kind,
    )


class _HashGrid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        table: Tensor,
        layout: GridLayout,
        launch: Launch,
        read: torch.dtype,
        dtype: torch.dtype,
    ) -> Tensor:
        copy = table.detach().to(read).contiguous()
        ctx.save_for_backward(x, table, copy)
        ctx.layout, ctx.launch = layout, launch
        return _values(x, copy, layout, launch, dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, table, copy = ctx.saved_tensors
        x_grad, table_grad = _Gradients.apply(
            upstream, x, table, copy, ctx.layout, ctx.launch, *ctx.needs_input_grad[:2]
        )
        return x_grad, table_grad, None, None, None, None


class _Gradients(torch.autograd.Function):
    """The backward pass as a function of its own, so that it has a derivative."""

    @staticmethod
    def forward(
        ctx: Any,
        upstream: Tensor,
        x: Tensor,
        table: Tensor,
        copy: Tensor,
        layout: GridLayout,
        launch: Launch,
        needs_x: bool,
        needs_table: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(upstream, x, copy)
        ctx.layout, ctx.launch, ctx.table_dtype = layout, launch, table.dtype
        upstream = upstream.contiguous()
        x_grad, table_grad = None, None
        if needs_table:
            table_grad = torch.zeros(table.shape, device=table.device)
        if needs_x:
            together = table_grad if launch.add else None
            x_grad = _to_positions(x, copy, upstream, layout, launch, together)
        if table_grad is not None and not (needs_x and launch.add):
            _to_table(x, copy, upstream, layout, launch, table_grad)
        return x_grad, None if table_grad is None else table_grad.to(table.dtype)

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, v: Tensor | None, w: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        upstream, x, copy = ctx.saved_tensors
        layout, launch = ctx.layout, ctx.launch
        upstream = upstream.contiguous()
        to_upstream = torch.zeros_like(upstream)
        to_x = torch.zeros_like(x)
        to_table = torch.zeros(copy.shape, device=copy.device)
        if v is not None:
            groups = layout.levels // launch.group
            shares = torch.empty(groups, *x.shape, device=x.device)
            _run(
                triton_second._double_backward,
                len(x),
                launch,
                layout,
                x,
                copy,
                upstream,
                v.contiguous(),
                to_upstream,
                shares,
                to_table,
            )
            to_x += shares.sum(0)
        if w is not None:
            # the table's gradient is linear in the upstream one, with the values' own weights
            w = w.to(copy.dtype).contiguous()
            to_upstream += _values(x, w, layout, launch, upstream.dtype)
            to_x += _to_positions(x, w, upstream, layout, launch, None)
        return to_upstream, to_x, to_table.to(ctx.table_dtype), None, None, None, None, None


def hash_grid(
    x: Float[Tensor, "points dim"],
    table: Float[Tensor, "rows features"],
    layout: GridLayout,
    dtype: torch.dtype = torch.float32,
    *,
    read: torch.dtype | None = None,
    launch: Launch | None = None,
) -> Float[Tensor, "points out"]:
    """Features of points, linearly interpolated from every level's table.

    Args:
        x: positions in [0, 1]; values outside are clamped, and get no gradient there. Computed in
            float32.
        table: parameters, ``layout.total_rows`` by ``layout.features``.
        layout: the grid's sizes.
        dtype: of the result: float32, float16 or bfloat16.
        read: dtype in which the table is read; where None float32 for a float32 result, else
            float16, whose entries near zero are finer than bfloat16's.
        launch: how the kernels are launched; :func:`plan` where None.

    Returns:
        ``[points, levels * features]``, level-major. Twice differentiable.
    """
    if read is None:
        read = torch.float32 if dtype == torch.float32 else torch.float16
    launch = launch or plan(layout, read, x.device)
    x = x.float().clamp(0, 1).contiguous()
    return _HashGrid.apply(x, table, layout, launch, read, dtype)
