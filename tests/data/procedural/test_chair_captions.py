"""Captions are true, and varied."""

import re
from collections import Counter

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


def claims_of(a: dict[str, str], text: str) -> dict[str, bool]:
    """What a caption says, and whether it is true of a chair with the attributes ``a``."""
    claims: dict[str, bool] = {}

    def claim(key: str, pattern: str, truth: str) -> None:
        if found := re.search(pattern, text):
            claims[key] = found[1] == truth

    claim("color", rf"\b({COLORS}) chair", a["seat_color"])
    if "color" in claims:
        claims["color"] &= a["seat_color"] == a["back_color"]
    claim("seat_color", rf"\b({COLORS}) seat", a["seat_color"])
    claim("back_color", rf"\b({COLORS}) (?:solid |slatted |ladder )?back", a["back_color"])
    claim("leg_color", rf"\b({COLORS}) (?:legs|base|pedestal|swivel)", a["leg_color"])
    claim("back_style", r"\b(solid|slatted|ladder) back", a["back_style"])
    claim("thickness", r"\b(thin|thick) (?:\w+ )?legs", a["thickness"])
    claim("seat_shape", r"\b(round|square) (?:\w+ )?seat", a["seat_shape"])
    claim("cushion", r"\b(thin|thick) cushion", a["cushion"])
    claim("width", r"\b(narrow|wide)\b", a["width"])
    if found := re.search(r"\b(high|tall|low|medium) ", text):
        claims["back_height"] = {"tall": "high"}.get(found[1], found[1]) == a["back_height"]
    if re.search(r"\barm", text):
        claims["armrests"] = bool(re.search(r"(without|no) arm", text)) == (a["armrests"] == "no")
    if re.search(r"pedestal|swivel|\bbase\b|\blegs\b", text):
        claims["base"] = ("legs" in text) == (a["base"] == "legs")
    return claims


def test_captions_are_true(drawn):
    seen: Counter[str] = Counter()
    for a, text in drawn:
        claims = claims_of(a, text)
        assert all(claims.values()), (text, a)
        seen.update(claims.keys())
    assert len(seen) == 12 and min(seen.values()) > 40, seen


def test_a_contrast_is_a_true_caption_and_one_that_is_false_in_one_thing():
    seen: Counter[tuple[str, ...]] = Counter()
    for index in range(150):
        rng = np.random.RandomState([9, index])
        a = chairs.sample(rng).attributes
        for true, false in chairs.contrasts(a, rng):
            right, wrong = claims_of(a, true), claims_of(a, false)
            assert right.keys() == wrong.keys(), (true, false)
            assert all(right.values()), true
            lies = tuple(sorted(key for key, holds in wrong.items() if not holds))
            assert 1 <= len(lies) <= 2, (false, a)
            seen[lies] += 1
    assert {len(lies) for lies in seen} == {1, 2}
    assert {lies[0] for lies in seen if len(lies) == 1} == {*chairs.EDITS} - {"color"}


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
        chairs.caption(attributes, rng, about=["back_height"]),
    )
    assert re.fullmatch(
        r"a chair with arm(rest)?s", chairs.caption(attributes, rng, about=["armrests"])
    )
