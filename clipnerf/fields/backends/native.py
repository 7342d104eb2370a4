"""The field on a CPU in C: deformation, features and networks, a few points at a time in the cache.

``clipnerf/fields/native/field.c`` says how. Results equal those of the plain PyTorch path up to
rounding; gradients are written by hand and compute anew what they need, so that little is kept for
them. A gradient that is itself differentiated goes through the plain path.

Bits: a point's result does not depend on what is computed beside it. Sums over points are made in
an order that depends on sizes alone, not on threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.backends.native_library import LEVELS, call, library
from clipnerf.fields.layout import GridLayout
from clipnerf.fields.modulated import Affine

JOB, PAD, LAYERS = 3072, 16, 4
COPIES = 8
"""Of the table's gradient, at most: as many threads can add to it at once."""


class _Network(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.c_int32),
        ("width", ctypes.c_int32 * (LAYERS + 1)),
        ("weight", ctypes.c_void_p * LAYERS),
        ("bias", ctypes.c_void_p * LAYERS),
        ("weight_step", ctypes.c_int64 * LAYERS),
        ("bias_step", ctypes.c_int64 * LAYERS),
        ("end", ctypes.c_int32),
        ("shift", ctypes.c_float),
        ("factor", ctypes.c_float),
    )


class Space(ctypes.Structure):
    """Sizes of a field's space, as the library wants them."""

    _fields_ = (
        ("mirror", ctypes.c_int32),
        ("octaves", ctypes.c_int32),
        ("levels", ctypes.c_int32),
        ("extent", ctypes.c_float),
        ("limit", ctypes.c_float),
        ("rounding", ctypes.c_float),
        ("side", ctypes.c_float),
        ("scale", ctypes.c_float * LEVELS),
        ("resolution", ctypes.c_int32 * LEVELS),
        ("hashed", ctypes.c_int32 * LEVELS),
        ("offset", ctypes.c_int64 * (LEVELS + 1)),
    )


def space(
    layout: GridLayout,
    *,
    octaves: int,
    mirror: bool,
    extent: float,
    limit: float,
    rounding: float,
    side: float,
) -> Space:
    """The space of a field; ``octaves`` of the encoding in question."""
    made = Space(mirror, octaves, layout.levels, extent, limit, rounding, side)
    made.scale[: layout.levels] = layout.scales
    made.resolution[: layout.levels] = layout.resolutions
    made.hashed[: layout.levels] = layout.hashed
    made.offset[: layout.levels + 1] = layout.offsets
    return made


NOTHING = (0, 0.0, 0.0)
SIGMOID = (1, 0.0, 0.0)
"""Ends of a network; the other is ``softplus``."""


def softplus(shift: float, factor: float) -> tuple[int, float, float]:
    """The end factor * softplus(. + shift)."""
    return 2, shift, factor


def network(
    x: Float[Tensor, "batch points inputs"],
    layers: Sequence[Affine],
    end: tuple[int, float, float],
    plain: Callable[..., Tensor],
) -> Float[Tensor, "batch points outputs"]:
    """Layers with ReLU between them, for each object its own; without layers, the end alone.

    Args:
        end: what follows the last layer: ``NOTHING``, ``SIGMOID`` or ``softplus(...)``.
        plain: all this in PyTorch, ``plain(x, layers)``, for second derivatives.
    """
    return _NetworkOp.apply(plain, end, x, *_tensors(layers))


def deform(
    points: Float[Tensor, "batch points 3"],
    layers: Sequence[Affine],
    space: Space,
    plain: Callable[..., Tensor],
) -> Float[Tensor, "batch points 3"]:
    """Displaced points; ``plain(points, layers)`` is the same in PyTorch."""
    return _DeformOp.apply(plain, space, points, *_tensors(layers))


def features(
    points: Float[Tensor, "points 3"],
    table: Float[Tensor, "rows 2"],
    space: Space,
    plain: Callable[..., Tensor],
) -> Float[Tensor, "points features"]:
    """Features of displaced points; ``plain(points, table)`` is the same in PyTorch."""
    return _FeaturesOp.apply(plain, space, points, table)


def _tensors(layers: Sequence[Affine]) -> list[Tensor]:
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _layers(tensors: Sequence[Tensor]) -> list[Affine]:
    return [Affine(*tensors[k : k + 2]) for k in range(0, len(tensors), 2)]


class _Described:
    """A network's tensors as the library wants them; keeps alive what it points to."""

    def __init__(
        self, inputs: int, tensors: Sequence[Tensor], end: tuple[int, float, float] = NOTHING
    ) -> None:
        self.alive = [t.detach() for t in tensors]
        self.alive = [t if _rows_are_dense(t) else t.contiguous() for t in self.alive]
        weights, biases = self.alive[::2], self.alive[1::2]
        made = _Network(len(weights))
        self.widths = [inputs, *(w.shape[2] for w in weights)]
        made.width[: len(self.widths)] = self.widths
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            made.weight[number], made.bias[number] = weight.data_ptr(), bias.data_ptr()
            made.weight_step[number], made.bias_step[number] = weight.stride(0), bias.stride(0)
        made.end, made.shift, made.factor = end
        self.network = made

    def gradients(self, sums: Tensor, objects: int) -> list[Tensor]:
        """Sums of all jobs [jobs, floats] as gradients of weights and biases, in their order."""
        total = _added(sums.unflatten(0, (objects, -1)).unbind(1))
        found, start = [], 0
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            wide = -(-outputs // PAD) * PAD
            end = start + (inputs + 1) * wide
            rows = total[:, start:end].unflatten(1, (inputs + 1, wide))[..., :outputs]
            found += [rows[:, :-1], rows[:, -1:]]
            start = end
        return found


def _rows_are_dense(tensor: Tensor) -> bool:
    _, rows, columns = tensor.shape
    return tensor.stride(2) == 1 and (rows == 1 or tensor.stride(1) == columns)


def _added(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def _jobs(objects: int, points: int) -> int:
    return objects * -(-points // JOB)


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _sums(described: _Described, jobs: int) -> Tensor:
    found = library()
    assert not isinstance(found, str)
    count = getattr(found[0], f"sums_{found[1]}")
    count.restype = ctypes.c_int64
    return torch.zeros(jobs, count(ctypes.byref(described.network)))


def _twice(plain: Callable[..., Tensor], grad: Tensor, *inputs: Tensor) -> list[Any]:
    """Gradients by autograd through the plain path, to be differentiated again."""
    needed = [t for t in inputs if t.requires_grad]
    found = iter(torch.autograd.grad(plain(*inputs), needed, grad, create_graph=True))
    return [next(found) if t.requires_grad else None for t in inputs]


class _NetworkOp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        plain: Callable[..., Tensor],
        end: tuple[int, float, float],
        x: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        x = x.contiguous()
        ctx.plain, ctx.end = plain, end
        ctx.save_for_backward(x, *tensors)
        own = _Described(x.shape[2], tensors, end)
        out = x.new_empty(*x.shape[:2], own.widths[-1])
        call(
            "network",
            _jobs(*x.shape[:2]),
            ctypes.byref(own.network),
            _pointer(x),
            _pointer(out),
            ctypes.c_int64(x.shape[1]),
        )
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (
                None,
                None,
                *_twice(lambda x, *tensors: ctx.plain(x, _layers(tensors)), grad, x, *tensors),
            )
        grad, own = grad.contiguous(), _Described(x.shape[2], tensors, ctx.end)
        dx = torch.empty_like(x) if ctx.needs_input_grad[2] else None
        jobs = _jobs(*x.shape[:2])
        sums = _sums(own, jobs)
        call(
            "network_back",
            jobs,
            ctypes.byref(own.network),
            _pointer(x),
            _pointer(grad),
            _pointer(dx),
            _pointer(sums),
            ctypes.c_int64(x.shape[1]),
        )
        return None, None, dx, *own.gradients(sums, len(x))


class _DeformOp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plain: Callable[..., Tensor], space: Space, points: Tensor, *tensors: Tensor
    ) -> Tensor:
        points = points.contiguous()
        ctx.plain, ctx.space = plain, space
        ctx.save_for_backward(points, *tensors)
        own, out = _Described(tensors[0].shape[1], tensors), torch.empty_like(points)
        call(
            "deform",
            _jobs(*points.shape[:2]),
            ctypes.byref(own.network),
            ctypes.byref(space),
            _pointer(points),
            _pointer(out),
            ctypes.c_int64(points.shape[1]),
        )
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        points, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (
                None,
                None,
                *_twice(lambda x, *tensors: ctx.plain(x, _layers(tensors)), grad, points, *tensors),
            )
        grad, own = grad.contiguous(), _Described(tensors[0].shape[1], tensors)
        dx = torch.empty_like(points) if ctx.needs_input_grad[2] else None
        jobs = _jobs(*points.shape[:2])
        sums = _sums(own, jobs)
        call(
            "deform_back",
            jobs,
            ctypes.byref(own.network),
            ctypes.byref(ctx.space),
            _pointer(points),
            _pointer(grad),
            _pointer(dx),
            _pointer(sums),
            ctypes.c_int64(points.shape[1]),
        )
        return None, None, dx, *own.gradients(sums, len(points))


class _FeaturesOp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plain: Callable[..., Tensor], space: Space, points: Tensor, table: Tensor
    ) -> Tensor:
        points, table = points.contiguous(), table.contiguous()
        ctx.plain, ctx.space = plain, space
        ctx.save_for_backward(points, table)
        width = 2 * space.levels + 3 + 6 * space.octaves + space.mirror
        out = points.new_empty(len(points), width)
        call(
            "features",
            _jobs(1, len(points)),
            ctypes.byref(space),
            _pointer(table),
            _pointer(points),
            _pointer(out),
            ctypes.c_int64(len(points)),
        )
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        points, table = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *_twice(ctx.plain, grad, points, table)
        grad = grad.contiguous()
        dx = torch.empty_like(points) if ctx.needs_input_grad[2] else None
        jobs = _jobs(1, len(points))
        # a copy is one thread's at a time, and gets the same jobs whatever the number of threads
        copies = max(min(COPIES, jobs // 8), 1)
        share = -(-jobs // copies)
        copies = -(-jobs // share)
        tables = table.new_zeros(copies, *table.shape) if ctx.needs_input_grad[3] else None
        call(
            "features_back",
            jobs,
            ctypes.byref(ctx.space),
            _pointer(table),
            _pointer(points),
            _pointer(grad),
            _pointer(dx),
            _pointer(tables),
            ctypes.c_int64(share),
            ctypes.c_int64(len(points)),
            share=share,
        )
        return None, None, dx, None if tables is None else _added(tables.unbind())
