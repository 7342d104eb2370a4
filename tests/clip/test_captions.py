"""Words in use, held-out objects, and which caption stands for a picture."""

import pytest
import torch

from clipnerf.clip.captions import (
    UNKNOWN,
    Chooser,
    Vocabulary,
    choose,
    held_out,
    into_templates,
    order_of,
)
from clipnerf.data.records import Record
from clipnerf.errors import UsageError


def test_vocabulary_keeps_the_order_and_hides_the_rest() -> None:
    vocabulary = Vocabulary(torch.tensor([[49406, 320, 736, 49407, 0]]))
    tokens = torch.tensor([[49406, 736, 999, 320, 49407, 0]])
    assert vocabulary.compress(tokens).tolist() == [[4, 3, UNKNOWN, 2, 5, 0]]
    assert len(vocabulary) == 6
    # The table's rows, put back to the tokens' own numbers.
    assert vocabulary.compress(vocabulary.ids).tolist() == vocabulary.table_rows().tolist()


def test_held_out_objects_are_never_learned_from() -> None:
    records = [Record(f"{i}.png", object_id=f"o{i // 4}") for i in range(80)]
    learned, held = held_out(records, 0.2, seed=3)
    assert len(held) == 16 and sorted(learned + held) == list(range(80))
    assert not {records[i].object_id for i in learned} & {records[i].object_id for i in held}
    assert held_out(records, 0.2, seed=3) == (learned, held)
    assert held_out(records, 0.2, seed=4) != (learned, held)


def test_too_few_objects() -> None:
    with pytest.raises(UsageError, match="object_id"):
        held_out([Record(f"{i}.png", object_id="the only one") for i in range(9)], 0.1, 0)


def test_every_picture_once_before_any_twice() -> None:
    seen = [i for step in range(5) for i in order_of(10, 4, step, seed=0)]
    assert sorted(seen[:10]) == list(range(10)) and sorted(seen[10:]) == list(range(10))


def test_captions_differ_within_a_set_and_from_set_to_set() -> None:
    captions = [("a chair", f"chair {i}", f"seat {i}") for i in range(8)]
    first, second, third = choose(captions, 3, seed=1)
    for row in (first, second, third):
        assert len(set(row)) == 8
        assert all(text in own for text, own in zip(row, captions, strict=True))
    assert first != second
    assert choose([("the same",)] * 3, 1, seed=0) == [["the same"] * 3]


def test_a_theme_picks_the_captions_that_speak_of_it() -> None:
    captions = [
        (f"a {color} chair", f"{arms} its arms", f"a {back} back")
        for color, arms, back in [("red", "with", "low"), ("blue", "without", "high")] * 8
    ]
    chooser = Chooser(captions)
    for seed in range(12):
        row = chooser.themed(captions, seed)
        about = [next(w for w in ("arms", "back", "chair") if w in text) for text in row]
        assert len(set(about)) == 1, row
    assert len({chooser.themed(captions, seed)[0] for seed in range(12)}) > 1


def test_templates_are_put_around_a_share_of_the_captions() -> None:
    texts = [f"caption {i}" for i in range(400)]
    put = into_templates(texts, 0.25, seed=5)
    changed = [new for old, new in zip(texts, put, strict=True) if new != old]
    assert 60 < len(changed) < 140
    assert all(old in new for old, new in zip(texts, put, strict=True))
    assert into_templates(texts, 0.0, seed=5) == texts
