"""Pose: where an unposed picture was taken from, as what inversion can move.

The camera looks at the origin, as the generator's own do, from ``radius * exp(distance)``; it may
be rolled, and the object may stand beside the middle of the picture: ``shift`` moves the principal
point. Six numbers a picture, whichever way the rotation is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.rendering.cameras import Camera, intrinsics


@dataclass(frozen=True)
class Pose:
    """A batch of poses.

    Attributes:
        rotation: camera to world, OpenCV axes.
        distance: natural logarithm of the distance over the prior's radius; 0 is the prior's.
        shift: of the object in the picture, x to the right and y down, share of the width.
    """

    rotation: Float[Tensor, "batch 3 3"]
    distance: Float[Tensor, " batch"]
    shift: Float[Tensor, "batch 2"]

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, rows: slice | Tensor | list[int]) -> Pose:
        """A selection, still a batch."""
        return Pose(self.rotation[rows], self.distance[rows], self.shift[rows])

    def detach(self) -> Pose:
        """The same numbers, without their history."""
        return Pose(self.rotation.detach(), self.distance.detach(), self.shift.detach())

    @staticmethod
    def cat(parts: Sequence[Pose]) -> Pose:
        """Several batches as one."""
        return Pose(
            torch.cat([part.rotation for part in parts]),
            torch.cat([part.distance for part in parts]),
            torch.cat([part.shift for part in parts]),
        )

    @staticmethod
    def from_angles(
        azimuth: Float[Tensor, " batch"],
        elevation: Float[Tensor, " batch"],
        roll: Float[Tensor, " batch"] | None = None,
        distance: Float[Tensor, " batch"] | None = None,
        shift: Float[Tensor, "batch 2"] | None = None,
    ) -> Pose:
        """From angles in radians; the azimuth is the world's, as of :meth:`Camera.orbit`.

        Args:
            roll: the camera turns clockwise by it, seen from behind the camera.
        """
        zero = torch.zeros_like(azimuth)
        sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
        forward = -torch.stack((cos_e * cos_a, cos_e * sin_a, sin_e), dim=1)
        right = torch.stack((-sin_a, cos_a, zero), dim=1)
        down = torch.linalg.cross(forward, right)
        if roll is not None:
            sin_r, cos_r = roll.sin()[:, None], roll.cos()[:, None]
            right, down = cos_r * right + sin_r * down, cos_r * down - sin_r * right
        return Pose(
            torch.stack((right, down, forward), dim=2),
            zero if distance is None else distance,
            torch.stack((zero, zero), dim=1) if shift is None else shift,
        )

    def angles(self) -> Float[Tensor, "batch 3"]:
        """Azimuth in (-pi, pi], elevation and roll, radians."""
        backward = -self.rotation[:, :, 2]
        azimuth = torch.atan2(backward[:, 1], backward[:, 0])
        elevation = torch.asin(backward[:, 2].clamp(-1, 1))
        upright = Pose.from_angles(azimuth, elevation).rotation
        right = self.rotation[:, :, 0]
        across = (right * upright[:, :, 0]).sum(1)
        along = (right * upright[:, :, 1]).sum(1)
        return torch.stack((azimuth, elevation, torch.atan2(along, across)), dim=1)

    def moved(self, change: Float[Tensor, "batch 6"], kind: str) -> Pose:
        """The poses, changed by (three of rotation in radians, distance, shift x, shift y).

        Args:
            kind: 'angles': the three are azimuth, elevation, roll. 'rotation': they are a rotation
                vector in the camera's axes, R exp([w]x), which has no pole.
        """
        distance, shift = self.distance + change[:, 3], self.shift + change[:, 4:]
        if kind == "angles":
            azimuth, elevation, roll = (self.angles() + change[:, :3]).unbind(1)
            # beyond the pole azimuth would turn round and up would be down
            elevation = elevation.clamp(-0.499 * math.pi, 0.499 * math.pi)
            return Pose.from_angles(azimuth, elevation, roll, distance, shift)
        if kind != "rotation":
            raise ValueError(f"pose is {kind!r}; 'angles' and 'rotation' are possible")
        x, y, z = change[:, :3].unbind(1)
        zero = torch.zeros_like(x)
        cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).view(-1, 3, 3)
        return Pose(self.rotation @ torch.matrix_exp(cross), distance, shift)

    def turned(self, angle: Float[Tensor, " batch"]) -> Pose:
        """The poses with their azimuths grown by ``angle``, radians: turned about the vertical."""
        zero, one = torch.zeros_like(angle), torch.ones_like(angle)
        rows = (angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one)
        turn = torch.stack(rows, dim=1).view(-1, 3, 3)
        return Pose(turn @ self.rotation, self.distance, self.shift)

    def camera(self, prior: CameraPriorConfig, size: int) -> Camera:
        """Cameras of square pictures of ``size`` pixels; differentiable."""
        device = self.rotation.device
        place = -prior.radius * self.distance.exp()[:, None] * self.rotation[:, :, 2]
        top = torch.cat((self.rotation, place[:, :, None]), dim=2)
        bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], device=device).expand(len(self), 1, 4)
        K = intrinsics(prior.fov_deg, size, len(self), device)
        moved = torch.cat((self.shift * size, torch.zeros_like(self.shift[:, :1])), dim=1)
        moved = torch.stack((torch.zeros_like(moved), torch.zeros_like(moved), moved), dim=2)
        return Camera(torch.cat((top, bottom), dim=1), K + moved, size, size)

    @staticmethod
    def of_camera(camera: Camera, prior: CameraPriorConfig) -> Pose:
        """The pose of cameras that look at the origin, the inverse of :meth:`camera`."""
        K = camera.K
        size = torch.tensor([camera.width, camera.height], device=K.device)
        return Pose(
            camera.c2w[:, :3, :3],
            (camera.c2w[:, :3, 3].norm(dim=1) / prior.radius).log(),
            K[:, :2, 2] / size - 0.5,
        )


def pose_error_deg(found: Pose | Camera, true: Pose | Camera) -> Float[Tensor, " batch"]:
    """Angle of the rotation between two orientations, degrees, 0 to 180; roll counts."""
    first, second = (
        pose.c2w[:, :3, :3] if isinstance(pose, Camera) else pose.rotation for pose in (found, true)
    )
    # by the chord, not by arccos of the trace, which is blind to small angles in float32
    chord = (first - second).flatten(1).norm(dim=1) / math.sqrt(8)
    return torch.rad2deg(2 * torch.asin(chord.clamp(max=1)))
