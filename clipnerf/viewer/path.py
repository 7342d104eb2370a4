"""Camera paths: views that a visitor kept, and the way between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.io.camera_path import CameraPath, camera_path_json
from clipnerf.rendering.cameras import Camera
from clipnerf.viewer.drawing import View

FPS, STEP_FRAMES = 24, 48
"""Frames a second, and from one view to the next."""
HEIGHT = 512


def along(views: Sequence[View], frames: int = STEP_FRAMES) -> list[View]:
    """The views and what lies between two of them each, smoothly, around the object.

    Angle, height and distance are interpolated, not the place, which would lead through the object;
    and how the camera is turned away from the object's middle.

    Args:
        views: one or more; all get the aspect of the first.
        frames: from one view to the next.
    """
    c2w = torch.stack([view.c2w for view in views]).double()
    place = c2w[:, :3, 3]
    distance = place.norm(dim=1).clamp(min=1e-6)
    azimuth = torch.atan2(place[:, 1], place[:, 0])
    turns = torch.round(azimuth.diff() / (2 * torch.pi)).cumsum(0)
    azimuth[1:] -= 2 * torch.pi * turns  # the shorter way around
    elevation = torch.asin((place[:, 2] / distance).clamp(-1, 1))
    away = _facing(azimuth, elevation).mT @ c2w[:, :3, :3]
    fov = torch.tensor([view.fov_deg for view in views], dtype=torch.float64)
    keys = torch.cat(
        (torch.stack((azimuth, elevation, distance.log(), fov), dim=1), away.flatten(1)), dim=1
    )
    rows = _spline(keys, frames)
    azimuth, elevation, distance, fov = rows[:, :4].T
    u, _, v = torch.linalg.svd(rows[:, 4:].view(-1, 3, 3))
    turn = _facing(azimuth, elevation) @ u @ v
    c2w = torch.eye(4, dtype=torch.float64).repeat(len(rows), 1, 1)
    c2w[:, :3, :3] = turn
    c2w[:, :3, 3] = -_facing(azimuth, elevation)[:, :, 2] * distance.exp()[:, None]
    return [View(one.float(), float(of), views[0].aspect) for one, of in zip(c2w, fov, strict=True)]


def file_of(views: Sequence[View], front_azimuth_deg: float | int, height: int = HEIGHT) -> bytes:
    """The path through the views as nerfstudio's JSON, so many pixels high."""
    path = CameraPath(cameras(along(views), height), FPS)
    return camera_path_json(path, front_azimuth_deg, cameras(views, height)).encode()


def cameras(views: Sequence[View], height: int) -> Camera:
    """The views as cameras of one picture size, even as videos want it."""
    aspect = max(2 * round(height * views[0].aspect / 2), 2) / height
    return Camera.cat([replace(view, aspect=aspect).camera(height) for view in views])


def _facing(
    azimuth: Float[Tensor, " views"], elevation: Float[Tensor, " views"]
) -> Float[Tensor, "views 3 3"]:
    """Axes of cameras at these angles, radians, that look at the middle."""
    return (
        Camera.orbit(torch.rad2deg(azimuth), torch.rad2deg(elevation), size=1)
        .c2w[:, :3, :3]
        .double()
    )


def _spline(keys: Float[Tensor, "views numbers"], frames: int) -> Float[Tensor, "frames numbers"]:
    """A Catmull-Rom spline through the keys."""
    if len(keys) == 1:
        return keys.expand(frames, -1)
    ends = torch.cat((2 * keys[:1] - keys[1:2], keys, 2 * keys[-1:] - keys[-2:-1]))
    before, a, b, after = ends[:-3, None], ends[1:-2, None], ends[2:-1, None], ends[3:, None]
    t = (torch.arange(frames, dtype=keys.dtype) / frames)[:, None]
    way = 0.5 * (
        2 * a
        + (b - before) * t
        + (2 * before - 5 * a + 4 * b - after) * t**2
        + (3 * a - before - 3 * b + after) * t**3
    )
    return torch.cat((way.flatten(0, 1), keys[-1:]))
