"""Which values a field takes, said by its type, and the one function that checks them all.

    steps: Count = 600
    lr: Annotated[float, Range(above=0, below=1)] = 1e-3

Numbers are finite whatever the type says, and names short enough for a file system.
"""

from __future__ import annotations

import math
import os
import reprlib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NoReturn

from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Range:
    """Finite numbers between two ends."""

    least: int | float = -math.inf
    most: int | float = math.inf
    above: int | float = -math.inf
    """A lower end that does not belong to it."""
    below: int | float = math.inf
    step: int = 1
    """Only multiples of it."""
    power_of_two: bool = False
    or_zero: bool = False
    """0 is allowed as well."""
    note: str = ""
    """What is said after the range: a unit, or what the ends mean."""

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, Integral) and not math.isfinite(value):
            return False
        if self.or_zero and value == 0:
            return True
        inside = self.least <= value <= self.most and self.above < value < self.below
        return inside and value % self.step == 0 if self.step > 1 else inside and self._power(value)

    def __str__(self) -> str:
        low, high = max(self.least, self.above), min(self.most, self.below)
        if self.step > 1:
            said = f"{low}, {low + self.step}, … {high}"
        elif math.isinf(low) and math.isinf(high):
            said = "a finite number"
        elif self.above == low:
            said = f"above {low}, {'below' if self.below == high else 'at most'} {high}"
        else:
            said = f"{low} to {'below ' if self.below == high else ''}{high}"
        power = "a power of two, " if self.power_of_two else ""
        return f"{power}{said}{self.note}{', or 0' if self.or_zero else ''}"

    def _power(self, value: int | float) -> bool:
        return not self.power_of_two or int(value) & (int(value) - 1) == 0


@dataclass(frozen=True)
class Letters:
    """Words for people or networks, no names of files."""

    most: int = 20_000
    longest_word: int = 200
    """Time to find a word's tokens grows with its square."""

    def __contains__(self, text: str) -> bool:
        words = text.split()
        return len(text) <= self.most and max(map(len, words), default=0) <= self.longest_word

    def __str__(self) -> str:
        return f"{self.most} letters at most, {self.longest_word} in a word"


class _Name:
    """What file systems take; also names of models and their weights."""

    def __contains__(self, name: str) -> bool:
        try:
            raw = os.fsencode(name)
        except UnicodeEncodeError:  # half a letter
            return False
        parts = raw.replace(b"\\", b"/").split(b"/")
        return len(raw) <= 4096 and max(map(len, parts)) <= 255 and b"\0" not in raw

    def __str__(self) -> str:
        return "4096 bytes at most, 255 between slashes"


Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]
Text = Annotated[str, Letters()]
Caption = Annotated[str, Letters(longest_word=500)]

Count = Annotated[int, Range(1, 10_000_000)]
CountOrZero = Annotated[int, Range(0, 10_000_000)]
Batch = Annotated[int, Range(1, 1_000_000)]
Width = Annotated[int, Range(1, 16384)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Threads = Annotated[int, Range(0, 1024)]
RaySamples = Annotated[int, Range(2, 4096)]
Samples = Annotated[int, Range(1, 4096)]
Pixels = Annotated[int, Range(8, 2048, note=" pixels")]

LearningRate = Annotated[float, Range(above=0, below=1)]
Kimg = Annotated[float, Range(0, 1_000_000)]
Weight = Annotated[float, Range(0, 1_000_000)]
Positive = Annotated[float, Range(above=0, most=1_000_000)]
Share = Annotated[float, Range(0, 1)]
ShareBelowOne = Annotated[float, Range(0, below=1)]
OpenShare = Annotated[float, Range(above=0, below=1)]
PositiveShare = Annotated[float, Range(above=0, most=1)]
Strength = Annotated[float, Range(-4, 4, note="; 0 is no edit, 1 as trained")]
Azimuth = Annotated[float, Range(-3600, 3600, note=" degrees")]
Degrees = Annotated[float, Range(-1e6, 1e6, note=" degrees")]
Turns = Annotated[float, Range(-1e6, 1e6)]
Elevation = Annotated[float, Range(-90, 90, note=" degrees")]


Rule = tuple[bool, str, str]
"""Whether it holds, the key that is to blame otherwise, and what is allowed."""


class Config:
    """A configuration: a dataclass whose types say which values are allowed."""

    def validate(self, prefix: str = "") -> None:
        """Checks every field, those of configurations inside included.

        Args:
            prefix: what the keys are called by in errors, e.g. ``generator.``
        Raises:
            UsageError: the first value of a wrong type or out of range; one line.
        """
        hints = _hints(type(self))  # type: ignore[arg-type]
        for field in fields(self):  # type: ignore[arg-type]
            check(f"{prefix}{field.name}", getattr(self, field.name), hints[field.name])
        for holds, key, allowed in self.rules():
            value = self
            for name in key.split("."):
                value = getattr(value, name)
            require(holds, f"{prefix}{key}", value, allowed)

    def rules(self) -> Iterator[Rule]:
        """What joins several keys, or a type cannot say; asked when all types are right."""
        return iter(())


def require(holds: bool, key: str, value: object, allowed: str) -> None:
    """UsageError ``key is VALUE; allowed: …`` unless it holds."""
    if not holds:
        refuse(key, value, allowed)


def refuse(key: str, value: object, allowed: str) -> NoReturn:
    """UsageError ``key is VALUE; allowed: …``, for those who build the words only now."""
    raise UsageError(f"{key} is {shown(value)}; allowed: {allowed}")


def check(key: str, value: Any, hint: Any) -> None:
    """UsageError unless ``value`` is of the type ``hint``, and in its range."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is not None or type(None) not in arguments:
            check(key, value, next(each for each in arguments if each is not type(None)))
    elif origin in (list, tuple):
        require(isinstance(value, list | tuple), key, value, "a list")
        for item in value:
            check(key, item, arguments[0])
    elif origin is dict:
        require(isinstance(value, dict), key, value, "keys and values")
        for name, item in value.items():
            check(key, name, arguments[0])
            check(f"{key}.{name[:60]}", item, arguments[1])
    elif origin is Literal:
        ok = any(value is each or (isinstance(value, str) and value == each) for each in arguments)
        require(ok, key, value, one_of(arguments))
    elif is_dataclass(hint):
        require(isinstance(value, typing.cast(type, hint)), key, value, "keys and values below it")
        if isinstance(value, Config):
            value.validate(f"{key}.")
    else:
        allowed, kind = allowed_by(hint), arguments[0] if origin is Annotated else hint
        path = isinstance(value, os.PathLike)
        if not _is(value, kind) or (path and isinstance(allowed, Letters)):
            refuse(key, value, words_for(hint))
        if allowed is not None and (os.fspath(value) if path else value) not in allowed:
            refuse(key, value, str(allowed))


def allowed_by(hint: Any) -> Range | Letters | _Name | None:
    """What the type of one number or text allows; None for true and false."""
    if typing.get_origin(hint) is Annotated:
        return typing.cast("Range | Letters", hint.__metadata__[0])
    return _Name() if hint is str else Range() if hint in (int, float) else None


def words_for(hint: Any) -> str:
    """What is allowed, in words, for whoever gave a value of another type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words_for(each) for each in arguments if each is not type(None))
    if origin in (list, tuple, dict):
        of = "keys, each with" if origin is dict else "a list, each"
        return f"{of} {words_for(arguments[-1])}"
    if origin is Literal:
        return one_of(arguments)
    kind, allowed = arguments[0] if origin is Annotated else hint, allowed_by(hint)
    return _KINDS[kind] if allowed is None else f"{_KINDS[kind]}, {allowed}"


def range_of(hint: Any) -> Range | None:
    """The range of the numbers in a type; None where there are none."""
    if typing.get_origin(hint) is Annotated and isinstance(hint.__metadata__[0], Range):
        return typing.cast(Range, hint.__metadata__[0])
    return next(filter(None, map(range_of, typing.get_args(hint))), None)


def texts_of(key: str, texts: object) -> list[str]:
    """A text, or several in whatever they can be taken from, as a list.

    Raises:
        UsageError: none, or one that is no text, is empty, or too long to be read in reasonable
            time.
    """
    several = _several(key, texts, str, "words, or a list of them; none is empty")
    for text in several:
        check(key, text, Caption)
        if not text.strip():
            refuse(key, text, "words; none is empty")
    return several


def seeds_of(key: str, seeds: object) -> list[int]:
    """A seed, or several in whatever they can be taken from, as a list.

    Raises:
        UsageError: none, or one that is no whole number, or out of range.
    """
    several = _several(key, seeds, Integral, "seeds, such as [0]")
    # those of torch's tensors are no numbers to Python
    several = [seed.item() if hasattr(seed, "item") else seed for seed in several]
    for seed in several:
        check(key, seed, Seed)
    return list(map(int, several))


def _several(key: str, values: Any, kind: type, allowed: str) -> list[Any]:
    if isinstance(values, kind):
        return [values]
    try:
        if isinstance(values, str | bytes | bytearray | Mapping):
            raise TypeError("these have parts, but no values")
        several = list(values)
    except TypeError:
        refuse(key, values, allowed)
    return several or refuse(key, values, allowed)


def shown(value: object) -> str:
    """The value as Python writes it, cut to what one line holds."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no whole numbers of thousands of digits
        return "a number of thousands of digits"


def one_of(choices: tuple[Any, ...]) -> str:
    """``'a', 'b' or 'c'``"""
    *first, last = (str(each) for each in choices)
    return f"{', '.join(first)} or {last}" if first else last


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _is(value: Any, kind: Any) -> bool:
    if kind is str:
        return isinstance(value, str | os.PathLike)
    if kind is bool:
        return isinstance(value, bool)
    return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxtuple = 10
