"""Views: where cameras stand, from angles as people give them, and how many frames go at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.ranges import Count, Degrees, Samples, Turns, Width, check, refuse
from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera

ORBIT_PIXELS = 2**18
CUDA_ORBIT_PIXELS = 2**20
"""Pixels of a video rendered at a time; a GPU wants large launches."""

Angle = float | int | Sequence[float] | np.ndarray | Tensor


_FILM: dict[str, Any] = {
    "frames": Count,
    "size": Width,
    "samples": Samples | None,
    "azimuth_deg": Degrees,
    "elevation_deg": Degrees,
    "turns": Turns,
}


def check_film(camera: object = None, **given: object) -> None:
    """UsageError for what describes a film or a picture, and is no number or out of range."""
    if camera is not None and not isinstance(camera, Camera):
        refuse("camera", camera, "a Camera, such as editor.generator.camera(30, 20, 64)")
    for key, value in given.items():
        check(key, value, _FILM[key])


def frames_at_once(device: torch.device, pixels: int) -> int:
    """How many frames of as many pixels are rendered at a time, at least one."""
    return max(1, (ORBIT_PIXELS if device.type == "cpu" else CUDA_ORBIT_PIXELS) // pixels)


def camera_at(generator: Generator, azimuth_deg: Angle, elevation_deg: Angle, size: int) -> Camera:
    """Cameras at angles, degrees: numbers, or one for each picture.

    Raises:
        UsageError: an angle that is no finite number, numbers of them that differ, or no size.
    """
    check("size", size, Width)
    azimuth = finite_degrees("azimuth_deg", azimuth_deg, generator.device)
    elevation = finite_degrees("elevation_deg", elevation_deg, generator.device)
    if len(azimuth) != len(elevation) and 1 not in (len(azimuth), len(elevation)):
        raise UsageError(
            f"{len(azimuth)} values of azimuth_deg and {len(elevation)} of elevation_deg; "
            "give one each, or the same number"
        )
    azimuth, elevation = torch.broadcast_tensors(azimuth, elevation)
    return generator.camera(azimuth, elevation, int(size))


def one_turn(generator: Generator, frames: int, elevation_deg: float | int, size: int) -> Camera:
    """Cameras of a film that goes once around, beginning at the front.

    Raises:
        UsageError: no frame, or no finite elevation.
    """
    check_film(frames=frames, elevation_deg=elevation_deg, size=size)
    azimuths = torch.arange(int(frames)) * (360.0 / int(frames))
    return generator.camera(azimuths, float(elevation_deg), int(size))


def finite_degrees(
    name: str, value: Angle, device: torch.device | str = "cpu"
) -> Float[Tensor, " batch"]:
    """Angles as a tensor; UsageError, which names them, unless all are finite."""
    try:
        if isinstance(value, str | bytes | bytearray | bool):
            raise TypeError("no number")
        angle = torch.atleast_1d(torch.as_tensor(value, dtype=torch.float32, device=device))
        if angle.ndim == 1 and len(angle) and bool(torch.isfinite(angle).all()):
            return angle
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    refuse(name, value, "a finite number of degrees, or one for each picture")
