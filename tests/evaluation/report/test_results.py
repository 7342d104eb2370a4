"""JSON of an evaluation: all figures, and no number that JSON does not know."""

import dataclasses
import json

from clipnerf.evaluation.report.results import plain
from tests.evaluation.report.found import evaluation


def test_there_and_back_without_nan():
    content = plain(evaluation())
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text) == content
    red = content["kinds"]["paper"]["results"][0]
    assert red["changed"] is None and red["has"] == [True, False]
    assert content["kinds"]["universal"]["seconds"] == {"64": 0.2}
    assert content["variety"]["guide"]["shares"]["color"]["red"] == [0.5, 0.1]
    assert set(content) == {field.name for field in dataclasses.fields(evaluation())}
    assert plain({"a": float("inf"), 1: (float("nan"), True)}) == {"a": None, "1": [None, True]}


def test_whose_word_counts():
    assert evaluation().eyes == ["judge", "guide"] and not evaluation().same_judge
    same = evaluation(same_judge=True)
    assert same.same_judge and same.eyes == ["judge"]
    networks = {k: v for k, v in same.networks.items() if k != "judge"}
    alone = evaluation(networks=networks)
    assert alone.eyes == ["guide"] and alone.best_eye == "guide" and not alone.same_judge
