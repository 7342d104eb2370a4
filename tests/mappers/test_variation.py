"""Variation: what a code can do to embeddings, found again from samples of a known covariance."""

import pytest
import torch

from clipnerf.mappers.variation import REJECTED, Variation

EMBED = 12


def _pairs(axes: torch.Tensor, spread: torch.Tensor, count: int = 20_000) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    one, other = (torch.randn(count, len(spread), generator=rng) * spread for _ in range(2))
    return (one - other) @ axes.mT


@pytest.fixture(scope="module")
def axes() -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.linalg.qr(torch.randn(EMBED, EMBED, generator=rng)).Q


@pytest.fixture(scope="module")
def variation(axes: torch.Tensor) -> Variation:
    own = _pairs(axes[:, :3], torch.tensor([3.0, 2.0, 1.0]))
    other = _pairs(axes[:, 3:5], torch.tensor([1.0, 1.0]))
    return Variation.of(own, other)


def test_basis_and_spread_are_those_of_the_samples(variation, axes):
    assert variation.basis.shape == (EMBED, 3)
    assert torch.allclose(variation.spread, torch.tensor([3.0, 2.0, 1.0]), rtol=0.05)
    overlap = (variation.basis * axes[:, :3]).sum(0).abs()
    assert (overlap > 0.99).all()
    assert variation.other.shape[1] <= REJECTED


def test_energy_is_the_variance_along_a_direction_whatever_its_length(variation, axes):
    aim = variation.aim(torch.stack((axes[:, 0], 5 * axes[:, 1], axes[:, 8])))
    assert aim.energy[:2].tolist() == pytest.approx([9.0, 4.0], rel=0.1)
    assert float(aim.energy[2]) < 1e-3  # a direction that the code cannot go
    assert torch.allclose(aim.unit[:2].norm(dim=1), torch.ones(2))


def test_what_belongs_to_the_other_code_is_not_followed(variation, axes):
    alone = variation.aim(axes[None, :, 2])
    mixed = variation.aim((axes[:, 2] + 10 * axes[:, 3])[None])
    assert torch.allclose(alone.unit, mixed.unit, atol=0.02)


def test_no_direction_gives_no_unit(variation):
    aim = variation.aim(torch.zeros(1, EMBED))
    assert torch.equal(aim.unit, torch.zeros(1, 3)) and float(aim.energy) == 0


def test_whitened_changes_count_natural_deviations(variation, axes):
    change = variation.whitened(2 * 3.0 * axes[None, :, 0])
    assert float(change.norm()) == pytest.approx(2, rel=0.05)
