"""Captions are true, and varied."""

import re

import numpy as np
import pytest

from clipnerf.data.procedural import chairs

COLORS = "|".join(chairs.COLORS)


@pytest.fixture(scope="module")
def drawn():
    """(attributes, caption), eight captions a chair."""
    pairs = []
    for index in range(150):
        rng = np.random.RandomState([9, index])
        attributes = chairs.sample(rng).attributes
        pairs += [(attributes, chairs.caption(attributes, rng)) for _ in range(8)]
    return pairs


def test_captions_are_true(drawn):
    seen = dict.fromkeys(["color", "arms", "height", "style", "legs", "base", "seat", "width"], 0)
    for a, text in drawn:

        def claim(kind: str, pattern: str, *truth: str, text: str = text) -> None:
            if found := re.search(pattern, text):
                seen[kind] += 1
                assert found.groups() == truth, (text, truth)

        claim("color", rf"\b({COLORS}) chair", a["seat_color"])
        if re.search(rf"({COLORS}) chair", text):
            assert a["seat_color"] == a["back_color"], text
        claim("color", rf"\b({COLORS}) seat", a["seat_color"])
        claim("color", rf"\b({COLORS}) (?:solid |slatted |ladder )?back", a["back_color"])
        claim("color", rf"\b({COLORS}) legs", a["leg_color"])
        claim("style", r"\b(solid|slatted|ladder) back", a["back_style"])
        claim("legs", r"\b(thin|thick) (?:\w+ )?legs", a["thickness"])
        claim("seat", r"\b(round|square) (?:\w+ )?seat", a["seat_shape"])
        claim("seat", r"\b(thin|thick) cushion", a["cushion"])
        claim("width", r"\b(narrow|wide)\b", a["width"])
        if found := re.search(r"\b(high|tall|low|medium) ", text):
            seen["height"] += 1
            assert {"tall": "high"}.get(found[1], found[1]) == a["back_height"], text
        if re.search(r"\barm", text):
            seen["arms"] += 1
            assert bool(re.search(r"(without|no) arm", text)) == (a["armrests"] == "no"), text
        if re.search(r"pedestal|swivel|\bbase\b|\blegs\b", text):
            seen["base"] += 1
            assert ("legs" in text) == (a["base"] == "legs"), text
    assert min(seen.values()) > 40, seen


def test_captions_are_varied_and_short(drawn):
    texts = [text for _, text in drawn]
    assert len(set(texts)) > 600, len(set(texts))
    assert max(len(text.split()) for text in texts) <= 30
    assert np.mean([len(text.split()) <= 5 for text in texts]) > 0.25


def test_articles(drawn):
    for _, text in drawn:
        assert not re.search(r"\ba [aeio]|\ban [^aeio]", text), text


def test_a_caption_about_one_attribute_names_no_other():
    rng = np.random.RandomState(0)
    attributes = {**chairs.sample(rng).attributes, "back_height": "high", "armrests": "yes"}
    assert re.fullmatch(
        r"a chair with a (high|tall) back(rest)?",
        chairs.caption(attributes, rng, about="back_height"),
    )
    assert re.fullmatch(
        r"a chair with arm(rest)?s", chairs.caption(attributes, rng, about="armrests")
    )
