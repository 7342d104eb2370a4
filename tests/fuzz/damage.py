"""What can happen to a file: on a disk, on the way, in an editor, by a person or a program."""

import copy
import json
import math
import random
from collections.abc import Sequence
from typing import Any

NASTY: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    0.5,
    -0.0,
    10**30,
    10**400,
    2**63,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " ",
    "text",
    "\0",
    "a\nb",
    "ü" * 300,
    "word" * 1000,
    "💥",
    "../../../etc/passwd",
    [],
    [[]],
    [None],
    [1, "a"],
    {},
    {"a": {"b": None}},
    {"": 1},
)
"""Values in the place of others."""

_LINES = (
    "&a [*a]",
    "!!python/object/apply:os.system ['true']",
    "x: " + "[" * 2000,
    "y: " + "9" * 6000,
    "? {a: 1}\n: 2",
    "\t- tab",
    "{" * 500,
    "a: &x [1]\nb: [*x, *x]",
    '"' * 3,
    "key: value: value",
    "1: 2\n1: 3",
    "\ufeff",
    "\x07",
    "---\n---",
    "x" * 100_000,
)


def damage(raw: bytes, draw: random.Random, others: Sequence[bytes]) -> tuple[str, bytes]:
    """What was done to the bytes of a file, and what they are then; never what they were."""
    at = draw.randrange(max(1, len(raw)))
    bad = bytearray(raw)
    kind = draw.choice(
        ("cut", "bit", "bit", "byte", "bytes", "longer", "empty", "hole", "swap", "twice", "head")
    )
    if kind == "cut":
        bad = bad[:at]
    elif kind == "bit":
        bad[at] ^= 1 << draw.randrange(8)
    elif kind == "byte":
        bad[at] = (bad[at] + draw.randrange(1, 256)) % 256
    elif kind == "bytes":
        for _ in range(draw.randrange(2, 40)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
    elif kind == "longer":
        bad += bytes(draw.randrange(256) for _ in range(draw.choice((1, 7, 4096))))
    elif kind == "empty":
        bad = bytearray()
    elif kind == "hole":
        bad[at : at + 512] = bytes(len(bad[at : at + 512]))
    elif kind == "swap":
        bad = bytearray(draw.choice(others))
    elif kind == "twice":
        bad = bad * 2
    else:
        bad[:8] = bytes(draw.randrange(256) for _ in range(8))
    if bytes(bad) == raw:
        return "cut", raw[:-1]
    return f"{kind} at {at} of {len(raw)}", bytes(bad)


def damage_text(text: str, draw: random.Random) -> tuple[str, bytes]:
    """The same for text: of another encoding, with a line that does not belong there."""
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    kind = draw.choice(("line", "line", "without", "double", "encoding", "word", "order"))
    if kind == "line":
        lines.insert(at, draw.choice(_LINES))
    elif kind == "without":
        del lines[at]
    elif kind == "double":
        lines.insert(at, lines[at])
    elif kind == "order":
        draw.shuffle(lines)
    elif kind == "word":
        words = lines[at].split(" ")
        words[draw.randrange(len(words))] = str(draw.choice(NASTY))
        lines[at] = " ".join(words)
    else:
        name = draw.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "cp500"))
        return name, f"{text}ä".encode(name)
    return f"{kind} {at}", "\n".join(lines).encode("utf-8", "surrogatepass")


def mangle(value: Any, draw: random.Random) -> tuple[str, Any]:
    """A tree of mappings and lists in which one thing is another, missing, or too much."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return "whole", draw.choice(NASTY)
    inside, key, path = draw.choice(places)
    kind = draw.choice(("other", "other", "other", "without", "more"))
    if kind == "other":
        new = draw.choice(NASTY)
        inside[key] = new
        return f"{path} is {ascii(new)[:40]}", value
    if kind == "without":
        del inside[key]
        return f"without {path}", value
    if isinstance(inside, dict):
        inside[draw.choice(("more", "", "__class__"))] = draw.choice(NASTY)
    else:
        inside.append(draw.choice(NASTY))
    return f"more beside {path}", value


def as_json(value: Any) -> str:
    """JSON, as Python writes it: with NaN."""
    return json.dumps(value)


def _places(value: Any, path: str = "") -> Any:
    """Each place in a tree: what holds it, its key there, and how it is called."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key, f"{path}.{key}"
            yield from _places(value[key], f"{path}.{key}")
