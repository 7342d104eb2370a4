"""What docs/inversion.md says to type is typed here, on a bundle with random weights."""

import re
import shlex
from pathlib import Path

import pytest

from clipnerf.cli import main
from clipnerf.config.inversion import InversionConfig
from tests.test_readme import draw_photo
from tests.tiny_bundle import tiny_bundle

PAGE = (Path(__file__).resolve().parents[1] / "docs/inversion.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(clipnerf .+)$", PAGE, flags=re.MULTILINE)
pytestmark = pytest.mark.filterwarnings(
    "ignore:CLIP model .* has never seen", "ignore:.*reconstructed poorly"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    tiny_bundle(root / "data/pretrained/chairs")
    for name in ("photo", "first", "second"):
        draw_photo(root / f"{name}.png")
    return root


def test_the_commands_run_one_after_another(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    quicker = {
        "invert": [f"--inversion.{key}=2" for key in ("rough_steps", "steps", "samples")],
        "edit": ["--size", "16"],
        "orbit": ["--size", "16", "--frames", "3"],
        "train-encoder": ["--dry-run", "--data", "", "--generator", "data/pretrained/chairs"],
        "evaluate": ["--dry-run"],
    }
    used = set()
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        used.add(words[0])
        assert main([*words, *quicker[words[0]]]) == 0, capsys.readouterr().err
        if words[0] in ("edit", "orbit"):
            assert Path(capsys.readouterr().out.split()[-1]).is_file()
    assert {"invert", "edit", "orbit"} <= used


def test_the_python_example_runs(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    example = re.search(r"```python\n(.+?)```", PAGE, flags=re.DOTALL).group(1)
    quick = example.replace('"second.png"])', '"second.png"], QUICK)')
    assert quick != example
    names: dict = {"QUICK": InversionConfig(size=16, starts=1, rough_steps=2, steps=2, samples=2)}
    exec(compile(quick, "inversion.md", "exec"), names)
    assert names["view"].rgb.shape == (2, 3, 16, 16) and len(names["green"]) == 2
