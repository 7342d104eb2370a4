"""What docs/editing.md says to type is typed here, on a bundle with random weights."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipnerf.cli import main
from clipnerf.io.video import read_video
from tests.tiny_bundle import tiny_bundle

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(clipnerf .+)$", PAGE, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def checkout(small, tmp_path, monkeypatch) -> Path:
    shutil.copytree(small, tmp_path / "data/pretrained/chairs")
    pixels = np.full((24, 24, 3), 255, np.uint8)
    pixels[4:20, 8:16] = (30, 60, 200)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_shows_every_way():
    assert {command.split()[1] for command in COMMANDS} == {"edit", "orbit", "morph", "export"}
    assert all(any(key in c for c in COMMANDS) for key in ("--prompts", "--image", "--texts"))


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(command, checkout, capsys):
    verb = command.split()[1]
    quicker = ["--resolution", "16"] if verb == "export" else ["--size", "16"]
    quicker += [] if verb in ("edit", "export") else ["--frames", "3"]
    words = shlex.split(command)[1:]
    assert main([*words, *quicker]) == 0, capsys.readouterr().err
    made, asked = Path(capsys.readouterr().out.split()[-1]), Path(words[words.index("--out") + 1])
    if verb == "export" and "0,1" in words:  # a file each
        asked = asked.with_stem(f"{asked.stem}-seed-1")
    assert made == asked and made.stat().st_size > 0


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_the_python_example_runs(checkout):
    example = re.search(r"```python\n(.+?)```", PAGE, flags=re.DOTALL).group(1)
    quick = re.sub(r'(editor\.morph\(.+mp4")\)', r"\1, frames=4, size=16)", example)
    assert quick.count("frames=4") == 2
    names: dict = {}
    exec(compile(quick, "editing.md", "exec"), names)
    assert read_video(checkout / "objects.mp4").shape == (4, 16, 16, 3)
    assert read_video(checkout / "edits.mp4").shape == (4, 16, 48, 3)
    assert len(names["way"]) == 9
    codes, edited = names["codes"], ("red", "each", "both", "like", "also", "less", "high")
    assert all(len(names[name]) == len(codes) == 3 for name in edited)
