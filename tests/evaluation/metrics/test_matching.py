"""Five-way matching against a count of all choices."""

from itertools import combinations

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.metrics.matching import assign_features, match_features


def counted(pictures: torch.Tensor, texts: torch.Tensor, ways: int) -> list[float]:
    similarity = pictures @ texts.mT
    shares = []
    for own in range(len(texts)):
        others = [i for i in range(len(texts)) if i != own]
        hits = [
            float(all(row[own, own] > row[own, i] for i in choice))
            for row in similarity
            for choice in combinations(others, ways - 1)
        ]
        shares.append(sum(hits) / len(hits))
    return shares


@pytest.mark.parametrize("ways", [2, 3, 5, 7])
def test_closed_form_equals_the_count(ways):
    noise = torch.Generator().manual_seed(ways)
    texts = torch.randn(7, 5, generator=noise)
    pictures = texts + 1.5 * torch.randn(4, 7, 5, generator=noise)
    found = match_features(pictures, texts, ways)
    assert found.tolist() == pytest.approx(counted(pictures, texts, ways))
    assert 0.2 < float(found.mean()) < 1


def test_pictures_that_ignore_their_prompt_score_chance():
    noise = torch.Generator().manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(10, 8, generator=noise), dim=1)
    pictures = torch.randn(400, 1, 8, generator=noise).expand(-1, 10, -1)
    assert float(match_features(pictures, texts).mean()) == pytest.approx(0.2, abs=0.02)


def test_a_tie_is_wrong():
    texts = torch.eye(3)[[0, 0, 1]]
    assert match_features(texts[None], texts, ways=3).tolist() == [0, 0, 1]


def test_too_few_prompts_are_refused():
    with pytest.raises(UsageError, match="5-way matching of 3 prompts"):
        match_features(torch.ones(1, 3, 4), torch.ones(3, 4))


def test_five_to_five_finds_what_shows_each_prompt_most():
    """Prompt 1 is nearest to every picture, but most of all to its own."""
    texts = torch.eye(4)
    pictures = 0.5 * torch.eye(4)
    pictures[:, 1] += 1.0
    assert float(match_features(pictures[None], texts, ways=4).mean()) == 0.25
    assert assign_features(pictures[None], texts, ways=4) == 1
    swapped = pictures[[0, 1, 3, 2]]
    assert assign_features(swapped[None], texts, ways=4) == 0.5


def test_five_to_five_of_noise_is_chance():
    rng = torch.Generator().manual_seed(0)
    pictures, texts = torch.randn(300, 7, 16, generator=rng), torch.randn(7, 16, generator=rng)
    assert assign_features(pictures, texts) == pytest.approx(0.2, abs=0.02)
    with pytest.raises(UsageError, match="5-way matching of 3 prompts"):
        assign_features(pictures[:, :3], texts[:3])
