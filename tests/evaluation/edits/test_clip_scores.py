"""Directions and matching of embeddings that are known."""

import pytest
import torch

from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.clip_scores import Words, clip_figures, embed_words

COLORS = [Wish(color, {"color": color}, shape=0) for color in ("red", "green", "blue")]


def test_pictures_that_move_as_the_words_say():
    axes = torch.eye(4)
    words = Words(axes[:3], axes[3])
    before = axes[3].expand(2, 4)
    after = axes[:3, None].expand(3, 2, 4)
    found = clip_figures(COLORS, words, before, after)
    assert found.similarity == dict.fromkeys(("red", "green", "blue"), 1.0)
    assert found.unedited == dict.fromkeys(("red", "green", "blue"), 0.0)
    assert found.direction == pytest.approx(dict.fromkeys(("red", "green", "blue"), 1.0))
    assert found.matching["appearance"].share == 1 and found.matching["appearance"].ways == 3
    turned = clip_figures(COLORS, words, before, after[[1, 2, 0]])
    assert turned.matching["appearance"].share == 0
    assert turned.direction["red"] == pytest.approx(0.5)
    rounding = 1e-4 * torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    for still in (before.expand(3, 2, 4), before + rounding):
        found = clip_figures(COLORS, words, before, still)
        assert found.direction == dict.fromkeys(("red", "green", "blue"), 0.0)


def test_a_prompt_is_matched_within_its_group():
    shapes = [Wish(name, {"a": name}, appearance=0) for name in "xy"]
    words = Words(torch.eye(6)[:5], torch.eye(6)[5])
    before, after = torch.eye(6)[5].expand(1, 6), torch.eye(6)[:5, None]
    found = clip_figures([*COLORS, *shapes], words, before, after)
    assert set(found.matching) == {"appearance", "shape"}
    assert set(found.matching["shape"].by_prompt) == {"x", "y"}
    assert found.matching["shape"].ways == 2
    alone = clip_figures(
        [*COLORS, shapes[0]], Words(words.prompts[:4], words.neutral), before, after[:4]
    )
    assert set(alone.matching) == {"appearance"}


class Speller:
    """Embeds a text by which of the letters a to h it has."""

    name, hash = "speller", "0" * 16

    def encode_image(self, pictures):
        raise AssertionError("no picture was given")

    def encode_text(self, texts):
        rows = [[float(letter in text.split()[-1]) for letter in "abcdefgh"] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows) + 1e-6, dim=1)


def test_the_words_and_what_they_start_from():
    wishes = [Wish("a", {"x": "y"}), Wish("b", {"x": "y"})]
    known = embed_words(Speller(), wishes, "c")
    assert known.neutral.argmax() == 2 and known.prompts.argmax(1).tolist() == [0, 1]
    assert torch.allclose(known.directions.norm(dim=1), torch.ones(2))
    assert known.directions[0].tolist()[:3] == pytest.approx([0.5**0.5, 0, -(0.5**0.5)], abs=1e-4)
    unknown = embed_words(Speller(), wishes, "")
    assert unknown.neutral.tolist()[:3] == pytest.approx([0.5**0.5, 0.5**0.5, 0], abs=1e-4)
