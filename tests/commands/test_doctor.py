import importlib

import pytest

from clipnerf.cli import main
from clipnerf.commands import doctor as module
from clipnerf.commands.doctor import doctor
from clipnerf.config.machine import DoctorConfig
from clipnerf.fields.hash_grid import Choice
from clipnerf.training import allocator
from clipnerf.training.allocator import Allocator


def _finding(report, name):
    return next(finding for finding in report.findings if finding.name == name)


def _without(monkeypatch, name, error):
    real = importlib.import_module

    def fake(asked, *rest):
        if asked == name:
            raise error
        return real(asked, *rest)

    monkeypatch.setattr(module.importlib, "import_module", fake)


def test_a_missing_bundle_is_a_finding_not_an_error(tmp_path, capsys):
    report = doctor(DoctorConfig(bundle=str(tmp_path / "none")))
    assert not report.ok
    bundle = _finding(report, "bundle")
    assert bundle.state == "!!" and "none' does not exist" in bundle.says and bundle.advice
    names = {finding.name for finding in report.findings}
    assert {"python", "torch", "cpu", "threads", "memory", "cuda"} <= names
    assert {"open_clip", "embreex", "ffmpeg", "disk"} <= names
    assert all("\n" not in line for line in report.lines())
    assert main(["doctor", "--bundle", str(tmp_path / "none")]) == 1
    assert "!! bundle" in capsys.readouterr().out


def test_a_broken_bundle_says_what_is_wrong(tmp_path):
    (tmp_path / "generator.safetensors").write_bytes(b"half")
    bundle = _finding(doctor(DoctorConfig(bundle=str(tmp_path))), "bundle")
    assert bundle.state == "!!" and "generator.safetensors" in bundle.says


@pytest.mark.parametrize(
    ("error", "says", "advice"),
    [
        (ModuleNotFoundError("No module", name="tinycudann"), "not installed", "not needed"),
        (ImportError("undefined symbol: x"), "undefined symbol", "built for another torch"),
        (OSError("Unknown compute capability"), "Unknown compute", "compute capability"),
    ],
)
def test_tinycudann_fails_in_several_ways(monkeypatch, error, says, advice):
    _without(monkeypatch, "tinycudann", error)
    finding = module._tinycudann()
    assert finding.state == "--" and says in finding.says and advice in finding.advice


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    _without(monkeypatch, "embreex", ImportError("No module named 'embreex'"))
    finding = module._package("embreex", "embreex", "embreex")
    assert finding.state == "!!" and finding.advice == "pip install embreex"


def test_little_space_is_only_a_hint(monkeypatch):
    usage = type("Usage", (), {"free": 1e9})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    finding = module._disk()
    assert finding.state == "--" and "1.0 GB free" in finding.says


def test_the_backend_of_the_field_is_said_with_its_reason(monkeypatch):
    choice = "clipnerf.fields.hash_grid.choose"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(choice, lambda *_: Choice("native", "avx2 on the CPU"))
    finding = _finding(doctor(DoctorConfig()), "field")
    assert finding.state == "ok" and finding.says == "native (avx2 on the CPU)"
    monkeypatch.setattr(choice, lambda *_: Choice("torch", "on the CPU; native: not built"))
    finding = module._field()
    assert finding.state == "--" and "install a C compiler" in finding.advice
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(choice, lambda *_: Choice("torch", "triton is broken"))
    finding = module._field()
    assert finding.state == "--" and finding.says == "torch (triton is broken)"
    assert "mend one" in finding.advice


def test_the_allocator_is_said_with_its_reason(monkeypatch):
    monkeypatch.setattr(allocator, "_state", Allocator(True, "glibc 2.36 keeps freed memory"))
    finding = module._memory()
    assert finding.state == "ok" and "glibc 2.36 keeps" in finding.says
    assert "CLIPNERF_MALLOC=0" in finding.says
    monkeypatch.setattr(allocator, "_state", Allocator(False, "MALLOC_CONF is set"))
    finding = module._memory()
    assert finding.state == "--" and finding.says.endswith("MALLOC_CONF is set")


@pytest.mark.parametrize(
    ("threads", "policy", "load", "state"),
    [(2, "", 7.0, "--"), (2, "", 0.5, "ok"), (2, "PASSIVE", 7.0, "ok"), (1, "", 7.0, "ok")],
)
def test_threads_that_spin_on_a_busy_machine_are_said(monkeypatch, threads, policy, load, state):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr(module, "_cores", lambda: 2)
    monkeypatch.setattr(module.os, "getloadavg", lambda: (load, load, load), raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    finding = module._threads()
    assert finding.state == state and bool(finding.advice) == (state == "--")
