"""Camera paths as files: the JSON that nerfstudio's viewer saves and its ``ns-render`` films.

In a file cameras have OpenGL axes and stand in the world of exported meshes: +Z up, the object's
front at +X, wherever a generator's objects face.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.documents import parse_json
from clipnerf.errors import UsageError
from clipnerf.rendering.cameras import Camera, front_to_x, to_opengl

MOST_FRAMES, MOST_PIXELS = 10_000, 4096


@dataclass(frozen=True)
class CameraPath:
    """A camera for each frame.

    Attributes:
        camera: OpenCV axes, in the field's world.
        fps: frames a second.
    """

    camera: Camera
    fps: float | int


def camera_path_json(
    path: CameraPath, front_azimuth_deg: float | int = 0.0, keyframes: Camera | None = None
) -> str:
    """The content of a file.

    Args:
        front_azimuth_deg: where the field's objects face.
        keyframes: what was interpolated between, for nerfstudio's viewer; by default every frame.
    """
    camera = path.camera
    frames = _entries(camera, front_azimuth_deg, "camera_to_world")
    keys = _entries(keyframes or camera, front_azimuth_deg, "matrix")
    seconds = len(camera) / path.fps
    content = {
        "default_fov": frames[0]["fov"],
        "default_transition_sec": seconds / max(len(keys) - 1, 1),
        "keyframes": keys,
        "camera_type": "perspective",
        "render_height": camera.height,
        "render_width": camera.width,
        "fps": path.fps,
        "seconds": seconds,
        "is_cycle": False,
        "smoothness_value": 0.0,
        "camera_path": frames,
    }
    return json.dumps(content)


def read_camera_path(path: str | Path, front_azimuth_deg: float | int = 0.0) -> CameraPath:
    """The cameras of a file.

    Args:
        front_azimuth_deg: where the field's objects face.
    Raises:
        UsageError: no such file, no camera path, or cameras that cannot be.
    """
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"camera path {str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"camera path {str(path)!r} is no JSON ({error})") from error
    try:
        return _parsed(content, float(front_azimuth_deg))
    except UsageError as error:
        raise UsageError(f"camera path {str(path)!r}: {error}; save it from a viewer") from error


def _entries(camera: Camera, front_azimuth_deg: float | int, matrix: str) -> list[dict[str, Any]]:
    c2w = camera.c2w.double().cpu()
    c2w[:, :3] = front_to_x(front_azimuth_deg).double().T @ c2w[:, :3]
    fov_deg = torch.rad2deg(2 * torch.atan(camera.height / (2 * camera.K[:, 1, 1].double().cpu())))
    aspect = camera.width / camera.height
    return [
        {matrix: one.flatten().tolist(), "fov": fov, "aspect": aspect}
        for one, fov in zip(to_opengl(c2w), fov_deg.tolist(), strict=True)
    ]


def _parsed(content: Any, front_azimuth_deg: float) -> CameraPath:
    if not isinstance(content, dict):
        raise UsageError("it is no JSON object")
    kind = str(content.get("camera_type", "perspective"))
    if kind.lower() != "perspective":
        raise UsageError(f"camera_type is {kind!r}; allowed: perspective")
    height, width = (
        int(_number(content, key, 2, MOST_PIXELS)) for key in ("render_height", "render_width")
    )
    frames = content.get("camera_path")
    if not isinstance(frames, list) or not 1 <= len(frames) <= MOST_FRAMES:
        raise UsageError(f"camera_path is to hold 1 to {MOST_FRAMES} cameras")
    if "seconds" in content:
        fps = len(frames) / _number(content, "seconds", 1e-3, 1e6)
    else:
        fps = _number(content, "fps", 1e-3, 1e3)
    poses, fovs = [], []
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise UsageError(f"camera {number} is no JSON object")
        fovs.append(_number(frame, "fov", 0.1, 179.0, f" of camera {number}"))
        poses.append(_pose(frame.get("camera_to_world"), number))
    c2w = to_opengl(torch.stack(poses))
    c2w[:, :3] = front_to_x(front_azimuth_deg).double() @ c2w[:, :3]
    focal = 0.5 * height / torch.tan(torch.deg2rad(torch.tensor(fovs, dtype=torch.float64)) / 2)
    K = torch.tensor([[0, 0, width / 2], [0, 0, height / 2], [0, 0, 1.0]]).repeat(len(fovs), 1, 1)
    K[:, 0, 0] = K[:, 1, 1] = focal.float()
    return CameraPath(Camera(c2w.float(), K, width, height), fps)


def _number(content: dict, key: str, least: float | int, most: float | int, of: str = "") -> float:
    value: Any = content.get(key)
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not (known and least <= value <= most):
        said = f"is {value!r}" if key in content else "is missing"
        raise UsageError(f"{key}{of} {said}; allowed: {least:g} to {most:g}")
    return float(value)


def _pose(matrix: Any, number: int) -> Float[Tensor, "4 4"]:
    """A camera's matrix, if it is one: sixteen numbers, or four rows; it turns and moves alone."""
    rows = matrix if isinstance(matrix, list) else []
    flat = [v for row in rows for v in (row if isinstance(row, list) else [row])]
    known = len(flat) == 16 and all(
        isinstance(v, int | float) and math.isfinite(v) and abs(v) < 1e6 for v in flat
    )
    pose = torch.tensor(flat, dtype=torch.float64).view(4, 4) if known else None
    if pose is not None:
        turn = pose[:3, :3]
        away = (turn @ turn.T - torch.eye(3, dtype=torch.float64)).abs().max()
        last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        if away < 1e-3 and torch.linalg.det(turn) > 0 and torch.equal(pose[3], last):
            return pose
    raise UsageError(
        f"camera_to_world of camera {number} is no pose; allowed: 16 numbers, row by row, a "
        "rotation and a place"
    )
