"""Augmentation: a warp and a background, colors untouched."""

import torch

from clipnerf.config.mapper import AugmentConfig
from clipnerf.mappers.augment import draw_augmentation

OFF = AugmentConfig(crop_min=1.0, perspective=0.0, background=0.0)


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _object(batch: int = 4, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """A square of one color in the middle, on white."""
    opacity = torch.zeros(batch, 1, size, size)
    opacity[..., size // 4 : -size // 4, size // 4 : -size // 4] = 1
    color = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1)
    return opacity * color + (1 - opacity), opacity


def test_switched_off_it_is_the_identity():
    torch.manual_seed(0)
    rgb, opacity = torch.rand(3, 3, 9, 12), torch.rand(3, 1, 9, 12)
    assert torch.allclose(draw_augmentation(3, OFF, _rng())(rgb, opacity), rgb, atol=1e-5)


def test_the_objects_color_stays():
    config = AugmentConfig(crop_min=0.7, perspective=0.3, background=1.0)
    out = draw_augmentation(8, config, _rng())(*_object(8))
    centre = out[:, :, 8, 8]
    assert torch.allclose(centre, torch.tensor([0.8, 0.2, 0.1]).expand(8, 3), atol=1e-4)


def test_background_is_tinted_where_there_is_no_object():
    augmentation = draw_augmentation(
        8, AugmentConfig(crop_min=1.0, perspective=0.0, background=1.0), _rng()
    )
    out = augmentation(*_object(8))
    assert torch.allclose(out[:, :, 0, 0], augmentation.background[:, :, 0, 0], atol=1e-4)
    assert float(out[:, :, 0, 0].min()) < 0.9


def test_a_crop_enlarges_the_object():
    rgb, opacity = _object(16)
    out = draw_augmentation(16, AugmentConfig(0.6, 0.0, 0.0), _rng())(rgb, opacity)
    dark_before, dark_after = (1 - rgb).sum((1, 2, 3)), (1 - out).sum((1, 2, 3))
    assert (dark_after >= dark_before - 1e-3).float().mean() > 0.7
    assert float(dark_after.max() / dark_before.max()) > 1.5


def test_perspective_never_leaves_the_range_and_shows_no_black_border():
    out = draw_augmentation(32, AugmentConfig(1.0, 0.5, 0.0), _rng())(
        torch.ones(32, 3, 16, 16), torch.zeros(32, 1, 16, 16)
    )
    assert torch.allclose(out, torch.ones_like(out), atol=1e-5)


def test_one_draw_is_the_same_for_before_and_after_and_by_seed():
    config = AugmentConfig(0.7, 0.3, 0.5)
    rgb, opacity = _object()
    first = draw_augmentation(4, config, _rng(5))
    assert torch.equal(first(rgb, opacity), first(rgb, opacity))
    assert torch.equal(first(rgb, opacity), draw_augmentation(4, config, _rng(5))(rgb, opacity))
    other = draw_augmentation(4, config, _rng(6))(rgb, opacity)
    assert not torch.allclose(first(rgb, opacity), other)


def test_gradients_reach_the_picture():
    rgb, opacity = _object()
    rgb = rgb.requires_grad_()
    draw_augmentation(4, AugmentConfig(0.8, 0.2, 0.3), _rng())(rgb, opacity).sum().backward()
    assert torch.isfinite(rgb.grad).all() and float(rgb.grad.abs().sum()) > 0
