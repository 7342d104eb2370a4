"""Patches: where they lie, how they are drawn, and that a crop samples as rendering does."""

import pytest
import torch
import torch.nn.functional as F

from clipnerf.gan.patches import Patches
from clipnerf.rendering.rays import pixel_grid


def test_the_whole_picture_at_its_own_size_is_the_picture():
    pictures = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(Patches.whole(2).crop(pictures, 16), pictures)
    torch.testing.assert_close(Patches.whole(1).points(16) * 16, pixel_grid(16, 16))


def test_the_whole_picture_at_half_its_size_is_average_pooling():
    pictures = torch.rand(2, 3, 64, 64)
    pooled = F.avg_pool2d(pictures, 2)
    torch.testing.assert_close(Patches.whole(2).crop(pictures, 32), pooled, atol=1e-5, rtol=0)


def test_a_patch_at_whole_pixels_is_a_crop():
    pictures = torch.rand(2, 3, 16, 16)
    patches = Patches(torch.full((2,), 0.5), torch.tensor([[3.0, 5.0], [8.0, 0.0]]) / 16)
    found = patches.crop(pictures, 8)
    torch.testing.assert_close(found[0], pictures[0, :, 5:13, 3:11], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], pictures[1, :, 0:8, 8:16], atol=1e-5, rtol=0)


def test_a_crop_of_coordinates_gives_the_patches_points():
    # Linear pictures are sampled exactly: reals and fakes are looked at on the same points.
    x = ((torch.arange(64) + 0.5) / 64).expand(64, 64)
    pictures = torch.stack((x, x.T)).expand(5, 2, 64, 64)
    patches = Patches.sample(5, 0.3, 0.8, torch.Generator().manual_seed(0))
    found = patches.crop(pictures, 32).flatten(2).mT
    torch.testing.assert_close(found, patches.points(32), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("smallest", "concentration"), [(0.5, 0.8), (0.25, 0.2), (0.25, 1.0)])
def test_scales_are_beta_distributed_and_patches_stay_inside(smallest, concentration):
    patches = Patches.sample(20000, smallest, concentration, torch.Generator().manual_seed(0))
    assert float(patches.scale.min()) >= smallest and float(patches.scale.max()) <= 1
    corners = patches.offset + patches.scale[:, None]
    assert float(patches.offset.min()) >= 0 and float(corners.max()) <= 1 + 1e-6
    share = (patches.scale - smallest) / (1 - smallest)
    b = concentration  # Beta(1, b): mean 1 / (1 + b), P(share > x) = (1 - x)^b
    assert float(share.mean()) == pytest.approx(1 / (1 + b), abs=0.01)
    for x in (0.3, 0.6, 0.9):
        assert float((share > x).float().mean()) == pytest.approx((1 - x) ** b, abs=0.015)
    room = (1 - patches.scale)[:, None]
    free = (patches.offset / room)[(room > 0.1)[:, 0]]
    torch.testing.assert_close(free.mean(0), torch.full((2,), 0.5), atol=0.02, rtol=0)


def test_at_concentration_zero_every_patch_is_the_whole_picture():
    patches = Patches.sample(500, 0.25, 0.0, torch.Generator().manual_seed(0))
    assert float(patches.scale.min()) > 0.99


def test_draws_repeat_with_the_generators_seed():
    first, second = (Patches.sample(3, 0.5, 0.8, torch.Generator().manual_seed(4)) for _ in "ab")
    assert torch.equal(first.scale, second.scale) and torch.equal(first.offset, second.offset)
