import errno
import os
import subprocess
import sys

import pytest

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io import atomic
from clipnerf.io.atomic import atomic_write, sweep_temporaries, writable_dir


def test_replaces_the_file_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("one")
        assert temporary.suffix == ".txt" and temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "one"
    with atomic_write(path) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["a.txt"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_while_writing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ClipNerfError, match="a.txt.*disk is full") as caught:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(caught.value, UsageError) and "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_while_flushing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(ClipNerfError, match="disk is full"):
        with atomic_write(path) as temporary:
            temporary.write_text("whole, but not on the disk")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipNerfError, match="a part of the path is a file"):
        with atomic_write(tmp_path / "file" / "a.txt") as temporary:
            temporary.write_text("x")


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ClipNerfError, match="it is a folder"):
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_of_reading_something_else_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        with atomic_write(tmp_path / "a.txt"):
            (tmp_path / "elsewhere").read_text()
    assert os.listdir(tmp_path) == []


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys\n"
        "from clipnerf.io.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)])
    assert killed.returncode == -9
    assert path.read_text() == "old"
    assert len(os.listdir(tmp_path)) == 2
    sweep_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_writable_dir(tmp_path):
    made = writable_dir(tmp_path / "a" / "b")
    assert made.is_dir() and os.listdir(made) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file.*choose another path"):
        writable_dir(tmp_path / "file")
    with pytest.raises(UsageError, match="file.*choose another path"):
        writable_dir(tmp_path / "file" / "deeper")
