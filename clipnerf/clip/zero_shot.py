"""Zero-shot accuracies: which of the words for an attribute does a picture lie nearest to?"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.documents import read_yaml
from clipnerf.config.ranges import shown
from clipnerf.data.records import Record
from clipnerf.errors import UsageError

_PURE = 0.98
"""Share of a caption's pictures that must have the value, for the caption to stand for it."""


@runtime_checkable
class TextEncoder(Protocol):
    """The part of a ``Clip`` that is needed here."""

    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "texts embedding"]:
        """Unit embeddings of texts."""
        ...


@dataclass(frozen=True)
class Question:
    """One attribute, and the prompts that stand for each of its values.

    name: what the table calls it. attribute: its key in the records.
    where: only pictures with these attributes are asked about, e.g. {"base": "legs"}; a value
        "=key" means that of another attribute: {"back_color": "=seat_color"}.
    """

    name: str
    attribute: str
    prompts: Mapping[str, tuple[str, ...]]
    where: Mapping[str, str] = field(default_factory=dict)

    def asks(self, record: Record) -> bool:
        """Whether the picture of ``record`` has an answer."""
        attributes = record.attributes
        return attributes.get(self.attribute) in self.prompts and all(
            attributes.get(key) == (attributes.get(value[1:]) if value[:1] == "=" else value)
            for key, value in self.where.items()
        )


@dataclass(frozen=True)
class Answer:
    """accuracy: share of ``count`` pictures answered rightly. chance: of the commonest value."""

    name: str
    accuracy: float
    chance: float
    count: int
    by_value: Mapping[str, float]


def load_questions(path: str | Path) -> list[Question]:
    """Reads a YAML file: question → value → prompts, or question → {attribute, where, prompts}.

    Raises:
        UsageError: missing, no YAML, or not of this form; one line.
    """
    found = read_yaml(path)
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{str(path)!r} holds no questions; give attribute: value: [prompts]")
    return [_question(str(path), str(name), entry) for name, entry in found.items()]


def questions_from_captions(records: Sequence[Record], prompts: int = 3) -> list[Question]:
    """A question for each attribute, asked in the captions' own words.

    For each value, the captions that are commonest among its pictures and hardly ever said of
    others. Values without such a caption are left out, and so are attributes with one value left.
    """
    by_caption: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        for text in record.texts:
            by_caption[text].append(record)
    # Rare captions are pure by accident.
    common = {text: said for text, said in by_caption.items() if len(said) >= 3}
    keys = Counter(key for record in records for key in record.attributes)
    questions = []
    for key in keys:
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for text, said in common.items():
            value, count = Counter(r.attributes.get(key, "") for r in said).most_common(1)[0]
            if value and count >= _PURE * len(said):
                found[value].append((-count, text))
        chosen = {
            value: tuple(text for _, text in sorted(texts)[:prompts])
            for value, texts in sorted(found.items())
        }
        if len(chosen) > 1:
            questions.append(Question(key, key, chosen))
    return questions


def ask(
    clip: TextEncoder,
    embeddings: Float[Tensor, "pictures embedding"],
    records: Sequence[Record],
    questions: Sequence[Question],
) -> list[Answer]:
    """The accuracy of each question over the pictures that have an answer to it.

    A value's text is the mean of its prompts' embeddings. Questions nobody can answer are left
    out.
    """
    answers = []
    for question in questions:
        values = list(question.prompts)
        asked = [i for i, record in enumerate(records) if question.asks(record)]
        if not asked:
            continue
        texts = [clip.encode_text(question.prompts[value]).mean(0) for value in values]
        towards = torch.nn.functional.normalize(torch.stack(texts), dim=1)
        given = (embeddings[asked] @ towards.T).argmax(1).tolist()
        right: dict[str, list[bool]] = defaultdict(list)
        for index, number in zip(asked, given, strict=True):
            truth = records[index].attributes[question.attribute]
            right[truth].append(values[number] == truth)
        every = [each for some in right.values() for each in some]
        answers.append(
            Answer(
                name=question.name,
                accuracy=sum(every) / len(every),
                chance=max(map(len, right.values())) / len(every),
                count=len(every),
                by_value={value: sum(some) / len(some) for value, some in sorted(right.items())},
            )
        )
    return answers


def table(answers: Sequence[Answer]) -> str:
    """The answers as lines of text, for the terminal."""
    if not answers:
        return "zero-shot: no attribute to ask about (no 'attributes' in metadata.jsonl)"
    width = max(len(answer.name) for answer in answers)
    lines = [f"{'zero-shot':{width}}  accuracy  commonest  pictures  worst value"]
    for answer in answers:
        worst = min(answer.by_value, key=lambda value: answer.by_value[value])
        lines.append(
            f"{answer.name:{width}}  {answer.accuracy:8.1%}  {answer.chance:9.1%}  "
            f"{answer.count:8d}  {worst} {answer.by_value[worst]:.1%}"
        )
    return "\n".join(lines)


def _question(path: str, name: str, entry: object) -> Question:
    shape = f"{name} in {path!r} is {shown(entry)}; needed is value: [prompts]"
    if not isinstance(entry, dict) or not entry:
        raise UsageError(shape)
    if "prompts" not in entry:
        entry = {"attribute": name, "prompts": entry}
    prompts, where = entry["prompts"], entry.get("where", {})
    if not isinstance(prompts, dict) or not isinstance(where, dict) or len(prompts) < 2:
        raise UsageError(f"{shape}, for two values or more")
    texts = {value: [said] if isinstance(said, str) else said for value, said in prompts.items()}
    if not all(
        each and isinstance(each, list) and all(isinstance(t, str) and t.strip() for t in each)
        for each in texts.values()
    ):
        raise UsageError(f"{shape}; a value has no prompt")
    return Question(
        name=name,
        attribute=str(entry.get("attribute", name)),
        prompts={value: tuple(each) for value, each in texts.items()},
        where={str(key): str(value) for key, value in where.items()},
    )
