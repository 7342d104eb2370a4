"""Questions about attributes, and how they are answered."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clipnerf.clip.zero_shot import Question, ask, load_questions, questions_from_captions, table
from clipnerf.data.procedural import cars
from clipnerf.data.records import Record
from clipnerf.errors import UsageError

CHAIRS = Path(__file__).parents[2] / "configs" / "zero_shot" / "chairs.yaml"
CARS = CHAIRS.with_name("cars.yaml")


class Words:
    """A CLIP that embeds a text by the color in it."""

    def encode_text(self, texts):
        axes = {"red": 0, "blue": 1, "arms": 2}
        return torch.stack(
            [torch.eye(4)[next((a for w, a in axes.items() if w in t), 3)] for t in texts]
        )


def test_accuracy_by_value_and_where() -> None:
    records = [
        Record(f"{i}.png", attributes={"color": color, "base": base})
        for i, (color, base) in enumerate(
            [("red", "legs"), ("red", "legs"), ("blue", "legs"), ("blue", "none"), ("odd", "legs")]
        )
    ]
    seen_as = torch.eye(4)[[0, 1, 1, 0, 0]]
    prompts = {"red": ("a red chair", "red"), "blue": ("a blue chair",)}
    everywhere, on_legs = ask(
        Words(),
        seen_as,
        records,
        [Question("color", "color", prompts), Question("legs", "color", prompts, {"base": "legs"})],
    )
    assert everywhere.count == 4 and everywhere.accuracy == 0.5 and everywhere.chance == 0.5
    assert everywhere.by_value == {"red": 0.5, "blue": 0.5}
    assert on_legs.count == 3 and on_legs.accuracy == pytest.approx(2 / 3)
    assert "50.0%" in table([everywhere]) and "no attribute" in table([])


def test_where_two_attributes_agree() -> None:
    question = Question("color", "seat", {"red": ("red",)}, {"back": "=seat"})
    assert question.asks(Record("a.png", attributes={"seat": "red", "back": "red"}))
    assert not question.asks(Record("b.png", attributes={"seat": "red", "back": "blue"}))


def test_questions_in_the_captions_own_words() -> None:
    records = [
        Record(
            f"{color}{i}.png",
            texts=(f"a {color} cup", "a cup", f"{color} thing" if i < 2 else f"a {color} cup"),
            attributes={"color": color, "kind": "cup"},
        )
        for color in ("red", "blue")
        for i in range(6)
    ]
    (question,) = questions_from_captions(records)
    assert question.name == "color"
    # "a cup" is said of both, "red thing" too seldom.
    assert question.prompts == {"red": ("a red cup",), "blue": ("a blue cup",)}


def test_the_questions_of_the_chairs() -> None:
    questions = {question.name: question for question in load_questions(CHAIRS)}
    assert set(questions["armrests"].prompts) == {"yes", "no"}
    assert questions["back_low_or_high"].attribute == "back_height"
    assert questions["leg_thickness"].where == {"base": "legs"}
    assert len(questions["seat_color"].prompts) == 10


def test_the_questions_of_the_cars_are_about_what_cars_have_and_in_their_captions_words() -> None:
    rng = np.random.RandomState(0)
    made = [cars.sample(rng).attributes for _ in range(150)]
    said = {cars.caption(a, rng) for a in made for _ in range(30)}
    words = {word for text in said for word in text.split()}
    asked = set()
    for question in load_questions(CARS):
        asked.add(question.attribute)
        assert set(question.prompts) <= set(cars.EDITS[question.attribute])
        for key, value in question.where.items():
            assert value in cars.EDITS[key]
        assert any(question.asks(Record("a.png", attributes=a)) for a in made)
        for prompts in question.prompts.values():
            assert {word for prompt in prompts for word in prompt.split()} <= words
    assert asked == set(cars.EDITS)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "color: red",
        "color: {red: [a]}",
        "color: {red: [], b: [x]}",
        "color: {red: 1, b: [x]}",
        "color: {red: {a: 1}, b: [x]}",
    ],
)
def test_bad_questions(tmp_path: Path, text: str) -> None:
    path = tmp_path / "questions.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="questions.yaml"):
        load_questions(path)
