"""What docs/segmentation.md says to type is typed here, on bundles with random weights."""

import re
import shlex
from pathlib import Path

import pytest

from clipnerf.cli import main
from clipnerf.config.parse import parse
from tests.test_readme import draw_photo
from tests.tiny_bundle import tiny_bundle, tiny_parts

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "segmentation.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(clipnerf .+)$", PAGE, flags=re.MULTILINE)
SHORT = [c for c in COMMANDS if c.split()[1] in ("segment", "edit", "orbit")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name, noun in (("chairs", "chair"), ("cars", "car")):
        folder = root / "data/pretrained" / name
        folder.mkdir(parents=True)
        tiny_parts(tiny_bundle(folder, 3), noun)
    draw_photo(root / "photo.png")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert parse(shlex.split(command)[1:]).verb.name


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen", "ignore:the segmenter never met")
@pytest.mark.parametrize("command", SHORT)
def test_the_commands_run(command, checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    quicker = {"edit": ["--size", "16"], "orbit": ["--size", "16", "--frames", "3"]}
    words = shlex.split(command)[1:]
    assert main([*words, *quicker.get(words[0], [])]) == 0, capsys.readouterr().err
    assert Path(words[words.index("--out") + 1]).stat().st_size > 0


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen", "ignore:the segmenter never met")
def test_the_python_example_runs(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    example = re.search(r"```python\n(.+?)```", PAGE, flags=re.DOTALL).group(1)
    names: dict = {}
    exec(compile(example, "segmentation.md", "exec"), names)
    assert len(names["both"].layers) == 2 and names["mask"].shape == (2, 1, 64, 64)
    assert all(len(names[some].layers) == 1 for some in ("seat", "above", "paint"))
