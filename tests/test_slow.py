"""The list of slow tests names tests that there are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "tests/slow.txt").read_text(encoding="utf-8").splitlines()
ENTRIES = [line for line in LINES if not line.startswith("#")]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_a_test(entry):
    file, _, name = entry.partition("::")
    assert (ROOT / file).is_file()
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not name or name.partition("[")[0] in names


def test_entries_stand_once_and_sorted():
    assert sorted(set(ENTRIES)) == ENTRIES
