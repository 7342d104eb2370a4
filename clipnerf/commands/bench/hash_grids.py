"""Points a second of every backend of the hash grid that is there."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from clipnerf.commands.bench.timing import (
    Figure,
    copy_bandwidth,
    median_seconds,
    repeat,
    say,
    timed,
)
from clipnerf.fields.backends import tcnn, triton
from clipnerf.fields.backends.torch import hash_grid as reference
from clipnerf.fields.backends.torch import naive_hash_grid
from clipnerf.fields.layout import GridLayout

CPU_POINTS = 65_536
GPU_POINTS = 2**20
CPU_LAYOUT = GridLayout(dim=3, levels=8, features=2, log2_rows=14)
GPU_LAYOUT = GridLayout(3, 16, 2, 19, 16, 2048)

Grid = Callable[[Tensor, Tensor], Tensor]


def hash_grids(seconds: float, device: torch.device, points: int = 0) -> list[Figure]:
    """Each backend, forward and with its backward pass; gradients to positions and table.

    On a GPU in float16 on the grid of the promise, against the bandwidth of a plain copy; on a CPU
    in float32 on the chairs' grid, against the textbook form in the same run.
    """
    say("hash grid")
    on_gpu = device.type == "cuda"
    layout = GPU_LAYOUT if on_gpu else CPU_LAYOUT
    dtype = torch.float16 if on_gpu else torch.float32
    points = points or (GPU_POINTS if on_gpu else CPU_POINTS)
    copy = copy_bandwidth(seconds / 4, device)
    figures = [Figure("copy bandwidth", copy / 1e9, "GB/s", "", "bytes read and written")]
    x, table = _inputs(layout, points, device)
    touched = 12 + layout.out_features * dtype.itemsize * (2**layout.dim + 1)
    found: dict[str, float] = {}
    for name, grid in backends(layout, dtype, device).items():
        forward = median_seconds(partial(_value, grid, x, table), seconds / 2, device)
        both = median_seconds(partial(_gradients, grid, x, table), seconds / 2, device)
        found[name] = both
        share = f"{touched * points / forward / copy:.2f} x copy, {touched} bytes a point"
        goals = (">= 1000", ">= 300") if on_gpu and name == "triton" else ("", "")
        figures += [
            Figure(f"hash grid {name}", points / forward / 1e6, "Mpoints/s", goals[0], share),
            Figure("  with backward", points / both / 1e6, "Mpoints/s", goals[1]),
        ]
    if on_gpu:
        others = [name for name in found if name != "triton"]
        for name in others if "triton" in found else ():
            goal = ">= 1" if name == "tcnn" else ""
            ratio = found[name] / found["triton"]
            figures.append(Figure(f"  triton, times {name}", ratio, "x", goal, "with backward"))
    else:
        figures.insert(1, _times_naive(seconds, layout, x, table, device))
    size = f"L {layout.levels}, F {layout.features}, T 2^{layout.log2_rows}, {points:,} points"
    figures[1:2] = [
        Figure(f.name, f.value, f.unit, f.goal, "; ".join(filter(None, (f.note, size))))
        for f in figures[1:2]
    ]
    return figures


def backends(layout: GridLayout, dtype: torch.dtype, device: torch.device) -> dict[str, Grid]:
    """The backends that run on a device."""
    found: dict[str, Grid] = {}
    if device.type == "cuda" and not tcnn.problem(device, layout):
        found["tcnn"] = lambda x, table: tcnn.hash_grid(x, table, layout, dtype)
    if device.type == "cuda" and not triton.problem(device):
        found["triton"] = lambda x, table: triton.hash_grid(x, table, layout, dtype)
    found["torch"] = lambda x, table: reference(x, table, layout)
    return found


def sweep(seconds: float, device: torch.device, keep: int = 5) -> list[Figure]:
    """The fastest launches of the Triton kernels, forward and with backward; on a GPU only."""
    if device.type != "cuda" or triton.problem(device):
        return []
    say("launches of the Triton kernels")
    layout, dtype = GPU_LAYOUT, torch.float16
    x, table = _inputs(layout, GPU_POINTS, device)
    vectors = (0, 1, 2) if torch.cuda.get_device_capability(device) >= (9, 0) else (0,)
    options = itertools.product((4, 8), (1, 4), vectors, (4, 16))
    forward: dict[str, float] = {}
    both: dict[str, float] = {}
    for warps, load, add, group in options:
        launch = triton.Launch(32 * warps, warps, load, add, group)

        def grid(x: Tensor, table: Tensor, launch: triton.Launch = launch) -> Tensor:
            return triton.hash_grid(x, table, layout, dtype, launch=launch)

        said = f"warps {warps}, load {load}, group {group}"
        if add == vectors[0]:
            forward[said] = median_seconds(partial(_value, grid, x, table), seconds, device)
        took = median_seconds(partial(_gradients, grid, x, table), seconds, device)
        both[f"{said}, add {add}"] = took
    figures = []
    for what, times in (("forward", forward), ("with backward", both)):
        for said, took in sorted(times.items(), key=lambda item: item[1])[:keep]:
            rate = GPU_POINTS / took / 1e6
            figures.append(Figure(f"launch, {what}", rate, "Mpoints/s", "", said))
    return figures


def _inputs(layout: GridLayout, points: int, device: torch.device) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(points, layout.dim, generator=draw).to(device).requires_grad_()
    table = torch.randn(layout.total_rows, layout.features, generator=draw).to(device)
    return x, table.requires_grad_()


@torch.no_grad()
def _value(grid: Grid, x: Tensor, table: Tensor) -> Tensor:
    return grid(x, table)


def _gradients(grid: Grid, x: Tensor, table: Tensor) -> tuple[Tensor, ...]:
    out = grid(x, table)
    return torch.autograd.grad(out, (x, table), out.detach())


def _times_naive(
    seconds: float, layout: GridLayout, x: Tensor, table: Tensor, device: torch.device
) -> Figure:
    ours: list[float] = []
    naive: list[float] = []

    def both() -> None:
        # One after the other, so that a busy machine slows both alike.
        for times, function in ((ours, reference), (naive, naive_hash_grid)):
            grid: Grid = partial(function, layout=layout)
            times.append(timed(partial(_gradients, grid, x, table), device))

    repeat(both, seconds, device)
    ratio = statistics.median(n / o for n, o in zip(naive[1:], ours[1:], strict=True))
    return Figure("hash grid, times a naive one", ratio, "x", ">= 2.5", "with backward")
