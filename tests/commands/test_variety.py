"""The verbs that measure a generator's variety, and train what reads the attributes."""

import json

from clipnerf.cli import main
from clipnerf.gan.generator import Generator
from clipnerf.vision.recognizer import Recognizer
from tests.evaluation.conftest import generator  # noqa: F401
from tests.vision.conftest import recognizer, shapes  # noqa: F401


def test_variety(shapes, recognizer, generator, tmp_path, capsys):  # noqa: F811
    recognizer.save(tmp_path / "r.safetensors")
    generator.save(tmp_path / "g.safetensors")
    files = ["--generator", str(tmp_path / "g.safetensors"), "--data", str(shapes.path)]
    more = ["--recognizer", str(tmp_path / "r.safetensors"), "--samples", "8", "--size", "16"]
    out = tmp_path / "new" / "variety.json"
    assert main(["study", "variety", *files, *more, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "silhouette IoU under appearance 1.0000" in printed
    assert printed.splitlines()[-1] == str(out)
    content = json.loads(out.read_text())
    assert content["protocol"]["generator"] == Generator.load(tmp_path / "g.safetensors").hash
    assert set(content["shares"]["color"]) == {"red", "green", "blue"}
    assert main(["study", "variety", *files, "--recognizer", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_recognizer_is_trained_and_tested(shapes, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "recognizer.safetensors"
    sets = ["--data", str(shapes.path), "--test", str(shapes.path), "--size", "32"]
    few = ["--steps", "2", "--width", "4", "--skip", "form"]
    assert main(["train-recognizer", *sets, *few, "--out", str(out)]) == 0
    assert list(Recognizer.load(out).values) == ["color"]
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("240 held-out pictures") and "color  " in printed


def test_without_pictures_it_is_misuse(tmp_path, capsys):
    for words in (["train-recognizer"], ["study", "variety"]):
        assert main([*words, "--out", str(tmp_path / "new" / "out")]) == 2
        assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "new").exists()
