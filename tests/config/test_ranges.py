import copy
import math
import typing
from dataclasses import dataclass, field, is_dataclass
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch

from clipnerf.config import ranges
from clipnerf.config.evaluation import RecognizerConfig, TrainRecognizerConfig
from clipnerf.config.parse import keys_of, parse
from clipnerf.config.paths import bundle_path
from clipnerf.config.pretrain import DataConfig, PretrainConfig
from clipnerf.config.ranges import Config, Letters, Range, range_of, seeds_of, texts_of
from clipnerf.config.verbs import VERBS
from clipnerf.errors import UsageError

SCHEMAS = [verb.schema for verb in VERBS] + [RecognizerConfig, TrainRecognizerConfig]
NEEDED = {PretrainConfig: {"data": DataConfig(path="x")}}
all_configurations = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
ABSURD = (math.nan, math.inf, -math.inf, -(10**12), 10**400, 1e300)


def _keys(schema):
    return [(k, hint) for k, hint in keys_of(schema, ranges=True).items() if not is_dataclass(hint)]


def _holds(hint, kinds):
    return hint in kinds or any(_holds(each, kinds) for each in typing.get_args(hint))


def _within(hint, value):
    """``value`` inside the lists, dictionaries and options of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return [_within(arguments[0], value)]
    if origin is dict:
        return {value: 1.0} if isinstance(value, str) else {"a red chair": value}
    return value


@cache
def _default(schema):
    return schema(**NEEDED.get(schema, {}))


def _validate(schema, key, value):
    """With one other value, put past the checks of types that tests run under."""
    above, _, last = key.rpartition(".")
    config = copy.copy(reduce(getattr, above.split(".") if above else [], _default(schema)))
    object.__setattr__(config, last, value)
    config.validate(f"{above}." if above else "")


def _refused(schema, key, value):
    with pytest.raises(UsageError) as caught:
        _validate(schema, key, value)
    said = str(caught.value)
    assert said.startswith((f"{key} is ", f"{key}.a red chair is ")) and "; allowed: " in said
    assert "\n" not in said and len(said) < 400
    return said


@all_configurations
def test_every_number_has_a_range_and_others_are_refused(schema):
    for key, hint in _keys(schema):
        if not _holds(hint, (int, float)):
            continue
        allowed = range_of(hint)
        assert allowed is not None, f"{key} has no range"
        low, high = max(allowed.least, allowed.above), min(allowed.most, allowed.below)
        assert -(10**12) < low < high < 10**12, key
        outside = [low - 1, high + 1, *ABSURD]
        outside += [low] if allowed.above == low else []
        outside += [high] if allowed.below == high else []
        outside += [low + 1] if allowed.step > 1 else []
        for value in outside:
            if value != 0 or not allowed.or_zero:
                _refused(schema, key, _within(hint, value))
        try:
            _validate(schema, key, _within(hint, high if allowed.most == high else high / 2))
        except UsageError as error:  # not by the range, but for its company
            assert f"; allowed: {allowed}" not in str(error)


@all_configurations
def test_names_and_texts_of_thousands_of_letters_are_refused(schema):
    for key, hint in _keys(schema):
        if _holds(hint, (str,)) and key != "attributes":
            for text in ("a" * 5000, "ä" * 300, "x/" + "y" * 256, "a word " * 5000):
                said = _refused(schema, key, _within(hint, text))
                assert "letters at most" in said or "255 between slashes" in said


@all_configurations
def test_a_value_of_another_type_is_refused(schema):
    """Also where nothing checked types before: a configuration in a file of weights."""
    for key, hint in _keys(schema):
        for value in (object, [object], b"x", None):
            if value is None and type(None) in typing.get_args(hint):
                continue
            _refused(schema, key, value)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_shows_the_ranges(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        parse([*verb.name.split(), "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for key, hint in keys_of(verb.schema, ranges=True).items():
        found = range_of(hint)
        assert found is None or f"Allowed: {found}." in said, key


@pytest.mark.parametrize(
    ("allowed", "said", "inside", "outside"),
    [
        (Range(1, 5), "1 to 5", [1, 5], [0, 6]),
        (Range(above=0, below=1), "above 0, below 1", [0.5], [0, 1]),
        (Range(above=0, most=1), "above 0, at most 1", [1], [0, 1.01]),
        (Range(0, below=1, note=" units"), "0 to below 1 units", [0, 0.99], [1, -0.1]),
        (Range(8, 2048, or_zero=True), "8 to 2048, or 0", [0, 8], [1, -8]),
        (Range(32, 128, step=32), "32, 64, … 128", [32, 96], [33, 160, 0]),
        (Range(8, 64, power_of_two=True), "a power of two, 8 to 64", [8, 64], [9, 4, 0]),
        (Range(), "a finite number", [0, 1e300, 10**400], [math.inf, math.nan]),
    ],
)
def test_a_range(allowed, said, inside, outside):
    assert str(allowed) == said
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)


def test_letters():
    assert "a red chair" in Letters() and "a" * 200 in Letters() and "a " * 5000 in Letters()
    assert "a" * 201 not in Letters() and "a " * 10_001 not in Letters()


@dataclass
class Inner(Config):
    width: Annotated[int, Range(1, 9)] = 3


@dataclass
class Outer(Config):
    inner: Inner = field(default_factory=Inner)
    which: Literal["a", "b"] = "a"
    low: int = 0
    high: int = 1
    ratio: float | None = None

    def rules(self):
        yield self.low <= self.high, "low", f"high ({self.high}) at most"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inner": Inner(10)}, "x.inner.width is 10; allowed: 1 to 9"),
        ({"which": "c"}, "x.which is 'c'; allowed: a or b"),
        ({"low": 5}, "x.low is 5; allowed: high (1) at most"),
        ({"ratio": math.nan}, "x.ratio is nan; allowed: a finite number"),
    ],
)
def test_nested_keys_choices_and_rules(changes, said):
    Outer().validate()
    with pytest.raises(UsageError) as caught:
        Outer(**changes).validate("x.")
    assert str(caught.value) == said


@pytest.mark.parametrize("texts", [[], [""], ["a", " "], ["a" * 501], ["a b " * 6000]])
def test_texts_that_networks_read(texts):
    with pytest.raises(UsageError, match="text is .*; allowed: ") as caught:
        texts_of("text", texts)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "argv",
    [
        ["edit", "--text", "a" * 4000],
        ["edit", "b" * 300, "--text", "x"],
        ["edit", "--text", "x", "--out", "c" * 300 + ".png"],
        ["edit", "--" + "k" * 5000, "x"],
        ["v" * 5000],
        ["pretrain", "--config", "f" * 300],
        ["pretrain", "--data.path", "x", "--steps", "9" * 5000],
        ["pretrain", "--data.path", "x", "--loss.lr_grid", "9" * 400],
        ["pretrain", "--data.path", "x", "--generator.box", "[" * 5000],
        ["edit", "--text", "x", "--seeds", "9" * 5000],
        ["edit", "--prompts", "{a: &a [x, x], b: *a}"],
        ["edit", "--edit", "e" * 5000],
        ["pretrain", "--generator", "{field: {levels: 5, levels: 6}}", "--data.path", "x"],
    ],
    ids=range(13),
)
def test_long_words_on_the_command_line_cost_one_line(argv):
    with pytest.raises(UsageError) as caught:
        parse(argv)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_bundle_of_a_long_name():
    with pytest.raises(UsageError, match="bundle is 'bbb.*255 between slashes"):
        bundle_path("b" * 300)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (3, [3]),
        ([3, 1], [3, 1]),
        (range(2), [0, 1]),
        (np.arange(2), [0, 1]),
        (np.uint32(7), [7]),
        (torch.tensor([2, 5]), [2, 5]),
        ({2**32 - 1: "x"}.keys(), [2**32 - 1]),
    ],
)
def test_seeds_in_whatever_they_can_be_taken_from(given, taken):
    found = seeds_of("seeds", given)
    assert found == taken and all(type(seed) is int for seed in found)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "12",
        b"12",
        bytearray(b"1"),
        1.0,
        True,
        [True],
        [1.0],
        [None],
        -1,
        2**32,
        [],
        {},
        {1: 2},
    ]
    + [np.array([1.0]), torch.tensor([1.0]), object()],
)
def test_what_is_no_seed(given):
    with pytest.raises(UsageError, match="seeds is .*; allowed: ") as caught:
        seeds_of("seeds", given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "given",
    ["a", ["a"], ("a",), {"a": 1}.keys(), np.array(["a"]), np.str_("a"), (x for x in "a")],
    ids=range(7),
)
def test_texts_in_whatever_they_can_be_taken_from(given):
    assert texts_of("text", given) == ["a"]


@pytest.mark.parametrize(
    "given",
    [None, 5, b"a", [b"a"], ["a", None], [["a"]], {"a": 1}, Path("a"), [Path("a")], object()],
)
def test_what_is_no_text(given):
    with pytest.raises(UsageError, match="text is .*; allowed: "):
        texts_of("text", given)


def test_words_for_an_error_are_made_for_an_error_alone(monkeypatch):
    def never(*_):
        pytest.fail("nothing is wrong")

    monkeypatch.setattr(ranges, "words_for", never)
    monkeypatch.setattr(ranges, "shown", never)
    for kind in (Range, Letters):
        monkeypatch.setattr(kind, "__str__", never)
    texts_of("text", ["a red chair"] * 20)
    seeds_of("seeds", range(20))
    TrainRecognizerConfig(data="x").validate()
