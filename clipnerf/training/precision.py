"""What the machine can do that decides how we compute."""

from __future__ import annotations

from functools import cache

import torch

from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError


def pick_device(asked: str | torch.device | None = "auto") -> torch.device:
    """'auto' or None (CUDA where there is one), 'cpu', 'cuda', or another of torch's, as a device.

    Raises:
        UsageError: no such device, or no GPU for it.
    """
    if asked is None or (isinstance(asked, str) and asked == "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"device is {shown(asked)}; allowed: auto, cpu, cuda") from error
    if device.type not in ("cpu", "cuda") or isinstance(asked, int):
        raise UsageError(f"device is {shown(asked)}; allowed: auto, cpu, cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device is '{asked}', but torch sees no GPU; give --device cpu or auto")
    return device


@cache
def native_bfloat16(kind: str) -> bool:
    """Whether a device kind ('cpu', 'cuda') multiplies bfloat16 matrices in hardware.

    A CPU without the instructions emulates them, slower than float32.
    """
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    if kind == "cpu":
        flags = torch.backends.cpu.get_cpu_capability()
        asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return flags.startswith("AVX512") and bool(asked())
    return False


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """'auto', 'float32' or 'bfloat16' as a dtype for the networks on a device."""
    if precision == "bfloat16" or (precision == "auto" and native_bfloat16(device.type)):
        return torch.bfloat16
    return torch.float32
