"""Closed forms of the mapper's losses."""

import math

import pytest
import torch

from clipnerf.mappers import losses


def test_realism_is_softplus_of_minus_the_logit():
    assert float(losses.realism_loss(torch.zeros(4))) == pytest.approx(math.log(2))
    logits = torch.tensor([-3.0, 2.0], requires_grad=True)
    losses.realism_loss(logits).backward()
    # d softplus(-x) / dx = -sigmoid(-x), over the mean of two
    assert torch.allclose(logits.grad, -torch.sigmoid(-logits.detach()) / 2)
    assert float(losses.realism_loss(torch.tensor([1e4]))) == 0.0


def test_clip_distance_is_one_minus_cosine():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [1.0, 1.0]])
    distance = losses.clip_distance(x, torch.tensor([[5.0, 0.0]]).expand(4, -1))
    assert torch.allclose(distance, torch.tensor([0.0, 1.0, 2.0, 1 - math.sqrt(0.5)]), atol=1e-6)


def test_direction_counts_the_change_only():
    torch.manual_seed(0)
    before, step = torch.randn(5, 8), torch.randn(5, 8)
    neutral = torch.randn(5, 8)
    along = losses.direction_distance(before, before + 3 * step, neutral, neutral + 0.2 * step)
    against = losses.direction_distance(before, before - 3 * step, neutral, neutral + 0.2 * step)
    assert torch.allclose(along, torch.zeros(5), atol=1e-4)
    assert torch.allclose(against, torch.full((5,), 2.0), atol=1e-4)


def test_direction_has_a_useful_gradient_where_nothing_has_changed():
    before = torch.tensor([[1.0, 0.0]])
    after = before.clone().requires_grad_()
    distance = losses.direction_distance(before, after, before, before + torch.tensor([[0.0, 1.0]]))
    distance.sum().backward()
    assert distance.item() == pytest.approx(1.0)
    assert torch.isfinite(after.grad).all() and float(after.grad[0, 1]) < 0


def test_contrast_is_a_cross_entropy_over_the_prompts():
    texts = torch.eye(3)
    picture = torch.tensor([[1.0, 0.0, 0.0]])
    loss = losses.contrast_loss(picture, texts, torch.tensor([0]), 0.5)
    assert float(loss) == pytest.approx(math.log(1 + 2 * math.exp(-2)), rel=1e-5)
    assert losses.contrast_loss(picture, texts, torch.tensor([1]), 0.5) > loss


def test_code_prior_is_one_for_a_change_like_the_code_itself():
    torch.manual_seed(0)
    assert float(losses.code_prior(torch.randn(200, 128))) == pytest.approx(1.0, abs=0.05)


def _picture(red: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """An object of four pixels on white, those listed red and the others blue."""
    rgb, opacity = torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    for place in range(4):
        opacity[0, 0, 1, place] = 1
        rgb[0, :, 1, place] = torch.tensor([0.9, 0, 0] if place in red else [0, 0, 0.8])
    return rgb, opacity


def test_palette_ignores_places_and_sees_colors():
    before = _picture([0, 1])
    assert float(losses.palette_distance(*_picture([1, 3]), *before)) == pytest.approx(0, abs=1e-6)
    moved = tuple(x.roll(2, dims=2) for x in before)
    assert float(losses.palette_distance(*moved, *before)) == pytest.approx(0, abs=1e-6)
    assert float(losses.palette_distance(*_picture([0, 1, 2]), *before)) > 0.05


def test_palette_of_an_empty_picture_is_finite():
    rgb, opacity = torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, requires_grad=True)
    distance = losses.palette_distance(rgb, opacity, *_picture([0]))
    distance.sum().backward()
    assert torch.isfinite(distance).all() and torch.isfinite(opacity.grad).all()
