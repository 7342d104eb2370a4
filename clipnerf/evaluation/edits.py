"""Did the edit do what it was told, and nothing else? Read by the recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.evaluation.features import as_8_bit
from clipnerf.evaluation.recognizer import Readings, Recognizer
from clipnerf.evaluation.wishes import Wish


@runtime_checkable
class Edits(Protocol):
    """The part of `clipnerf.editor.Editor` that is needed here; evaluation lies below it."""

    def sample(self, seeds: Sequence[int]) -> Any:
        """Codes of the seeds."""
        ...

    def edit(self, codes: Any, text: str, shape: float, appearance: float) -> Any:
        """Codes moved towards the words."""
        ...

    def render(self, codes: Any, azimuth_deg: Any, elevation_deg: Any, size: int) -> Any:
        """A view with ``rgb``."""
        ...


@dataclass(frozen=True)
class WishResult:
    """What became of one wish; shares of all views of all objects.

    before: had what is wanted without the edit. after: have it with the edit.
    changed: of those that had it not, share that have it now; NaN if all had it.
    kept: of all attributes that the wish does not name, share read as before the edit.
    """

    prompt: str
    before: float
    after: float
    changed: float
    kept: float


@dataclass(frozen=True)
class EditReport:
    """Results wish by wish, and their means."""

    results: tuple[WishResult, ...]
    seeds: tuple[int, ...]
    size: int

    @property
    def after(self) -> float:
        """Mean share of edited pictures that show what was asked for."""
        return sum(r.after for r in self.results) / len(self.results)

    @property
    def kept(self) -> float:
        """Mean share of other attributes that stayed."""
        return sum(r.kept for r in self.results) / len(self.results)

    def lines(self) -> list[str]:
        """A table for a terminal, percent."""
        rows = [f"{'prompt':<36} before  after  changed  others kept"]
        rows += [
            f"{r.prompt:<36} {100 * r.before:6.1f} {100 * r.after:6.1f} {100 * r.changed:8.1f} "
            f"{100 * r.kept:12.1f}"
            for r in self.results
        ]
        mean = f"{'mean':<36} {'':6} {100 * self.after:6.1f} {'':8} {100 * self.kept:12.1f}"
        note = f"{len(self.seeds)} objects, {self.size} px"
        return [*rows, mean, note]


@torch.no_grad()
def edit_success(
    editor: Edits,
    recognizer: Recognizer,
    wishes: Sequence[Wish],
    seeds: Sequence[int],
    *,
    azimuths_deg: Sequence[float | int] = (35.0, 325.0),
    elevation_deg: float | int = 20.0,
    size: int = 64,
) -> EditReport:
    """Edits every object by every wish and reads the pictures before and after.

    Args:
        editor: an `Editor` of pictures the recogniser was trained for.
        seeds: the objects.
        azimuths_deg, elevation_deg: the views that are read, degrees; fronts, as a seat cannot be
            read from behind.
    Raises:
        UsageError: no wish, no seed, or an attribute or value that the recogniser does not know.
    """
    if not wishes or not seeds:
        raise UsageError(f"{len(wishes)} wishes for {len(seeds)} objects; give at least one each")
    for wish in wishes:
        for attribute, value in wish.wanted.items():
            empty = Readings({}, {}, recognizer.values)
            empty.row(attribute, value)
    codes = editor.sample(list(seeds))

    def read(edited: Any) -> Readings:
        views = [
            editor.render(edited, azimuth_deg=azimuth, elevation_deg=elevation_deg, size=size).rgb
            for azimuth in azimuths_deg
        ]
        return recognizer.read(as_8_bit(torch.cat(views)))

    unedited = read(codes)
    results = [
        judge(
            wish,
            unedited,
            read(editor.edit(codes, wish.prompt, shape=wish.shape, appearance=wish.appearance)),
        )
        for wish in wishes
    ]
    return EditReport(tuple(results), tuple(seeds), size)


def judge(wish: Wish, before: Readings, after: Readings) -> WishResult:
    """One wish, from what was read before and after."""
    had, has = _granted(wish, before), _granted(wish, after)
    others = [key for key in before.values if key not in wish.wanted]
    same = [(before.index[key] == after.index[key]).float().mean() for key in others]
    return WishResult(
        prompt=wish.prompt,
        before=float(had.float().mean()),
        after=float(has.float().mean()),
        changed=float(has[~had].float().mean()),
        kept=float(torch.stack(same).mean()) if same else float("nan"),
    )


def _granted(wish: Wish, readings: Readings) -> Tensor:
    hits = [readings.is_value(attribute, value) for attribute, value in wish.wanted.items()]
    return torch.stack(hits).all(0)
