import math
import os
import time

import pytest
from PIL import Image

from clipnerf.clip.prompts import load_library
from clipnerf.config.documents import DEEPEST, LARGEST_YAML, parse_json, parse_yaml, read_yaml
from clipnerf.config.parse import parse
from clipnerf.data.check import check
from clipnerf.errors import UsageError

LETTERS = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]"
    for old, new in zip(LETTERS, LETTERS[1:], strict=False)
)
BAD_YAML = {
    "a bomb of aliases": (BOMB, "aliases"),
    "an anchor": ("a: &a b", "aliases"),
    "a merge": ("<<: {a: 1}", "'<<' is no text"),
    "deep lists": ("[" * 100_000, "nesting|inside one another"),
    "deep mappings": ("{a: " * 100_000, "inside one another"),
    "deep blocks": ("- " * 100_000 + "x", "inside one another"),
    "digits": ("a: " + "9" * 5000, "too long"),
    "hexadecimal digits": ("a: 0x" + "f" * 5000, "too long"),
    "digits of a fraction": ("a: 0." + "9" * 5000, "too long"),
    "sixties": ("a: " + "59:" * 5000 + "1", "too long"),
    "a number for a key": ("5: x", "'5' is no text"),
    "yes for a key": ("yes: x", "'yes' is no text"),
    "a list for a key": ("? [a, b]\n: x", "is no text"),
    "a key twice": ("a: 1\nb: 2\na: 3", "'a' is there twice, line 3"),
    "an inner key twice": ("b: {a: 1, a: 2}", "'a' is there twice"),
    "code": ("a: !!python/object/apply:os.system [x]", "tag .* is not taken"),
    "bytes": ("a: !!binary aGVsbG8=", "tag .* is not taken"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "no text": ("a: \x01", "control characters"),
    "half a list": ("a: [", "did not find|expected"),
}


def _quickly(function, *arguments):
    began = time.process_time()
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 700 and time.process_time() - began < 5
    return said


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_that_is_more_than_data(name, tmp_path):
    """In all places that read YAML alike."""
    import re

    text, problem = BAD_YAML[name]
    file = tmp_path / "file.yaml"
    file.write_text(text)
    for said in (
        _quickly(parse_yaml, text),
        _quickly(read_yaml, file),
        _quickly(parse, ["pretrain", "--config", str(file)]),
        _quickly(load_library, file),
    ):
        assert re.search(problem, said), said


def test_a_yaml_file_that_is_large_or_none(tmp_path):
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * LARGEST_YAML)
    assert "is larger than 500,000 bytes" in _quickly(read_yaml, large)
    assert "No such file" in _quickly(read_yaml, tmp_path / "none.yaml")
    assert "is no file" in _quickly(read_yaml, tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert "is no file" in _quickly(read_yaml, tmp_path / "fifo")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    assert "cannot be read" in _quickly(read_yaml, tmp_path / "binary")
    assert "cannot be read" in _quickly(read_yaml, tmp_path / ("n" * 300))
    assert "cannot be read" in _quickly(read_yaml, "a\0b")


def test_many_keys_take_bounded_time():
    text = "{" + ", ".join(f"k{number}: {number}" for number in range(25_000)) + "}"
    began = time.process_time()
    assert len(parse_yaml(text)) == 25_000 and time.process_time() - began < 20


def test_plain_data_is_read():
    text = "a: 1e-4\nb: [1, -2.5, .inf]\nc: {d: yes, e: null, f: 2024-01-01}\ng: 'quoted: text'\n"
    assert parse_yaml(text) == {
        "a": 1e-4,
        "b": [1, -2.5, math.inf],
        "c": {"d": True, "e": None, "f": "2024-01-01"},
        "g": "quoted: text",
    }
    assert parse_yaml("[" * DEEPEST + "]" * DEEPEST) is not None
    assert parse_yaml("") is None and parse_yaml("\ufeffa: b".lstrip("\ufeff")) == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"file_name": "a.png", "a": 1, "a": 2}', "'a' is there twice"),
        ("[" * 100_000, "too deep"),
        ('{"a": ' * 100_000, "too deep"),
        ('{"file_name": "a.png", "n": ' + "9" * 5000 + "}", "too long"),
        ('{"file_name": "a.png", "n": NaN}', "NaN is no number"),
        ('{"file_name": "a.png", "n": 1e999}', "1e999 is no number"),
        ("{", "Expecting"),
    ],
    ids=range(7),
)
def test_json_that_is_more_than_data(text, problem, tmp_path):
    with pytest.raises(ValueError, match=problem) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 300
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text(text + "\n")
    assert "line 1 is not JSON" in check(tmp_path).errors[0]
