"""The table: each target is met at its bound and missed below it; nobody judges himself."""

from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.report.table import lines, rows
from tests.evaluation.report.found import evaluation


def test_met_by_one_kind_and_missed_by_the_other():
    table = rows(evaluation())
    edits = [row for row in table if "paper" in row.values]
    targeted = [row for row in edits if any(v is not None for v in row.met.values())]
    assert len(targeted) == 15
    for row in targeted:
        assert row.met == {"paper": False, "universal": True}, row
        assert row.target and (row.mark("paper"), row.mark("universal")) == ("missed", "met")
    assert len({row.name for row in table}) == len(table)


def test_the_bundle_beside_its_baseline():
    table = {row.name.strip(): row for row in rows(evaluation())}
    assert table["bundle over baseline"].values == {"bundle": 0.02 / 0.2}
    assert table["bundle over baseline"].met == {"bundle": True}
    assert table["silhouette IoU under appearance swaps"].met == {"bundle": True}
    assert table["values that come less than half as often as in the data"].cell("bundle") == "1"
    without = {row.name.strip() for row in rows(evaluation(entangled=None))}
    assert not any("baseline" in name for name in without)


def test_a_judge_that_is_the_guide_decides_nothing_on_matching():
    table = rows(evaluation(same_judge=True))
    matching = [row for row in table if row.name.startswith("5-way")]
    assert len(matching) == 2 and all(row.met == dict.fromkeys(row.values) for row in matching)
    assert all("(= guide)" in row.name and "no independent judge" in row.note for row in matching)
    assert not any(row.name.endswith("by the guide") for row in table)


def test_what_was_not_measured_is_a_dash_or_no_line():
    found = evaluation(kinds={"paper": KindFigures(), "universal": evaluation().kinds["paper"]})
    row = next(row for row in rows(found) if row.name == "others stay, colors")
    assert row.cell("paper") == "–" and row.mark("paper") == "" and row.met["paper"] is None
    assert "floor, no edit: 0.980; recolored, of shape: 0.970" in row.note
    none = evaluation(kinds={"paper": KindFigures()})
    assert all("bundle" in row.values for row in rows(none))


def test_the_terminal_shows_columns_side_by_side():
    said = lines(evaluation())
    assert said[0].split() == ["bundle", "paper", "universal", "target"]
    (line,) = [line for line in said if line.startswith("others stay, shapes")]
    assert line.split()[3:9] == ["0.890", "missed", "0.910", "met", "at", "least"]
