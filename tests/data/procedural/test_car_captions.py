"""Captions of cars are true, grammatical, and varied."""

import re

import numpy as np
import pytest

from clipnerf.data.procedural import cars
from clipnerf.data.procedural.car_kinds import KINDS

COLORS = "|".join(cars.COLORS)
NOUNS = {
    "sedan": "sedan",
    "hatchback": "hatchback",
    "SUV": "SUV",
    "jeep": "jeep",
    "jeep-like car": "jeep",
    "pickup": "pickup",
    "pickup truck": "pickup",
    "sports car": "sports car",
    "van": "van",
    "mini": "mini car",
    "mini car": "mini car",
}
LONGEST_FIRST = "|".join(sorted([*NOUNS, "car"], key=len, reverse=True))
SENTENCE = re.compile(
    rf"(?:an? (?:(?P<length>short|long) )?(?:(?P<height>high|tall|low) )?(?:(?P<color>{COLORS}) )?"
    rf"(?P<noun>{LONGEST_FIRST})(?: with (?P<features>.+))?|(?P<alone>(?!an? ).+))"
)


@pytest.fixture(scope="module")
def drawn():
    """(attributes, caption), eight captions a car."""
    pairs = []
    for index in range(150):
        rng = np.random.RandomState([9, index])
        attributes = cars.sample(rng).attributes
        pairs += [(attributes, cars.caption(attributes, rng)) for _ in range(8)]
    return pairs


def claims_of(text: str) -> dict[str, str]:
    """What a caption says: attribute -> value."""
    claims: dict[str, str | None] = {}
    absent = re.search(r"(?: and)? (?:without a|with no) (roof rack|spoiler)$", text)
    if absent:
        claims[absent[1].replace(" ", "_")] = "no"
        text = text[: absent.start()]
    found = SENTENCE.fullmatch(text)
    assert found, text
    claims["length"], claims["color"] = found["length"], found["color"]
    claims["height"] = {"tall": "high"}.get(found["height"], found["height"])
    claims["body"] = NOUNS.get(found["noun"])
    for feature in re.split(r", | and ", found["features"] or found["alone"] or ""):
        if feature in ("a roof rack", "a spoiler"):
            claims[feature[2:].replace(" ", "_")] = "yes"
        elif feature:
            part = re.fullmatch(
                rf"(?:(large|big|small) )?(?:({COLORS}) )?wheels"
                r"|(dark|tinted|light|clear) windows",
                feature,
            )
            assert part and any(part.groups()), text
            claims["wheels"] = {"big": "large"}.get(part[1], part[1])
            claims["wheel_color"] = part[2]
            claims["windows"] = {"tinted": "dark", "clear": "light"}.get(part[3], part[3])
    return {key: value for key, value in claims.items() if value}


def test_captions_are_true(drawn):
    seen = dict.fromkeys([*cars.EDITS], 0)
    for a, text in drawn:
        for key, value in claims_of(text).items():
            seen[key] += 1
            assert a[key] == value, (text, a)
    assert min(seen.values()) > 40, seen


def test_captions_are_varied_and_short(drawn):
    texts = [text for _, text in drawn]
    assert len(set(texts)) > 500, len(set(texts))
    assert max(len(text.split()) for text in texts) <= 20
    assert np.mean([len(text.split()) <= 4 for text in texts]) > 0.25
    for prompt in (
        "a long car",
        "a mini car",
        "an SUV",
        "a jeep-like car",
        "a sports car",
        "a red car",
        "a purple car",
        "an orange car",
    ):
        assert prompt in texts


def test_articles(drawn):
    for _, text in drawn:
        assert not re.search(r"\ba (?:[aeio]|SUV)|\ban (?!SUV)[^aeio]", text), text


@pytest.mark.parametrize(
    "key, value, pattern",
    [
        ("body", "sports car", "a sports car"),
        ("body", "SUV", "an SUV"),
        ("color", "orange", "an orange car"),
        ("length", "long", "a long car"),
        ("height", "high", "a (high|tall) car"),
        ("wheels", "large", "a car with (large|big) wheels"),
        ("wheel_color", "red", "a car with red wheels"),
        ("windows", "dark", "a car with (dark|tinted) windows"),
        ("roof_rack", "yes", "a car with a roof rack"),
        ("spoiler", "no", "a car (without a|with no) spoiler"),
    ],
)
def test_a_caption_about_one_attribute_names_no_other(key, value, pattern):
    rng = np.random.RandomState(0)
    for _ in range(5):
        attributes = {**cars.sample(rng).attributes, key: value}
        assert re.fullmatch(pattern, cars.caption(attributes, rng, about=[key]))


def test_what_a_kind_never_has_is_not_said_to_be_missing(drawn):
    for a, text in drawn:
        kind = KINDS[a["body"]]
        assert kind.rack or "rack" not in text
        assert kind.spoiler or "spoiler" not in text


def test_a_contrast_is_a_true_caption_and_one_that_is_false_in_one_thing():
    seen = set()
    for index in range(150):
        rng = np.random.RandomState([9, index])
        a = cars.sample(rng).attributes
        for true, false in cars.contrasts(a, rng):
            right, wrong = claims_of(true), claims_of(false)
            assert right.keys() == wrong.keys(), (true, false)
            assert all(a[key] == value for key, value in right.items()), true
            lies = {key for key, value in wrong.items() if a[key] != value}
            assert len(lies) == 1 or lies == {"color", "wheel_color"}, false
            seen.add(tuple(sorted(lies)))
    assert len(seen) == len(cars.EDITS) + 1
