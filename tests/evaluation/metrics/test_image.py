"""Structural similarity, against figures of scikit-image."""

import pytest
import torch

from clipnerf.evaluation.metrics.image import ssim


def test_it_is_what_scikit_image_computes():
    # structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    # data_range=1) of scikit-image 0.25 gave these for the same pictures
    rng = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, 20, 24, generator=rng)
    second = (first + 0.2 * torch.randn(2, 3, 20, 24, generator=rng)).clamp(0, 1)
    wanted = [0.8412442332809302, 0.8125388362923784]
    assert ssim(first, second).tolist() == pytest.approx(wanted, abs=1e-9)


def test_equal_pictures_are_1_and_noise_is_less():
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert ssim(pictures, pictures).tolist() == pytest.approx([1, 1])
    assert (ssim(pictures, pictures.flip(3)) < 0.5).all()


def test_a_picture_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="8 x 16"):
        ssim(torch.rand(1, 3, 16, 8), torch.rand(1, 3, 16, 8))
