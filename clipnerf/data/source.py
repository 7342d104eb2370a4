"""Where pictures lie: a folder, or a zip that is read in place."""

import errno
import io
import os
import posixpath
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from clipnerf.errors import ClipNerfError, UsageError, printable

File = io.BufferedReader | io.BytesIO

MOST_BYTES = 2**29
"""Length of a file, unpacked, that is read."""

_PEEK = 4096
# What systems put beside pictures; names that begin with a dot are hidden as well.
_NOT_OURS = {
    "__macosx",
    "@eadir",
    "#recycle",
    "@recycle",
    "$recycle.bin",
    "lost+found",
    "system volume information",
}
_REASONS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.ENAMETOOLONG: "has too long a name",
    errno.EACCES: "cannot be read: permission denied",
    errno.ELOOP: "is a link that leads to itself",
}


class BrokenPicture(ClipNerfError):
    """A file that is named like a picture and cannot be decoded; the message is the reason."""


class Source:
    """The files below a folder or inside a zip, by their names relative to its root.

    Hidden files, and what macOS, Windows and NAS systems put beside pictures, are left out. Links
    are followed, into each folder once. Safe to use in DataLoader workers: each process opens the
    zip for itself.
    """

    def __init__(self, path: object) -> None:
        """Raises UsageError where `path` is none, is missing, or is neither folder nor zip."""
        self.path = path_of(path, "the set of pictures", "give a folder or a zip of pictures")
        self._zip: tuple[int, zipfile.ZipFile, dict[str, zipfile.ZipInfo]] | None = None
        found, shown = status(self.path), shortened(self.path)
        if isinstance(found, str):
            raise UsageError(f"{shown} {found}; give a folder or a zip of pictures")
        self.is_zip = stat.S_ISREG(found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            return
        if not self.is_zip:
            raise UsageError(f"{shown} is neither a folder nor a zip; give a folder of pictures")
        try:
            if zipfile.is_zipfile(self.path):
                return
            with self.path.open("rb") as file:
                torn = file.read(4) == b"PK\3\4"
        except OSError as error:
            raise UsageError(f"{shown} {_reason(error)}; give a folder of pictures") from error
        if torn:
            raise UsageError(f"{shown} is a zip that was cut off; copy or download it again")
        raise UsageError(f"{shown} is neither a folder nor a zip; give a folder of pictures")

    def names(self) -> list[str]:
        """All files, sorted. Raises UsageError: a folder that cannot be listed."""
        if self.is_zip:
            return sorted(self._archive()[1])
        return sorted(self._walked())

    def open(self, name: str) -> File:
        """A seekable file. From a zip it is unpacked into memory, which checks its CRC.

        Raises:
            BrokenPicture: longer than MOST_BYTES, no regular file, or one that cannot be unpacked.
            OSError: of a file in a folder.
        """
        length = self.size(name)
        if length > MOST_BYTES:
            raise BrokenPicture(f"is {length >> 20:,} MB long; allowed: {MOST_BYTES >> 20} MB")
        if not self.is_zip:
            return (self.path / name).open("rb")
        archive, infos = self._archive()
        try:
            with archive.open(infos[name]) as file:
                return io.BytesIO(file.read(MOST_BYTES + 1))
        # Decompressors raise errors of their own.
        except Exception as error:
            raise BrokenPicture(f"cannot be unpacked ({error})") from error

    def head(self, name: str, length: int) -> bytes:
        """The first bytes of a file; none of one that cannot be read."""
        try:
            if self.is_zip:
                archive, infos = self._archive()
                with archive.open(infos[name]) as packed:
                    return packed.read(length)
            self.size(name)
            with (self.path / name).open("rb") as file:
                return file.read(length)
        # Decompressors raise errors of their own.
        except Exception:
            return b""

    def size(self, name: str) -> int:
        """Length in bytes. Raises BrokenPicture: no regular file, which could never end."""
        if self.is_zip:
            return self._archive()[1][name].file_size
        found = (self.path / name).stat()
        if not stat.S_ISREG(found.st_mode):
            raise BrokenPicture("is no regular file")
        return found.st_size

    def identity(self, name: str) -> bytes:
        """A cheap witness of a file's contents: its length, and its CRC or its two ends."""
        if self.is_zip:
            info = self._archive()[1][name]
            return f"{info.file_size} {info.CRC}".encode()
        with self.open(name) as file:
            head = file.read(_PEEK)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - _PEEK))
            return f"{length} ".encode() + head + file.read()

    def _archive(self) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        """The zip, and its entries by name; of two of one name the last, as unzip has it."""
        if self._zip is None or self._zip[0] != os.getpid():
            try:
                archive = zipfile.ZipFile(self.path)
            # Of damaged directories many kinds of error come.
            except Exception as error:
                raise UsageError(f"{self.path} is not a readable zip ({error})") from error
            named = {_entry_name(info): info for info in archive.infolist()}
            kept = {name: info for name, info in named.items() if name and not _hidden(name)}
            self._zip = (os.getpid(), archive, kept)
        return self._zip[1:]

    def _walked(self) -> Iterable[str]:
        """Real folders before those that links lead to, and none twice."""
        root = self.path.resolve()
        seen = {_identity(folder) for folder in root.parents}
        real = [""]
        linked: list[str] = []
        while real or linked:
            inside = real.pop() if real else linked.pop(0)
            folder = self.path / inside
            try:
                if _identity(folder) in seen:
                    continue
                seen.add(_identity(folder))
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                raise UsageError(f"the folder {shortened(folder)} {_reason(error)}") from error
            for entry in entries:
                name = posixpath.join(inside, entry.name)
                if _hidden(entry.name):
                    continue
                if _leads_to_folder(entry):
                    (linked if entry.is_symlink() else real).append(name)
                else:
                    yield name

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_zip": None}


def path_of(path: object, what: str, way_out: str) -> Path:
    """A path, or a UsageError for another type: '{what} is 5, a number; {way_out}'."""
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path:
        kind = "empty" if path == "" else f"of type {type(path).__name__}"
        raise UsageError(f"{what} is {kind}; {way_out}")
    return Path(path)


def status(path: Path) -> os.stat_result | str:
    """Of what is at a path; or why there is nothing, such as "does not exist"."""
    try:
        return path.stat()
    except OSError as error:
        return _reason(error)
    except ValueError:  # a NUL among its letters
        return "does not exist"


def shortened(path: str | Path, most: int = 200) -> str:
    """A path for an error's one line."""
    text = printable(str(path))
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"


def first_few(things: list[str], count: int = 5) -> str:
    """ "a, b, c, d, e and 7 more" """
    rest = len(things) - count
    return ", ".join(map(shortened, things[:count])) + (f" and {rest} more" if rest > 0 else "")


def matcher(names: Iterable[str]) -> Callable[[str], str]:
    """Finds names as people and systems spell them: accents composed (Linux) or not (macOS).

    Of a name that is not there, the name itself.
    """
    exact = set(names)
    by_form = {unicodedata.normalize("NFC", name): name for name in sorted(exact)}

    def match(name: str) -> str:
        if name in exact:
            return name
        return by_form.get(unicodedata.normalize("NFC", name), name)

    return match


def _entry_name(info: zipfile.ZipInfo) -> str:
    """As a file of a folder would be named; empty for a folder."""
    name = info.filename.replace("\\", "/")
    return "" if name.endswith("/") else posixpath.normpath(name).lstrip("/")


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part.lower() in _NOT_OURS for part in parts)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; whoever opens it will say so
        return False


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or f"cannot be read: {error.strerror or error}"
