"""YAML and JSON that somebody else wrote: the one place where they are read.

Nothing is executed, and time, memory and error lines are bounded whatever a file holds: no aliases
(a bomb is made of them), no tags, no key twice, no key that is no text, no thousands of digits.
"""

from __future__ import annotations

import json
import math
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

import yaml

from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError

LARGEST_YAML = 500_000
"""Bytes of a YAML file; a configuration has some thousands."""
DEEPEST = 32
"""Lists and mappings inside one another."""
LONGEST_NUMBER = 100
"""Letters of a number: more than any exact one needs."""

_TAG = "tag:yaml.org,2002:"
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_FAST):  # type: ignore[misc, valid-type]
    """YAML 1.1 with 1e-4 for a number, and dates for text."""

    yaml_implicit_resolvers = {
        letter: [(tag, regexp) for tag, regexp in pairs if tag != f"{_TAG}timestamp"]
        for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        """Of text keys, each once."""
        seen = set()
        for key, _ in node.value:
            if key.tag != f"{_TAG}str":
                said = shown(key.value) if isinstance(key.value, str) else "of several parts"
                raise _error(f"the key {said} is no text; quote it", key)
            if key.value in seen:
                raise _error(f"the key {shown(key.value)} is there twice", key)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))

    def construct_number(self, node: Any) -> int | float:
        """A number, if it is of a length that a number can have."""
        if len(node.value) > LONGEST_NUMBER:
            raise _error(f"the number {shown(node.value)} is too long", node)
        if node.tag == f"{_TAG}int":
            return int(super().construct_yaml_int(node))
        return float(super().construct_yaml_float(node))


_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"{_TAG}{_kind}", _Loader.construct_number)


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds: mappings of text keys, lists, text, numbers, true, false, null.

    Raises:
        UsageError: missing, no file, too large, no YAML, or more than plain data; one line.
    """
    text = read_text(path)
    try:
        return parse_yaml(text)
    except UsageError as error:
        raise UsageError(f"{shown(str(path))} {error}; correct it") from error


def read_text(path: str | Path) -> str:
    """The text of a YAML file; UsageError where it is missing, no file, too large or no text."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode) and not str(path).startswith("/dev/"):  # bash's <(…) is fine
            raise UsageError(f"{shown(str(path))} is no file; give a YAML file")
        with open(path, "rb") as file:
            raw = file.read(LARGEST_YAML + 1)
        text = raw.decode("utf-8-sig")
    # ValueError: no UTF-8, or a NUL among the letters of the path
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        reason = getattr(error, "strerror", None) or getattr(error, "reason", error)
        raise UsageError(
            f"{shown(str(path))} cannot be read ({reason}); give a YAML file"
        ) from error
    if len(raw) > LARGEST_YAML:
        raise UsageError(
            f"{shown(str(path))} is larger than {LARGEST_YAML:,} bytes; is it a YAML file?"
        )
    return text


def parse_yaml(text: str) -> Any:
    """What YAML text holds; UsageError, ``is not YAML (…)``, as :func:`read_yaml` says."""
    try:
        _refuse_more_than_data(text)
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UsageError(f"is not YAML ({reason[:200]}{where})") from error


def parse_json(text: str | bytes) -> Any:
    """What JSON text holds: like :func:`parse_yaml`, each key once, finite numbers alone.

    Raises:
        ValueError: no JSON, or more than plain data; one short line.
    """
    try:
        found = json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_int=lambda digits: int(_short(digits)),
            parse_float=_finite,
            parse_constant=_no_number,
        )
        if b"\\u" in text if isinstance(text, bytes) else "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except RecursionError as error:
        raise ValueError("lists and objects are too deep inside one another") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a letter (a lone surrogate)") from error


def _refuse_more_than_data(text: str) -> None:
    """Before anything is built, so that nothing can grow."""
    depth = 0
    for event in yaml.parse(text, Loader=_FAST):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _error("aliases (& and *) are not taken; write it out", event)
        if getattr(event, "tag", None) not in (None, "!"):
            raise _error(f"the tag {shown(event.tag)} is not taken", event)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _error(f"more than {DEEPEST} lists or mappings inside one another", event)


def _error(problem: str, there: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=there.start_mark)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {shown(double)} is there twice")
    return found


def _short(digits: str) -> str:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"the number {shown(digits)} is too long")
    return digits


def _finite(digits: str) -> float:
    number = float(_short(digits))
    return number if math.isfinite(number) else _no_number(digits)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
