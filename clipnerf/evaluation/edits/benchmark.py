"""Wishes: what a prompt asks for, in the words of the recognizer; read from a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clipnerf.config.documents import read_yaml
from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Wish:
    """A prompt, and what it asks for.

    wanted: attribute to value; all of them have to come true.
    shape, appearance: strengths of the edit.
    """

    prompt: str
    wanted: Mapping[str, str]
    shape: float | int = 1.0
    appearance: float | int = 1.0


def load_wishes(path: str | Path) -> tuple[Wish, ...]:
    """A YAML list of wishes, each with ``prompt``, ``wanted`` and perhaps strengths.

    Raises:
        UsageError: missing, no YAML, or a wish that cannot be read; one line with its number.
    """
    found = read_yaml(path)
    if not isinstance(found, list) or not found:
        raise UsageError(f"{str(path)!r} holds no list of wishes; configs/wishes-chairs.yaml does")
    return tuple(_wish(row, f"wish {number} of {path}") for number, row in enumerate(found, 1))


def _wish(row: object, where: str) -> Wish:
    known = ("prompt", "wanted", "shape", "appearance")
    if not isinstance(row, dict) or not {"prompt", "wanted"} <= set(row) <= set(known):
        raise UsageError(
            f"{where} is {shown(row)}; it has the keys prompt, wanted, shape, appearance"
        )
    prompt, wanted = row["prompt"], row["wanted"]
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError(f"{where}: prompt is {shown(prompt)}; needed: words, such as a red chair")
    if not isinstance(wanted, dict) or not wanted:
        raise UsageError(f"{where}: wanted is {shown(wanted)}; give attributes with their values")
    for attribute, value in wanted.items():
        if not isinstance(value, str):  # YAML reads a bare yes as true
            raise UsageError(f"{where}: {attribute} is {shown(value)}, no word; put it in quotes")
    for key in ("shape", "appearance"):
        strength = row.get(key, 1.0)
        if isinstance(strength, bool) or not isinstance(strength, int | float):
            raise UsageError(f"{where}: {key} is {shown(strength)}; it is a strength, a number")
    return Wish(**row)
