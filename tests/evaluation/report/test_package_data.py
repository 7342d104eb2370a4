"""What the page needs beside its modules is installed with them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_templates_are_installed(tmp_path):
    build = ["setup.py", "-q", "egg_info", "-e", tmp_path, "build_py", "-d", tmp_path / "lib"]
    subprocess.run([sys.executable, *map(str, build)], cwd=ROOT, check=True, capture_output=True)
    here = Path("clipnerf/evaluation/report")
    beside = {file.name for file in (ROOT / here).iterdir() if file.suffix not in (".py", "")}
    assert {"page.html", "page.css"} <= beside
    assert beside <= {file.name for file in (tmp_path / "lib" / here).iterdir()}
