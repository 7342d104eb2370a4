"""Cameras, and the conventions of the whole project.

- World: right-handed, +Z up; the object lives in the cube [-1, 1]^3 and its front faces +X.
- Camera: OpenCV axes (x right, y down, z forward); ``c2w`` is 4x4, camera to world; intrinsics
  ``K`` 3x3 in pixels; the centre of the first pixel is at (0.5, 0.5).
- An orbit's camera stands at radius * (cos el cos az, cos el sin az, sin el) and looks at the
  origin: azimuth 0 sees the front, azimuth grows counter-clockwise seen from above.
- Pictures: float32 in [0, 1], NCHW, RGB, white background.
- Angles are radians inside and degrees where a name ends in ``_deg``.

The converter to OpenGL axes is at the end; camera paths as files are in ``io/camera_path.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """A batch of pinhole cameras with square pixels and one picture size.

    Attributes:
        c2w: camera to world, OpenCV axes.
        K: intrinsics in pixels.
        width, height: picture size, pixels.
    """

    c2w: Float[Tensor, "batch 4 4"]
    K: Float[Tensor, "batch 3 3"]
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.c2w)

    def __getitem__(self, index: int | slice | Tensor) -> Camera:
        """A selection, still a batch: ``camera[0]`` is a batch of one."""
        rows = slice(index, index + 1 or None) if isinstance(index, int) else index
        return Camera(self.c2w[rows], self.K[rows], self.width, self.height)

    def to(self, device: torch.device | str) -> Camera:
        """The same cameras on a device."""
        return Camera(self.c2w.to(device), self.K.to(device), self.width, self.height)

    @staticmethod
    def cat(parts: Sequence[Camera]) -> Camera:
        """Several batches of one picture size as one."""
        first = parts[0]
        return Camera(
            torch.cat([part.c2w for part in parts]),
            torch.cat([part.K for part in parts]),
            first.width,
            first.height,
        )

    def resized(self, size: int) -> Camera:
        """The same views as square pictures of ``size`` pixels."""
        scale = torch.tensor([size / self.width, size / self.height, 1.0], device=self.K.device)
        return Camera(self.c2w, self.K * scale[:, None], size, size)

    def expand(self, batch: int) -> Camera:
        """One camera repeated for ``batch`` objects; a batch of that size is returned as it is."""
        if len(self) == batch:
            return self
        if len(self) != 1:
            raise ValueError(f"{len(self)} cameras for {batch} objects; give one or {batch}")
        return Camera(
            self.c2w.expand(batch, -1, -1), self.K.expand(batch, -1, -1), self.width, self.height
        )

    @staticmethod
    def orbit(
        azimuth_deg: float | Float[Tensor, " batch"],
        elevation_deg: float | Float[Tensor, " batch"],
        *,
        fov_deg: float = 30.0,
        radius: float = 4.0,
        size: int = 64,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Cameras on a sphere that look at the origin.

        Args:
            azimuth_deg, elevation_deg: numbers or vectors, degrees; broadcast together.
            fov_deg: field of view of the whole picture, degrees.
            radius: distance from the origin, world units.
            size: width and height, pixels.
        """
        azimuth, elevation = torch.broadcast_tensors(
            torch.atleast_1d(torch.as_tensor(azimuth_deg, dtype=torch.float32, device=device)),
            torch.atleast_1d(torch.as_tensor(elevation_deg, dtype=torch.float32, device=device)),
        )
        azimuth, elevation = torch.deg2rad(azimuth), torch.deg2rad(elevation)
        zero = torch.zeros_like(azimuth)
        backward = torch.stack(
            (
                elevation.cos() * azimuth.cos(),
                elevation.cos() * azimuth.sin(),
                elevation.sin(),
            ),
            dim=1,
        )
        # seen from the camera, azimuth grows to the right: the derivative of `backward` by azimuth
        right = torch.stack((-azimuth.sin(), azimuth.cos(), zero), dim=1)
        down = torch.linalg.cross(-backward, right)
        c2w = torch.eye(4, device=azimuth.device).repeat(len(azimuth), 1, 1)
        c2w[:, :3, :3] = torch.stack((right, down, -backward), dim=2)
        c2w[:, :3, 3] = radius * backward
        return Camera(c2w, intrinsics(fov_deg, size, len(azimuth), azimuth.device), size, size)


def front_to_x(azimuth_deg: float | int) -> Float[Tensor, "3 3"]:
    """What turns rows of vectors about the upright, so that what is at an azimuth comes to +x.

    A generator's objects may face any azimuth; what people give and get (boxes, meshes, camera
    paths) has the front at +x.
    """
    angle = math.radians(azimuth_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def intrinsics(
    fov_deg: float, size: int, batch: int = 1, device: torch.device | str | None = None
) -> Float[Tensor, "batch 3 3"]:
    """K of a square picture with a field of view in degrees."""
    focal = 0.5 * size / math.tan(math.radians(fov_deg) / 2)
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], device=device)
    return K.repeat(batch, 1, 1)


_FLIP = (1.0, -1.0, -1.0, 1.0)


def to_opengl(c2w: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """OpenCV camera axes to OpenGL's (x right, y up, z backward); its own inverse."""
    return c2w * torch.tensor(_FLIP, dtype=c2w.dtype, device=c2w.device)
