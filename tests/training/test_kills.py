"""Every training, killed: `scripts/kill_trainings.py`, but for fewer boundaries and moments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_trainings_resume_to_what_they_would_have_been():
    script = [sys.executable, "scripts/kill_trainings.py", "--boundaries", "1", "--moments", "1"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| pretrain", "| train"))]
    assert len(rows) == 9 and all(row.endswith("| 0 |") for row in rows[1:])
