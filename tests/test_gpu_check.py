"""scripts/gpu_check.sh: what can be tried of it without a GPU, and with few packages."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"

# What an image with PyTorch does not commonly have.
UNCOMMON = (
    "beartype",
    "docstring_parser",
    "embreex",
    "imageio_ffmpeg",
    "jsonargparse",
    "open_clip",
    "torchvision",
    "trimesh",
)
BARE = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {UNCOMMON}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    given = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment}
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def check():
    """The Python part as a module."""
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "scripts" / "gpu_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_folder_it_says_how_it_is_called():
    done = run()
    assert done.returncode == 2 and "usage: bash scripts/gpu_check.sh OUT" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_stops_at_once_and_says_so(tmp_path):
    done = run(str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout.strip().startswith("gpu_check: torch sees no CUDA device")


def test_all_steps_together_stay_under_nine_minutes(check):
    assert max(check.STEPS.values()) < check.TOGETHER <= 9 * 60 - 10


def test_the_time_for_all_steps_cuts_the_last_ones_short(check, tmp_path, monkeypatch, capsys):
    steps = tmp_path / "steps.py"
    steps.write_text("import time; time.sleep(30)\n")
    monkeypatch.setattr(check, "__file__", str(steps))
    monkeypatch.setattr(check, "TOGETHER", 2)
    options = type("Options", (), {"out": tmp_path, "cpu": True, "quick": False})
    start = time.monotonic()
    assert check.run_all(options) == 1
    assert time.monotonic() - start < 2 + len(check.STEPS) * 1.5
    assert capsys.readouterr().out.count("not done after 1 s") >= len(check.STEPS) - 1


def test_every_test_it_names_is_there(check):
    assert all((ROOT / name).is_file() for name in check.TESTS)


def test_the_modules_it_uses_import_with_common_packages_alone(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BARE)
    code = (
        "import clipnerf.commands.pretrain, clipnerf.commands.bench.report\n"
        "import clipnerf.editor, jaxtyping\n"
        "assert 'stand_ins' in jaxtyping.__file__\n"
        "try:\n    import open_clip\nexcept ImportError:\n    print('bare')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "scripts" / "stand_ins"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "bare\n", done.stderr[-800:]


def test_a_step_that_fails_or_is_skipped_is_counted_and_named(check, tmp_path, monkeypatch, capsys):
    # machine runs as it is; the others are made to fail, to lack something, and to take too long
    steps = tmp_path / "steps.py"
    steps.write_text(
        "import pathlib, sys, time\n"
        "step, out = sys.argv[1], pathlib.Path(sys.argv[2])\n"
        "if step == 'bench': print('measuring: no video, since x'); sys.exit(0)\n"
        "if step == 'tests': (out / 'tests.skipped').write_text('pytest is not installed')\n"
        "if step == 'profile': print('why it failed'); sys.exit(3)\n"
        "if step == 'training': time.sleep(60)\n"
    )
    monkeypatch.setattr(check, "__file__", str(steps))
    monkeypatch.setattr(check, "STEPS", dict.fromkeys(check.STEPS, 2))
    options = type("Options", (), {"out": tmp_path, "cpu": True, "quick": False})
    assert check.run_all(options) == 1
    lines = capsys.readouterr().out.splitlines()
    starts = [line.partition(" (")[0] for line in lines if not line.startswith("    ")]
    assert starts == [
        "PASS machine",
        "SKIP tests",
        "PASS bench",
        "SKIP video, since x",
        "FAIL training",
        "FAIL profile",
        "gpu_check: 2 passed, 2 failed, 2 skipped",
    ]
    assert "    why it failed" in lines
    assert any("not done after 2 s" in line for line in lines)


def test_the_machine_is_described(check, tmp_path):
    options = type("Options", (), {"out": tmp_path, "cpu": True, "quick": True})
    check.machine(options)
    found = json.loads((tmp_path / "machine.json").read_text())
    assert (
        found["versions"]["torch"].partition("+")[0] in torch.__version__ and "hash grid" in found
    )


def test_the_preset_is_read_without_the_command_line(check):
    config = check.preset(data={"path": "x"}, steps=7)
    assert (config.steps, config.data.path, config.data.size) == (7, "x", 256)
    assert config.generator.box == [0.65, 0.65, 0.9]
    config.validate()


def test_pictures_come_from_the_bundle(check, tmp_path):
    check.draw_pictures(tmp_path / "pictures", 2, torch.device("cpu"))
    from clipnerf.data.dataset import PictureDataset

    data = PictureDataset(tmp_path / "pictures", 64)
    assert len(data) == 2
    assert 0.02 < float((data.batch([0, 1]) < 0.9).any(1).float().mean()) < 0.7
