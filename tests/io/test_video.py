"""Videos: exact number and size of frames, and nothing half-written."""

import base64
import errno
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest

from clipnerf.cli import main
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io import video
from clipnerf.io.video import read_video, write_video


def _frames(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    frames = np.full((count, height, width, 3), 255, np.uint8)
    for number, frame in enumerate(frames):
        frame[:, : width // 2, number % 3] = 0
    return list(frames)


@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 32, 32), (7, 34, 70), (25, 2, 18), (48, 64, 128)]
)
def test_number_and_size_of_frames_are_exact(tmp_path, count, height, width):
    path = write_video(tmp_path / "a.mp4", iter(_frames(count, height, width)), fps=24)
    assert read_video(path).shape == (count, height, width, 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_colors_survive(tmp_path):
    frames = _frames(3)
    decoded = read_video(write_video(tmp_path / "a.mp4", frames, fps=12.5))
    # away from the edge, where 2 x 2 pixels share their color
    difference = np.abs(decoded.astype(int) - np.stack(frames).astype(int))[:, :, 2:20]
    assert difference.max() < 12


def test_makes_missing_folders(tmp_path):
    assert write_video(tmp_path / "x" / "y" / "a.mp4", _frames(2)).is_file()


@pytest.mark.parametrize("size", [(33, 32), (32, 33)])
def test_odd_size_is_refused(tmp_path, size):
    with pytest.raises(UsageError, match=r"is 33; H.264 .* use 32 or 34"):
        write_video(tmp_path / "a.mp4", _frames(2, *size))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frame"),
        ([*_frames(2), *_frames(1, 64, 64)], "frame 2 .* one size"),
        ([np.zeros((32, 32, 3), np.float32)], "uint8"),
        ([np.zeros((32, 32), np.uint8)], "uint8"),
    ],
)
def test_bad_frames_leave_nothing(tmp_path, frames, message):
    with pytest.raises(UsageError, match=message):
        write_video(tmp_path / "a.mp4", iter(frames))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_fps_out_of_range(tmp_path, fps):
    with pytest.raises(UsageError, match="fps is"):
        write_video(tmp_path / "a.mp4", _frames(2), fps=fps)


def test_only_mp4(tmp_path):
    with pytest.raises(UsageError, match="only .mp4"):
        write_video(tmp_path / "a.gif", _frames(2))


def test_a_failing_renderer_keeps_the_old_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", _frames(5))
    old = path.read_bytes()

    def failing():
        yield from _frames(2)
        raise RuntimeError("renderer broke")

    with pytest.raises(RuntimeError, match="renderer broke"):
        write_video(path, failing())
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_unwritable_path_is_found_before_the_first_frame(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    def frames():
        pytest.fail("a frame was asked for")
        yield

    with pytest.raises(ClipNerfError, match="file"):
        write_video(tmp_path / "file" / "a.mp4", frames())


def test_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(video.imageio, "get_writer", full)
    with pytest.raises(ClipNerfError, match="a.mp4") as caught:
        write_video(tmp_path / "a.mp4", _frames(2))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_lost_frames_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_count_frames", lambda path: 1)
    with pytest.raises(ClipNerfError, match="holds 1 of 2 frames"):
        write_video(tmp_path / "a.mp4", _frames(2))
    assert not list(tmp_path.iterdir())


def test_reading_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UsageError, match="cannot be read as a video"):
        read_video(tmp_path / "a.mp4")


def test_a_film_is_a_path_that_plays_in_a_notebook(tmp_path, monkeypatch):
    path = tmp_path / "a&b.mp4"
    film = write_video(path, [np.zeros((16, 16, 3), np.uint8)] * 3)
    assert isinstance(film, Path) and film == path and hash(film) == hash(path)
    assert pickle.loads(pickle.dumps(film)) == path and film.read_bytes() == path.read_bytes()
    shown = film._repr_html_()
    content = re.search(r'src="data:video/mp4;base64,([^"]+)"', shown).group(1)
    assert base64.b64decode(content) == path.read_bytes() and "a&amp;b" in shown
    monkeypatch.setattr(video, "LARGEST_SHOWN", 10)
    assert "base64" not in film._repr_html_() and " MB" in film._repr_html_()
    film.unlink()
    assert "not there" in film._repr_html_()


def _ffmpeg(folder, says):
    """A program that answers what it can encode, and can do nothing."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def clumsy(monkeypatch):
    """Puts another ffmpeg in the place of imageio's."""

    def use(program):
        for module in (imageio_ffmpeg, imageio_ffmpeg._io):
            monkeypatch.setattr(module, "get_ffmpeg_exe", lambda: str(program))

    return use


def _missing():
    raise RuntimeError("No ffmpeg exe could be found.\nInstall ffmpeg on your system")


def _unasked():
    pytest.fail("a frame was asked for")
    yield


def test_a_missing_or_poor_ffmpeg_is_found_before_the_first_frame(tmp_path, clumsy, monkeypatch):
    other = " V....D libx265              H.265"
    for program, said in (
        (tmp_path / "none", "ffmpeg is missing"),
        (_ffmpeg(tmp_path, other), "built without libx264"),
        (tmp_path, "ffmpeg is missing"),
    ):
        clumsy(program)
        with pytest.raises(UsageError, match=f"no video can be written: .*{said}.*pip") as caught:
            write_video(tmp_path / "a.mp4", _unasked())
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", _missing)
    with pytest.raises(UsageError, match="No ffmpeg exe could be found. Install"):
        write_video(tmp_path / "a.mp4", _unasked())
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("verb", ["orbit", "morph", "demo", "invert"])
def test_every_verb_asks_for_ffmpeg_before_it_loads_anything(tmp_path, clumsy, capsys, verb):
    clumsy(tmp_path / "none")
    out = {"demo": tmp_path, "invert": tmp_path}.get(verb, tmp_path / "o.mp4")
    options = {"invert": ["none", "photo.png", "--video"], "demo": ["--bundle", "none"]}
    assert main([verb, *options.get(verb, ["none"]), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "no video can be written: ffmpeg is missing" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "said"), [(0, "disk is full"), (10**9, "ffmpeg has ended early")])
def test_an_encoder_that_ends_is_one_line_and_the_disk_is_blamed_if_it_is_full(
    tmp_path, clumsy, monkeypatch, capfd, free, said
):
    clumsy(_ffmpeg(tmp_path, " V....D libx264              H.264"))
    monkeypatch.setattr(video.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    frames = [np.zeros((256, 256, 3), np.uint8)] * 20
    with pytest.raises(ClipNerfError, match=said) as caught:
        write_video(tmp_path / "a.mp4", frames)
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["ffmpeg"]
