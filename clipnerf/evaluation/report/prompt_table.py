"""The table of prompts: what became of each, by each kind of mapper."""

from __future__ import annotations

from dataclasses import dataclass

from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.report.results import Evaluation

NAN = float("nan")


@dataclass(frozen=True)
class PromptRow:
    """One prompt by one kind; NaN where something was not measured.

    before, true, stay: by the recognizer. matched, direction: by the encoder whose word counts.
    spearman: of strength, mean over objects, by the same.
    """

    prompt: str
    kind: str
    before: float
    true: float
    stay: float
    matched: float
    direction: float
    spearman: float

    def cells(self) -> list[str]:
        """Shares in percent, the other figures with two decimals."""
        shares = [self.before, self.true, self.stay, self.matched]
        others = [self.direction, self.spearman]
        return [
            *("–" if value != value else f"{100 * value:.0f}" for value in shares),
            *("–" if value != value else f"{value:.2f}" for value in others),
        ]


HEAD = ("before %", "true %", "others stay %", "matched %", "direction", "Spearman")


def prompt_rows(found: Evaluation) -> list[PromptRow]:
    """All prompts in the order of the wishes, the kinds of each one after the other."""
    named = dict.fromkeys(
        prompt for figures in found.kinds.values() for prompt in _prompts(figures, found.best_eye)
    )
    return [
        _row(prompt, kind, figures, found.best_eye)
        for prompt in named
        for kind, figures in found.kinds.items()
        if prompt in _prompts(figures, found.best_eye)
    ]


def prompt_lines(found: Evaluation) -> list[str]:
    """The table for a terminal; no line where there are no edits."""
    rows = prompt_rows(found)
    if not rows:
        return []
    width = max(len(row.prompt) for row in rows) + 2
    kinds = max(len(row.kind) for row in rows) + 2
    head = f"{'':<{width + kinds}}" + "".join(f"{each:>15}" for each in HEAD)
    return [head] + [
        f"{row.prompt:<{width}}{row.kind:<{kinds}}" + "".join(f"{c:>15}" for c in row.cells())
        for row in rows
    ]


def _prompts(figures: KindFigures, eye: str) -> list[str]:
    by_clip = figures.words[eye].direction if eye in figures.words else {}
    return list(dict.fromkeys([*by_clip, *(result.prompt for result in figures.results)]))


def _row(prompt: str, kind: str, figures: KindFigures, eye: str) -> PromptRow:
    result = next((each for each in figures.results if each.prompt == prompt), None)
    words, steady = figures.words.get(eye), figures.strength.get(eye, {}).get(prompt)
    matched = [each.by_prompt for each in words.matching.values()] if words else []
    return PromptRow(
        prompt=prompt,
        kind=kind,
        before=result.before if result else NAN,
        true=result.after if result else NAN,
        stay=result.kept.share if result else NAN,
        matched=next((shares[prompt] for shares in matched if prompt in shares), NAN),
        direction=words.direction.get(prompt, NAN) if words else NAN,
        spearman=steady.objects if steady else NAN,
    )
