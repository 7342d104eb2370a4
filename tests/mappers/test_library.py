"""The library, seen from one mapper."""

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import Library, text_embedding
from clipnerf.errors import UsageError
from clipnerf.mappers.library import combine, embed_library
from tests.tiny_bundle import tiny_clip_file


@pytest.mark.parametrize(
    ("appearance", "shape", "expected"),
    [
        ("a red chair", "a chair with armrests", "a red chair with armrests"),
        ("an orange chair", "a chair with a high back", "an orange chair with a high back"),
        ("a red chair", "a wide chair", "a wide red chair"),
        ("a blue chair", "an office chair", "an office blue chair"),
        ("a red chair", "a sofa", "a red sofa"),
        ("an orange chair", "a sofa", "an orange sofa"),
        ("a red chair", "an armchair", "a red armchair"),
        ("a chair with dark legs", "a wide chair", "a wide chair with dark legs"),
        ("a chair with dark legs", "a sofa", "a sofa with dark legs"),
        ("a chair with dark legs", "a chair with armrests", None),
        ("red paint", "a chair with armrests", None),
    ],
)
def test_two_prompts_in_one(appearance, shape, expected):
    assert combine(appearance, shape, neutral="a chair") == expected


def test_neutral_prompts_without_an_article():
    assert combine("red fruit", "fruit with a leaf", neutral="fruit") == "red fruit with a leaf"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip.load(str(tiny_clip_file(tmp_path_factory.mktemp("clip"))))


LIBRARY = Library(
    shape=("a chair with armrests", "a wide chair"),
    appearance=("a red chair", "an orange chair", "a blue chair"),
    neutral="a chair",
)


@pytest.mark.parametrize("which", ["shape", "appearance"])
def test_every_embedding_is_its_prompts(clip, which):
    found = embed_library(clip, LIBRARY, which)
    own, other = list(LIBRARY.shape), list(LIBRARY.appearance)
    if which == "appearance":
        own, other = other, own
    assert found.prompts == own
    assert torch.equal(found.own, torch.stack([text_embedding(clip, text) for text in own]))
    assert torch.equal(found.neutral[0], text_embedding(clip, "a chair"))
    assert len(found.foreign) == len(other) + 1
    assert len(found.combined) == len(found.part) == 6
    texts = ["a red chair with armrests", "a wide red chair"]
    for text in texts:
        wanted = text_embedding(clip, text)
        (row,) = (row for row, one in enumerate(found.combined) if torch.equal(one, wanted))
        part = own[int(found.part[row])]
        assert part in ("a red chair", "a chair with armrests", "a wide chair")
        assert which == "appearance" or ("armrests" in part) == ("armrests" in text)
    assert not found.own.requires_grad


def test_a_group_needs_two_prompts(clip):
    with pytest.raises(UsageError, match="1 prompts in the group 'shape'"):
        embed_library(clip, Library(("a wide chair",), LIBRARY.appearance, "a chair"), "shape")
