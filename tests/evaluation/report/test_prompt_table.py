"""The table of prompts: each by each kind, with a dash for what was not measured."""

from clipnerf.evaluation.report.prompt_table import HEAD, prompt_lines, prompt_rows
from tests.evaluation.report.found import evaluation


def test_every_prompt_by_every_kind():
    rows = prompt_rows(evaluation())
    assert [(row.prompt, row.kind) for row in rows] == [
        (prompt, kind)
        for prompt in ("p", "a red chair", "a wide chair")
        for kind in ("paper", "universal")
    ]
    by_clip, paper, universal = rows[0], rows[2], rows[3]
    assert by_clip.cells() == ["–", "–", "–", "90", "0.20", "–"]
    assert paper.cells() == ["25", "50", "94", "–", "–", "0.94"]
    assert universal.cells() == ["25", "100", "96", "–", "–", "0.96"]
    assert len(HEAD) == len(paper.cells())


def test_for_a_terminal():
    said = prompt_lines(evaluation())
    assert len(said) == 7 and "others stay %" in said[0]
    assert said[3].split() == "a red chair paper 25 50 94 – – 0.94".split()
    assert len(set(map(len, said))) == 1
    assert prompt_lines(evaluation(kinds={})) == []
