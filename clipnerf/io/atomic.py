"""Files that are either whole or not there.

Everything this project writes goes to a temporary name in the same folder, is flushed to the disk
and then renamed, so that a crash, a full disk or a kill leaves the old file or none, never half.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipnerf.errors import ClipNerfError, UsageError

_WAYS_OUT = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space or write elsewhere",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENXIO: "it is a pipe or a device; give the name of a file",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.ENOENT: "a part of the path is a link to nowhere; choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


_HERE = hashlib.sha256(platform.node().encode()).hexdigest()[:4]
_TEMPORARY = re.compile(r"\..*\.(\d{1,10})-([0-9a-f]{4})[0-9a-f]{8}\.tmp(\..*)?", re.DOTALL)
"""A temporary's process and machine."""
_ABANDONED_S = 86_400
"""Nobody writes for so long; only by this are those of other machines, or of a PID that has been
given away again, known to be left."""
_SWEPT: dict[Path, float] = {}


def cannot_write(path: str | Path, error: OSError) -> ClipNerfError:
    """The one-line error for an ``OSError`` met while writing ``path``."""
    reason = _WAYS_OUT.get(error.errno or 0)
    if reason is None:
        reason = f"{error.strerror or error}; check the path and the disk"
    return ClipNerfError(f"cannot write {str(path)!r}: {reason}")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it becomes ``path``, else it is removed.

    The temporary name keeps the suffix of ``path``, because writers choose the format by it.
    Missing parent folders are made, and what killed processes left in the folder is removed.

    Raises:
        ClipNerfError: no space, not writable, or a parent that cannot be made; one line.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_abandoned(path.parent)
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        # What the body could not *read* is not ours to explain.
        if error.filename is None or _is_ours(str(error.filename), path, temporary):
            raise cannot_write(path, error) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Flushes a file, or a folder's list of names, from the system's memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; the rename itself has been done.
        if not (Path(path).is_dir() and error.errno in (errno.EINVAL, errno.EBADF)):
            raise
    finally:
        os.close(descriptor)


def sweep_temporaries(folder: str | Path) -> None:
    """Removes what a killed process left behind in ``folder``; only for a folder one owns."""
    for left in Path(folder).glob(".*.tmp*"):
        with suppress(OSError):
            left.unlink()


def writable_dir(path: str | Path) -> Path:
    """Makes the folder ``path`` where it is missing and makes sure a file can be written in it.

    Raises:
        UsageError: one line that names the path and the reason.
    """
    path = Path(path)
    probe = _temporary(path / "probe")
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(str(cannot_write(path, error))) from error
    return path


def check_writable(path: str | Path, *, file: bool) -> None:
    """Asks whether a file, or a folder for files, can be made; makes neither, nor what is missing
    above it. Probes of killed processes are removed.

    Raises:
        UsageError: one line that names the path and the reason.
    """
    path = Path(path)
    try:
        if len(os.fsencode(path.name)) > 255:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
        if file and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if file and path.exists() and not path.is_file():
            raise FileExistsError(errno.ENXIO, "it is a pipe or a device", str(path))
        there = path.parent if file else path
        while not os.path.lexists(there) and there != there.parent:
            there = there.parent
        _sweep_abandoned(there)
        probe = _temporary(there / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(str(cannot_write(path, error))) from error


def writable_file(path: str | Path) -> Path:
    """The path of a file that can be written; nothing is made yet, see :func:`check_writable`.

    Raises:
        UsageError: it cannot be; or the path itself is a folder.
    """
    path = Path(path)
    if len(os.fsencode(path.name)) <= 255 and path.is_dir():
        raise UsageError(f"'{path}' is a folder; give another --out")
    check_writable(path, file=True)
    return path


def _temporary(path: Path) -> Path:
    own = f"{os.getpid()}-{_HERE}{secrets.token_hex(4)}"
    return path.with_name(f".{path.stem[:32]}.{own}.tmp{path.suffix}")  # within 255 bytes


def _sweep_abandoned(folder: Path) -> None:
    """Removes temporaries of processes that are no more; once a second, for large folders."""
    now = time.monotonic()
    if now - _SWEPT.get(folder, -1.0) < 1:
        return
    _SWEPT[folder] = now
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            named = _TEMPORARY.fullmatch(entry.name)
            if named and _is_abandoned(entry, int(named[1]), named[2]):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry[str], process: int, machine: str) -> bool:
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_S:
        return True
    if machine != _HERE or os.name == "nt":  # there, asking for a process may end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # somebody else's
        pass
    return False


def _is_ours(filename: str, path: Path, temporary: Path) -> bool:
    named = Path(filename)
    return named in (path, temporary) or named in path.parents
