"""Angles as people give them, and the cameras that stand there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera

Angle = float | int | Sequence[float] | np.ndarray | Tensor


def angles(name: str, value: Angle, device: torch.device | str = "cpu") -> Float[Tensor, " batch"]:
    """One or several numbers of degrees; UsageError for what is not finite."""
    angle = torch.atleast_1d(torch.as_tensor(value, dtype=torch.float32, device=device))
    if not bool(torch.isfinite(angle).all()):
        raise UsageError(f"{name} is {value}; it has to be a finite number of degrees")
    return angle


def camera_at(generator: Generator, azimuth_deg: Angle, elevation_deg: Angle, size: int) -> Camera:
    """Cameras of square pictures on the generator's sphere, one for each angle.

    Raises:
        UsageError: no size, or numbers of angles that do not fit together.
    """
    if size < 1:
        raise UsageError(f"size is {size}; a picture has at least 1 pixel a side")
    azimuth = angles("azimuth_deg", azimuth_deg, generator.device)
    elevation = angles("elevation_deg", elevation_deg, generator.device)
    if len(azimuth) != len(elevation) and 1 not in (len(azimuth), len(elevation)):
        raise UsageError(
            f"{len(azimuth)} values of azimuth_deg and {len(elevation)} of elevation_deg; "
            "give one each, or the same number"
        )
    azimuth, elevation = torch.broadcast_tensors(azimuth, elevation)
    return generator.camera(azimuth, elevation, size)
