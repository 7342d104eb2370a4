"""When glibc is told to keep freed memory, and when it is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipnerf import cli
from clipnerf.training import allocator as module
from clipnerf.training import distributed
from clipnerf.training.allocator import (
    SWITCH,
    Allocator,
    keep_freed_memory,
    obstacle,
    set_thresholds,
)

ROOT = Path(__file__).resolve().parents[2]
GLIBC = sys.platform.startswith("linux") and module._glibc() is not None
needs_glibc = pytest.mark.skipif(not GLIBC, reason="needs glibc")
CHOSEN = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", SWITCH)


class Libc:
    """Notes what it is told; refuses what is in ``refused``."""

    def __init__(self, refused=()):
        self.told, self.refused = [], refused

    def mallopt(self, name, value):
        self.told.append((name, value))
        return int((name, value) not in self.refused)

    def gnu_get_libc_version(self):
        return b"2.31"


@pytest.fixture
def fresh(monkeypatch):
    """A process whose user has chosen nothing and that was not told anything yet."""
    for name in [name for name in os.environ if name.startswith(CHOSEN)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(module, "_state", Allocator(False, "not asked for"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(module, "_replaced", lambda: False)


def _libc(monkeypatch, refused=()):
    libc = Libc(refused)
    monkeypatch.setattr(module, "_glibc", lambda: libc)
    return libc


def test_both_thresholds_are_set_once(fresh, monkeypatch):
    libc = _libc(monkeypatch)
    assert keep_freed_memory() == Allocator(True, "glibc 2.31 keeps freed memory")
    assert libc.told == [(-3, 2**30), (-1, -1)]
    assert keep_freed_memory() is module.allocator() and len(libc.told) == 2


def test_an_older_glibc_takes_its_own_limit(fresh, monkeypatch):
    libc = _libc(monkeypatch, refused=[(-3, 2**30)])
    assert keep_freed_memory().keeps
    assert libc.told == [(-3, 2**30), (-3, 2**25), (-1, -1)]


def test_a_refusal_is_said(fresh, monkeypatch):
    _libc(monkeypatch, refused=[(-1, -1)])
    assert keep_freed_memory() == Allocator(False, "glibc 2.31 refused (mallopt)")
    assert not set_thresholds(keep=False)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (SWITCH, "0", f"{SWITCH} is '0'"),
        (SWITCH, "off", f"{SWITCH} is 'off'"),
        ("MALLOC_TRIM_THRESHOLD_", "1", "MALLOC_TRIM_THRESHOLD_ is set"),
        ("MALLOC_CONF", "narenas:1", "MALLOC_CONF is set"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1", "GLIBC_TUNABLES is set"),
    ],
)
def test_what_the_user_has_chosen_is_left_alone(fresh, monkeypatch, name, value, why):
    libc = _libc(monkeypatch)
    monkeypatch.setenv(name, value)
    assert keep_freed_memory() == Allocator(False, why) and libc.told == []


def test_other_settings_are_no_obstacle(fresh, monkeypatch):
    _libc(monkeypatch)
    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.x86_shstk=off")
    assert obstacle() == ""


def test_other_systems_and_allocators_are_left_alone(fresh, monkeypatch):
    libc = _libc(monkeypatch)
    monkeypatch.setattr(module, "_replaced", lambda: True)
    assert "another allocator" in keep_freed_memory().why
    monkeypatch.setattr(module, "_glibc", lambda: None)
    assert "not glibc" in keep_freed_memory().why
    monkeypatch.setattr("sys.platform", "darwin")
    assert "darwin" in keep_freed_memory().why
    assert libc.told == []


def test_measuring_goes_back_and_forth_only_where_memory_is_kept(fresh, monkeypatch):
    libc = _libc(monkeypatch)
    assert not set_thresholds(keep=False) and libc.told == []
    keep_freed_memory()
    libc.told.clear()
    assert set_thresholds(keep=False) and set_thresholds(keep=True)
    assert libc.told == [(-3, 2**25), (-1, 2**26), (-3, 2**30), (-1, -1)]


def test_trainings_and_commands_ask_for_it(fresh, monkeypatch):
    libc = _libc(monkeypatch)
    with distributed.joined("cpu"):
        assert len(libc.told) == 2
    monkeypatch.setattr(module, "_state", Allocator(False, "not asked for"))
    monkeypatch.setattr("clipnerf.commands.doctor.doctor", lambda config: None)
    assert cli.main(["--version"]) == 0 and len(libc.told) == 2
    assert cli.main(["doctor"]) == 0 and len(libc.told) == 4


def _said(code, **chosen):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(CHOSEN)}
    run = [sys.executable, "-c", f"from clipnerf.training import allocator as a\n{code}"]
    return subprocess.run(
        run, cwd=ROOT, env=kept | chosen, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_no_import_asks_for_it():
    code = "import clipnerf.cli, clipnerf.editor, clipnerf.commands.pretrain\n"
    code += "import clipnerf.commands.bench.report\n"
    assert _said(code + "print(a.allocator().why)").startswith("not asked for")


@needs_glibc
def test_freed_memory_is_really_kept():
    """64 MiB, over and over: without, each is mapped anew and faults page by page."""
    code = """
import resource, sys
from ctypes import memset
def faults(rounds=8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        block = a._glibc().malloc(2**26)
        memset(block, 1, 2**26)
        a._glibc().free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
from ctypes import c_size_t, c_void_p
a._glibc().malloc.argtypes, a._glibc().malloc.restype = [c_size_t], c_void_p
a._glibc().free.argtypes = [c_void_p]
found = a.keep_freed_memory()
if not found.keeps: sys.exit(print("left alone:", found.why))
faults(1)
kept = faults()
a.set_thresholds(False)
given_back = faults()
a.set_thresholds(True)
faults(1)
print(kept, given_back, faults())
"""
    said = _said(code)
    if said.startswith("left alone"):
        pytest.skip(said)
    kept, given_back, again = map(int, said.split())
    assert given_back > 100 and kept < given_back / 10 and again < given_back / 10
