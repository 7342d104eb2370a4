"""Hash grid by tiny-cuda-nn (Müller), for those who have built ``tinycudann``.

Same function and same table. What is particular about it is dealt with here:

- It has no wheel and its import fails in many ways; :func:`problem` says how it did.
- Batches are padded to a multiple of its granularity (it does so itself), and none is empty.
- Below float32 it computes and accumulates in float16, the gradient of the table too: upstream
  gradients are scaled to a largest value of 1 on their way in, and back on their way out, in the
  place of its fixed loss scale of 128: those of a GAN are far below float16's smallest number.
- Additions to the table's gradient come in any order: two runs differ.
- A dense level whose scale is within rounding of a whole number could get another vertex count on
  its side: such a grid is refused.
- First derivatives only; a regularizer on the positions' gradient needs ``triton`` or ``torch``.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.fields.layout import GridLayout

WHOLE_NUMBER_MARGIN = 1e-5
"""How near to a whole number, relative to it, the scale of a dense level may not be."""


@lru_cache(maxsize=1)
def _import() -> tuple[ModuleType | None, str]:
    """The package, or why it cannot be had."""
    try:
        return importlib.import_module("tinycudann"), ""
    except ModuleNotFoundError as error:
        if error.name == "tinycudann":
            return None, "tinycudann is not installed"
        return None, f"tinycudann cannot be imported ({error})"
    except Exception as error:  # ImportError, EnvironmentError, OSError and RuntimeError happen
        return None, f"tinycudann cannot be imported ({' '.join(str(error).split())[:120]})"


def problem(device: torch.device, layout: GridLayout | None = None) -> str:
    """Why this backend cannot run on a device, or not this grid; empty where it can."""
    package, reason = _import()
    if package is None:
        return reason
    if device.type != "cuda":
        return f"tinycudann needs a CUDA device, and this is {device.type}"
    if layout is None:
        return ""
    for level in range(1, layout.levels):
        scale = layout.scales[level]
        if not layout.hashed[level] and abs(scale - round(scale)) < WHOLE_NUMBER_MARGIN * scale:
            return f"tinycudann could round the scale of level {level}, {scale:g}, otherwise"
    return ""


@lru_cache(maxsize=16)
def _encoding(layout: GridLayout, dtype: torch.dtype, device: torch.device) -> Any:
    """The encoding without parameters of its own."""
    package, reason = _import()
    if package is None:
        raise ValueError(reason)
    config = {
        "otype": "HashGrid",
        "n_levels": layout.levels,
        "n_features_per_level": layout.features,
        "log2_hashmap_size": layout.log2_rows,
        "base_resolution": layout.base_resolution,
        "per_level_scale": layout.per_level_scale,
        "interpolation": "Linear",
    }
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        encoding = package.Encoding(layout.dim, config, dtype=dtype)
    found, expected = encoding.params.numel(), layout.total_rows * layout.features
    if found != expected:
        raise ValueError(
            f"tinycudann lays this grid out in {found} parameters, and {expected} are expected; "
            "use another backend"
        )
    encoding.loss_scale = 1.0  # ours follows the gradient
    return encoding.requires_grad_(False)


class _ScaleUp(torch.autograd.Function):
    """Identity whose gradient is scaled to a largest value of 1 before it is rounded to float16."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, dtype: torch.dtype, scale: Tensor) -> Tensor:
        ctx.scale, ctx.dtype = scale, out.dtype
        return out.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        if torch.is_grad_enabled():
            # silence would leave a regularizer on the slope without effect
            raise RuntimeError(
                "generator.field.backend 'tcnn' has first derivatives only, and a second one is "
                "asked for (create_graph); use 'triton' or 'torch'"
            )
        grad = grad.float()
        largest = grad.abs().amax() if grad.numel() else grad.new_ones(())
        ctx.scale.copy_(torch.where(largest > 0, 1 / largest.clamp(min=1e-30), 1.0))
        return (grad * ctx.scale).to(ctx.dtype), None, None


class _ScaleDown(torch.autograd.Function):
    """Identity whose gradient is scaled back; runs after :class:`_ScaleUp` in a backward pass."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, dtype: torch.dtype, scale: Tensor) -> Tensor:
        ctx.scale, ctx.dtype = scale, value.dtype
        return value.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return (grad.float() / ctx.scale).to(ctx.dtype), None, None


def hash_grid(
    x: Float[Tensor, "points dim"],
    table: Float[Tensor, "rows features"],
    layout: GridLayout,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "points out"]:
    """Features of points, linearly interpolated from every level's table.

    Args:
        x: positions in [0, 1]; values outside are clamped, and get no gradient there.
        table: parameters, ``layout.total_rows`` by ``layout.features``.
        layout: the grid's sizes.
        dtype: of the result; float32 is computed as such, float16 and bfloat16 in float16.

    Returns:
        ``[points, levels * features]``, level-major. Once differentiable.
    """
    inside = torch.float32 if dtype == torch.float32 else torch.float16
    encoding = _encoding(layout, inside, x.device)
    count, scale = len(x), torch.ones((), device=x.device)
    x = _ScaleDown.apply(x.float().clamp(0, 1), torch.float32, scale)
    if count == 0:
        # it must not be asked for a batch of nothing
        x = x.sum() + x.new_zeros(1, layout.dim)
    params = _ScaleDown.apply(table.flatten(), inside, scale)
    out = torch.func.functional_call(encoding, {"params": params}, (x.contiguous(),))
    return _ScaleUp.apply(out[:count], dtype, scale)
