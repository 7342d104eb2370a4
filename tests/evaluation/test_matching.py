"""Five-way matching against a count of all choices."""

from itertools import combinations

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.evaluation.matching import match_features, matching


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


def test_pictures_and_words(clip):
    prompts = ["red", "green", "blue"]
    pictures = torch.ones(2, 3, 3, 8, 8)
    for column, channel in enumerate(range(3)):
        pictures[:, column] = 0
        pictures[:, column, channel] = 0.9
    right = matching(clip, pictures, prompts, ways=3)
    assert right.share == 1 and right.by_prompt == dict.fromkeys(prompts, 1.0)
    wrong = matching(clip, pictures[:, [1, 2, 0]], prompts, ways=3)
    assert wrong.share == 0
    texts = clip.encode_text(["green", "blue", "red"])
    assert matching(clip, pictures[:, [1, 2, 0]], prompts, texts, ways=3).share == 1


def test_too_few_prompts_are_refused(clip):
    with pytest.raises(UsageError, match="5-way matching of 3 prompts"):
        matching(clip, torch.ones(1, 3, 3, 8, 8), ["red", "green", "blue"])
    with pytest.raises(UsageError, match="2 edits an object for 3 prompts"):
        matching(clip, torch.ones(1, 2, 3, 8, 8), ["red", "green", "blue"])
