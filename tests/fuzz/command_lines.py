"""Command lines: of every verb, with options, values and files that people get wrong."""

import dataclasses
import os
import random
import typing
from pathlib import Path
from typing import Annotated, Any

import yaml

from clipnerf.config.parse import keys_of
from clipnerf.config.ranges import Range, range_of
from clipnerf.config.verbs import VERBS, Verb
from tests.fuzz.damage import NASTY, damage_text, mangle
from tests.fuzz.watch import command
from tests.fuzz.world import World

_WORDS = (
    "a red chair",
    "стул",
    "椅子 です",
    "🪑" * 40,
    "x" * 5000,
    "word " * 5000,
    "\u202eriahc",
    "a\tb\nc",
    "",
    " ",
    "the seat: red",
    "{a: 1}",
    "[1, 2",
    "'",
    "--",
    "-1",
    "=",
    "null",
    "~",
    "!!python/name:os.system",
    "\ud800",
    "é" * 150,
    "/dev/null",
    "/dev/zero",
    "/proc/self/mem",
    ".",
    "..",
    "nowhere/at/all",
    "a" * 300,
)
_NUMBERS = (
    "nan",
    ".inf",
    "-.inf",
    "inf",
    "1e999",
    "1_000",
    "0x10",
    "１２",
    "1,5",
    "9" * 400,
    "1 2",
)
_COSTLY = ("bench", "doctor", "evaluate", "view", "demo", "study variety", "study view-consistency")
"""Whole, they take long, serve a page, or write no file: their plan alone is asked for."""


def command_line(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """One, in an empty folder; what is known to be wrong has to be refused as misuse."""
    verb = draw.choice(VERBS)
    argv = _whole(verb, world, draw)
    wrong, told = False, ""
    for _ in range(draw.choice((1, 1, 2, 3))):
        argv, known_wrong, said = _change(argv, verb, world, folder, draw)
        wrong, told = known_wrong, f"{told}{said}; "
        if wrong:
            break  # or another change could take it back
    if not wrong and (verb.name in _COSTLY or "out" not in keys_of(verb.schema)):
        argv.append("--dry-run")
    before, here = _tree(folder), Path.cwd()
    os.chdir(folder)
    try:
        said = command(argv)
    finally:
        os.chdir(here)
    faults = list(said.faults)
    if wrong and said.code != 2:
        faults.append(f"{told}exit code {said.code}, wanted is 2")
    if said.code == 2 and _tree(folder) != before:
        faults.append(f"misuse leaves {sorted(_tree(folder) - before)[:4]} behind")
    if any(".tmp" in name or ".probe" in name for name in _tree(folder)):
        faults.append("a temporary is left behind")
    return f"clipnerf {' '.join(ascii(word)[1:-1][:60] for word in argv)}", faults


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _whole(verb: Verb, world: World, draw: random.Random) -> list[str]:
    """A command that works, and is quick."""
    bundle, photo = str(world.bundle), str(world.folder / "photo.png")
    small = ["--size", "16", "--device", "cpu"]
    seeds = ["--seeds", "0"]
    training = {argv[0]: name for name, argv in world.commands.items()}
    if verb.name in training:
        names = [name for name, argv in world.commands.items() if argv[0] == verb.name]
        return [*world.commands[draw.choice(names)], "--out", "out"]
    more = {
        "demo": ["--bundle", bundle, "--frames", "2", *small],
        "data synthesize": ["chairs", "--count", "1", "--size", "16", "--out", "out"],
        "data check": [str(world.folder / "pictures")],
        "invert": [bundle, photo, "--inversion.size", "16", "--inversion.starts", "1"]
        + ["--inversion.rough_steps", "1", "--inversion.steps", "1", "--device", "cpu"],
        "segment": [photo, "--bundle", bundle, "--text", "the seat", "--out", "mask.png"],
        "edit": [bundle, "--text", "a red chair", *small, *seeds, "--out", "edit.png"],
        "orbit": [bundle, "--frames", "2", *small, *seeds, "--out", "orbit.mp4"],
        "morph": [bundle, "--frames", "2", *small, "--seeds", "0,1", "--out", "morph.mp4"],
        "export": [bundle, "--resolution", "16", *seeds, "--device", "cpu", "--out", "a.obj"],
        "view": [bundle],
        "study view-consistency": [bundle],
        "study variety": ["--generator", f"{bundle}/generator.safetensors"]
        + ["--data", str(world.folder / "pictures")],
        "evaluate": [bundle, "--quick"],
        "bench": ["--bundle", bundle],
        "doctor": ["--bundle", bundle],
    }
    return [*verb.name.split(), *more[verb.name]]


def _change(
    argv: list[str], verb: Verb, world: World, folder: Path, draw: random.Random
) -> tuple[list[str], bool, str]:
    """Another command line, whether it is surely wrong, and what was done."""
    kind = draw.choice(
        ("range", "range", "value", "value", "key", "verb", "drop", "swap", "path", "file", "more")
    )
    argv, words = list(argv), len(verb.name.split())
    known = keys_of(verb.schema, ranges=True)
    numbers = {key: hint for key, hint in known.items() if _one_number(hint)}
    key = draw.choice(sorted(known))
    if kind == "range" and numbers:
        key = draw.choice(sorted(numbers))
        value = _outside(numbers[key], draw)
        return [*argv, f"--{key}={value}"], True, f"{key} is {value}"
    if kind == "value":
        value = draw.choice((*_WORDS, *_NUMBERS, *map(str, NASTY)))
        if _expensive(known[key]):
            value = draw.choice(("nan", ".inf", "-.inf", "1e999", "many", "１２"))
        glue = draw.random() < 0.5
        return [*argv, *([f"--{key}={value}"] if glue else [f"--{key}", value])], False, key
    if kind == "key":
        at = draw.randrange(len(key))
        misspelt = key[:at] + draw.choice("qxü.-_ ") + key[at + draw.randrange(2) :]
        if misspelt in known or misspelt.replace("-", "_") in known:
            misspelt = "nothing"
        return [*argv, f"--{misspelt}", "1"], True, f"unknown {misspelt}"
    if kind == "verb":
        misspelt = draw.choice(
            (verb.name[:-1], f"{verb.name}s", "", "x" * 3000, "ü", verb.name[::-1])
        )
        return [misspelt, *argv[words:]], True, f"verb {misspelt[:20]}"
    if kind == "drop" and len(argv) > words:
        del argv[draw.randrange(words, len(argv))]
    elif kind == "swap" and len(argv) > words + 1:
        first, second = draw.sample(range(words, len(argv)), 2)
        argv[first], argv[second] = argv[second], argv[first]
    elif kind == "path":
        places = [n for n, word in enumerate(argv) if word.startswith("/") and n >= words]
        if places:
            place = draw.choice(places)
            # an empty configuration is valid, and asks for hours by the defaults
            argv[place] = _other_path(world, folder, draw, files=argv[place - 1] != "--config")
    elif kind == "file":
        return [*argv, "--config", _configuration(verb, folder, draw)], False, "a configuration"
    else:
        argv.insert(draw.randrange(words, len(argv) + 1), draw.choice(_WORDS))
    return argv, False, kind


def _one_number(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated and isinstance(hint.__metadata__[0], Range)


def _outside(hint: Any, draw: random.Random) -> str:
    """A number that the range does not hold."""
    allowed = range_of(hint)
    assert allowed is not None
    candidates = [allowed.least - 1, allowed.most + 1, -(10**12), 10**30, -1e308, "nan", ".inf"]
    outside = [each for each in candidates if isinstance(each, str) or each not in allowed]
    return str(draw.choice(outside)).replace("-inf", "-.inf")


def _expensive(hint: Any) -> bool:
    """Whether another value in range could make work of hours: counts and sizes."""
    return range_of(hint) is not None


def _other_path(world: World, folder: Path, draw: random.Random, *, files: bool) -> str:
    """A file of the world, where one may do, or what is none."""
    known = sorted(str(path) for path in world.folder.rglob("*") if "pictures/" not in str(path))
    link = folder / "link"
    if not link.is_symlink():
        link.symlink_to("link")
    pipe = folder / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    strange = ("link", "pipe", "/dev/null", "", "nowhere", "a" * 300, "\0", str(world.folder))
    return draw.choice(known if files and draw.random() < 0.6 else strange)


def _configuration(verb: Verb, folder: Path, draw: random.Random) -> str:
    """A YAML file of keys that the verb knows, with values that it does not want."""
    keys = [f.name for f in dataclasses.fields(verb.schema)]
    content: Any = {draw.choice(keys): draw.choice(NASTY) for _ in range(2)}
    content = {k: v for k, v in content.items() if not isinstance(v, int) or isinstance(v, bool)}
    path = folder / "given.yaml"
    text = yaml.safe_dump(mangle(content, draw)[1] if draw.random() < 0.5 else content)
    raw = damage_text(text, draw)[1] if draw.random() < 0.5 else text.encode()
    path.write_bytes(raw)
    return str(path)
