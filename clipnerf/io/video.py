"""H.264 videos. The only home of imageio.

A video is written under a temporary name, counted, and only then renamed: a path either holds
the whole video or what it held before.
"""

from __future__ import annotations

import base64
import errno
import html
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v2 as imageio
import numpy as np
from jaxtyping import UInt8

from clipnerf.config.ranges import Positive, check
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.atomic import atomic_write, cannot_write

FRAMES_AHEAD = 64
"""Frames that may wait for the encoder, and so memory."""

LARGEST_SHOWN = 4_000_000
"""Bytes of a video that a notebook takes into itself."""
LEAST_ROOM = 2**20
"""Free bytes below which a disk counts as full."""

CODEC_OPTIONS = {
    "format": "FFMPEG",
    "codec": "libx264",
    "pixelformat": "yuv420p",
    # 1 switches off imageio's silent resize to a multiple of 16.
    "macro_block_size": 1,
    # what goes wrong is said by us, in one line
    "ffmpeg_log_level": "quiet",
}


# a path knows its system only when it is made: what is inherited from is the system's own
_SystemPath: Any = Path if TYPE_CHECKING else type(Path())


class Film(_SystemPath):
    """The path of a video, which plays where a notebook shows it."""

    def _repr_html_(self) -> str:
        name = html.escape(str(self))
        size = self.stat().st_size if self.is_file() else 0
        if not 0 < size <= LARGEST_SHOWN:
            return f"<code>{name}</code>" + (f", {size / 1e6:.1f} MB" if size else ", not there")
        content = base64.b64encode(self.read_bytes()).decode()
        return (
            f'<video controls loop autoplay muted title="{name}" '
            f'src="data:video/mp4;base64,{content}"></video>'
        )


def check_video_size(height: int, width: int) -> None:
    """UsageError unless both are even: yuv420p stores color for blocks of 2 x 2 pixels."""
    for name, value in (("height", height), ("width", width)):
        check(f"video {name}", value, int)
        if value < 2 or value % 2:
            raise UsageError(
                f"video {name} is {value}; H.264 (yuv420p) needs an even number of pixels; "
                f"use {max(2, value - value % 2)} or {max(2, value + value % 2)}"
            )


def video_problem() -> str:
    """Why no video can be written here; empty where one can."""
    try:
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
        encoders = _encoders(program)
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())[:200]
        return f"ffmpeg is missing ({reason}); pip install imageio-ffmpeg brings it"
    if CODEC_OPTIONS["codec"] in encoders:
        return ""
    return (
        f"{program!r} was built without libx264, which writes H.264; give another ffmpeg by "
        "IMAGEIO_FFMPEG_EXE, or unset that: pip install imageio-ffmpeg brings one"
    )


def check_video_path(path: str | Path) -> Path:
    """The path, if it names an mp4 and videos can be written at all; UsageError otherwise.

    Asked before anything is loaded or rendered.
    """
    check("video path", path, str)
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise UsageError(f"video path is '{path}'; only .mp4 is written; end the name in .mp4")
    if problem := video_problem():
        raise UsageError(f"no video can be written: {problem}")
    return path


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], fps: float | int = 24
) -> Film:
    """Writes exactly the given frames, at exactly their size, as an H.264 mp4.

    The output is opened before the first frame is asked for, so that a path that cannot be
    written is found before a generator of frames does its work.

    Args:
        path: an .mp4 file; its folder is made if need be.
        frames: RGB pictures of one, even size.
        fps: frames a second, above 0.
    Raises:
        UsageError: no mp4, an odd size, frames of several sizes, no frame, fps out of range.
        ClipNerfError: the encoder or the disk failed; nothing is left behind.
    """
    path = check_video_path(path)
    check("fps", fps, Positive)
    with atomic_write(path) as temporary:
        count = _encode(temporary, path, frames, fps)
        written = _count_frames(temporary)
        if written != count:
            raise _encoding_failed(path, f"it holds {written} of {count} frames")
    return Film(path)


def read_video(path: str | Path) -> UInt8[np.ndarray, "frames height width 3"]:
    """All frames of a video, decoded. For short videos: everything is held in memory."""
    try:
        with _reader(path) as reader:
            return np.stack([np.asarray(frame) for frame in reader])
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read as a video ({_first_line(error)})") from error


def _encode(temporary: Path, path: Path, frames: Iterable[np.ndarray], fps: float | int) -> int:
    writer = None
    shape: tuple[int, ...] | None = None
    count = 0
    # a thread feeds the encoder while the next frames are made
    feeder = ThreadPoolExecutor(1)
    fed: deque[Future[None]] = deque()
    try:
        for frame in frames:
            if shape is None:
                if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
                    raise UsageError(
                        f"frame 0 for '{path}' is {frame.dtype} of shape {frame.shape}; "
                        "frames are uint8 of shape (height, width, 3)"
                    )
                check_video_size(frame.shape[0], frame.shape[1])
                shape = frame.shape
                writer = imageio.get_writer(
                    str(temporary),
                    fps=fps,
                    quality=8,
                    output_params=["-f", "mp4"],  # the temporary name may end otherwise
                    **CODEC_OPTIONS,  # type: ignore[arg-type]
                )
            if frame.shape != shape:
                raise UsageError(
                    f"frame {count} for '{path}' has shape {frame.shape}, the first {shape}; "
                    "all frames of a video have one size"
                )
            assert writer is not None
            fed.append(feeder.submit(writer.append_data, frame))
            count += 1
            if len(fed) > FRAMES_AHEAD:
                fed.popleft().result()
        for frame_is_written in fed:
            frame_is_written.result()
        if count == 0:
            raise UsageError(f"no frame was given for '{path}'; a video has at least one")
    except OSError as error:
        raise _encoding_failed(path, f"at frame {count}: {_first_line(error)}") from error
    finally:
        feeder.shutdown(cancel_futures=True)
        if writer is not None:
            writer.close()
    return count


def _encoding_failed(path: Path, reason: str) -> ClipNerfError:
    """The disk's fault where it has no room left; ffmpeg itself does not tell us."""
    if shutil.disk_usage(path.parent).free < LEAST_ROOM:
        return cannot_write(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return ClipNerfError(
        f"'{path}' cannot be encoded ({reason}): ffmpeg has ended early; see that memory is free "
        "and no disk quota used up, and run again"
    )


@cache
def _encoders(program: str) -> frozenset[str]:
    """Names of what an ffmpeg can encode."""
    done = subprocess.run(
        [program, "-hide_banner", "-encoders"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return frozenset(line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 1)


def _count_frames(path: Path) -> int:
    try:
        with _reader(path) as reader:
            return int(reader.count_frames())
    except (OSError, ValueError, RuntimeError):
        return 0


def _reader(path: str | Path) -> Any:
    return imageio.get_reader(str(path), format="FFMPEG")  # type: ignore[arg-type]


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
