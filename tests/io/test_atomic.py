import errno
import os
import subprocess
import sys
import time

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


def _dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_goes_with_the_next_file_in_the_folder(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from clipnerf.io.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("o.mp4", "a b.tar.gz", "plain"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)])
        assert len(os.listdir(tmp_path)) == 1  # its own; what the one before it left is gone
    with atomic_write(tmp_path / "e.png") as temporary:
        temporary.write_text("e")
    assert os.listdir(tmp_path) == ["e.png"]


def test_nothing_else_is_swept(tmp_path):
    """A process at work, another machine's, and whatever only looks like a temporary of ours."""
    here, dead = atomic._HERE, _dead()
    other = "0000" if here != "0000" else "1111"
    kept = [
        f".o.{os.getpid()}-{here}01234567.tmp.mp4",
        f".o.{dead}-{other}01234567.tmp.mp4",
        f"o.{dead}-{here}01234567.tmp.mp4",
        f".o.{dead}-{here}0123456.tmp.mp4",
        f".o.{dead}.tmp.mp4",
        ".hidden",
        ".tmp",
    ]
    gone = [f".o.{dead}-{here}01234567.tmp.mp4", f".o.{os.getpid()}-{other}89abcdef.tmp"]
    for name in kept + gone:
        (tmp_path / name).touch()
    os.utime(tmp_path / gone[1], (0, 0))  # nobody writes for so long
    with atomic_write(tmp_path / "e.png") as temporary:
        temporary.write_text("e")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "e.png"])


def test_a_folder_of_thousands_is_looked_through_once(tmp_path, monkeypatch):
    looked, scandir = [], os.scandir
    monkeypatch.setattr(atomic.os, "scandir", lambda folder: looked.append(1) or scandir(folder))
    monkeypatch.setattr(atomic.time, "monotonic", lambda: 100.0)
    for number in range(20):
        with atomic_write(tmp_path / f"{number}.png") as temporary:
            temporary.write_text("x")
    assert len(looked) == 1


def test_sigterm_while_a_video_is_written_leaves_nothing(tmp_path):
    code = (
        "import sys, time\n"
        "import numpy as np\n"
        "from clipnerf.commands import demo\n"
        "from clipnerf.io.video import write_video\n"
        "def frames():\n"
        "    for number in range(10000):\n"
        "        yield np.full((32, 32, 3), number % 255, np.uint8)\n"
        "        time.sleep(0.01)\n"
        "demo.demo = lambda config: write_video(sys.argv[1], frames())\n"
        "from clipnerf.cli import main\n"
        "sys.exit(main(['demo']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "o.mp4")], stderr=-1)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".o.*.tmp.mp4")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143 and said == b"clipnerf: terminated\n"
    assert os.listdir(tmp_path) == []


def test_a_name_as_long_as_names_may_be(tmp_path):
    name = "a" * 251 + ".txt"
    atomic.writable_file(tmp_path / name)
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert (tmp_path / name).read_text() == "x"
    with pytest.raises(UsageError, match="the name is too long; choose a shorter one"):
        atomic.writable_file(tmp_path / f"a{name}")


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="it is a pipe or a device"):
        atomic.writable_file(tmp_path / "pipe")
