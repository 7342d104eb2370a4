"""The examples run, in small: the notebook cell by cell, the script on both kinds of pictures."""

import ast
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "edit_and_film.ipynb"
SMALL = ["--steps", "2", "--size", "32", "--batch", "4", "--threads", "1"]
SMALL += ["--discriminator.patch", "16", "--discriminator.width", "4", "--device", "cpu"]


def script(*words):
    main = runpy.run_path(str(ROOT / "examples" / "train_on_your_photos.py"))["main"]
    return main(list(words))


def check(out):
    names = {path.name for path in out.iterdir()}
    assert {"generator.safetensors", "objects.png", "orbit.mp4"} <= names
    with Image.open(out / "objects.png") as sheet:
        assert sheet.width > 4 * 32 and sheet.height > 4 * 32


def test_the_script_draws_pictures_of_its_own(tmp_path, capsys):
    out = script("--out", str(tmp_path / "run"), "--count", "24", *SMALL)
    check(out)
    captured = capsys.readouterr()
    assert "$ clipnerf pretrain" in captured.err and "orbit.mp4" in captured.out


def test_the_script_takes_a_folder_and_stops_at_a_bad_one(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        pixels = np.full((40, 40, 3), 255, np.uint8)
        pixels[8:32, 12 : 20 + number] = (20 * number, 60, 200)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    check(script("--photos", str(photos), "--out", str(tmp_path / "run"), *SMALL))
    with pytest.raises(SystemExit) as end:
        script("--photos", str(tmp_path / "none"), "--out", str(tmp_path / "other"), *SMALL)
    assert end.value.code and not (tmp_path / "other").exists()


def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_kept_without_outputs():
    for cell in cells():
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.filterwarnings("ignore:.*reconstructed poorly")
def test_every_cell_of_the_notebook_runs_and_shows_something(monkeypatch, tmp_path):
    """As a notebook would run them: of each cell the last expression is shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIPNERF_QUICK", "1")
    names: dict = {}
    shown = []
    for number, cell in enumerate(c for c in cells() if c["cell_type"] == "code"):
        tree = ast.parse("".join(cell["source"]), f"cell {number}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
            shown.append(value)
            rich = [getattr(value, f"_repr_{kind}_", None) for kind in ("png", "html")]
            content = [made() for made in rich if made is not None]
            assert value is None or content and all(content), f"cell {number} shows {value!r}"
    assert sum(hasattr(value, "_repr_png_") for value in shown) >= 3
    assert sum("video/mp4" in getattr(v, "_repr_html_", str)() for v in shown) >= 2
