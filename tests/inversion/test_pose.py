"""Poses: the generator's cameras and what moves them."""

import math

import pytest
import torch

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.inversion.pose import Pose, pose_error_deg
from clipnerf.rendering.cameras import Camera

PRIOR = CameraPriorConfig(fov_deg=30.0, radius=4.0)


def random_pose(seed: int, batch: int = 5) -> Pose:
    rng = torch.Generator().manual_seed(seed)
    azimuth = (torch.rand(batch, generator=rng) - 0.5) * 2 * math.pi * 0.99
    elevation = (torch.rand(batch, generator=rng) - 0.3) * 2
    rest = 0.2 * torch.randn(batch, 4, generator=rng)
    return Pose.from_angles(azimuth, elevation, rest[:, 0], rest[:, 1], rest[:, 2:])


def test_without_roll_distance_and_shift_it_is_the_orbits_camera():
    azimuth, elevation = torch.tensor([10.0, 200.0]), torch.tensor([5.0, 40.0])
    wanted = Camera.orbit(azimuth, elevation, fov_deg=30.0, radius=4.0, size=32)
    found = Pose.from_angles(azimuth.deg2rad(), elevation.deg2rad()).camera(PRIOR, 32)
    torch.testing.assert_close(found.c2w, wanted.c2w, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.K, wanted.K)


def test_angles_and_camera_are_inverted():
    pose = random_pose(0)
    azimuth, elevation, roll = pose.angles().unbind(1)
    again = Pose.from_angles(azimuth, elevation, roll, pose.distance, pose.shift)
    torch.testing.assert_close(again.rotation, pose.rotation, atol=1e-5, rtol=0)
    of_camera = Pose.of_camera(pose.camera(PRIOR, 48), PRIOR)
    torch.testing.assert_close(of_camera.rotation, pose.rotation)
    torch.testing.assert_close(of_camera.distance, pose.distance, atol=1e-5, rtol=0)
    torch.testing.assert_close(of_camera.shift, pose.shift, atol=1e-5, rtol=0)


def test_shift_moves_the_object_by_its_share_of_the_picture():
    pose = Pose.from_angles(torch.zeros(1), torch.zeros(1), shift=torch.tensor([[0.25, -0.1]]))
    camera = pose.camera(PRIOR, 40)
    # the origin of the world, four units before the camera
    seen = camera.K[0] @ (camera.c2w[0].inverse() @ torch.tensor([0.0, 0.0, 0.0, 1.0]))[:3]
    torch.testing.assert_close(seen[:2] / seen[2], torch.tensor([30.0, 16.0]))


def test_a_camera_rolled_clockwise_sees_the_object_turn_the_other_way():
    camera = Pose.from_angles(torch.zeros(1), torch.zeros(1), torch.tensor([0.5])).camera(PRIOR, 40)
    up = (camera.c2w[0].inverse() @ torch.tensor([0.0, 0.0, 1.0, 1.0]))[:3]
    assert up[0] < 0 < -up[1]


@pytest.mark.parametrize("kind", ["angles", "rotation"])
def test_no_change_is_no_change_and_gradients_reach_all_six(kind):
    pose, change = random_pose(1), torch.zeros(5, 6, requires_grad=True)
    moved = pose.moved(change, kind)
    torch.testing.assert_close(moved.rotation, pose.rotation, atol=1e-5, rtol=0)
    rng = torch.Generator().manual_seed(2)
    camera = moved.camera(PRIOR, 16)
    (camera.c2w * torch.randn(4, 4, generator=rng)).sum().backward(retain_graph=True)
    (camera.K * torch.randn(3, 3, generator=rng)).sum().backward()
    assert change.grad is not None and bool((change.grad.abs() > 1e-4).all())


@pytest.mark.parametrize("kind", ["angles", "rotation"])
def test_a_moved_pose_keeps_its_rotation_orthonormal(kind):
    rng = torch.Generator().manual_seed(3)
    moved = random_pose(4).moved(0.3 * torch.randn(5, 6, generator=rng), kind)
    identity = torch.eye(3).expand(5, 3, 3)
    torch.testing.assert_close(moved.rotation.mT @ moved.rotation, identity, atol=1e-5, rtol=0)
    assert bool((torch.linalg.det(moved.rotation) > 0.99).all())


def test_an_unknown_kind_of_pose_is_named():
    with pytest.raises(ValueError, match="quaternion"):
        random_pose(0).moved(torch.zeros(5, 6), "quaternion")


def test_pose_error_is_the_angle_between_orientations():
    zero = torch.zeros(4)
    azimuth = torch.deg2rad(torch.tensor([0.0, 0.01, 20.0, 180.0]))
    error = pose_error_deg(Pose.from_angles(azimuth, zero), Pose.from_angles(zero, zero))
    torch.testing.assert_close(error, torch.tensor([0.0, 0.01, 20.0, 180.0]), atol=1e-3, rtol=0)
    rolled = Pose.from_angles(zero, zero, torch.full((4,), 0.1))
    torch.testing.assert_close(
        pose_error_deg(rolled.camera(PRIOR, 8), Pose.from_angles(zero, zero).camera(PRIOR, 8)),
        torch.full((4,), math.degrees(0.1)),
        atol=1e-3,
        rtol=0,
    )
