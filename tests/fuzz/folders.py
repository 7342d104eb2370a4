"""Folders and archives in which something is, or is named, as nobody expects."""

import os
import random
import socket
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from clipnerf.data.dataset import PictureDataset
from clipnerf.data.referring import ReferringDataset
from tests.fuzz.watch import command, read
from tests.fuzz.world import World

SPRUNG = "sprung"
"""What a pickle would make beside the set, if it were unpickled."""
_NAMES = (
    "ü.png",
    "u\u0308.png",
    "a b.png",
    "a\nb.png",
    "a\x1b[31mb.png",
    "-rf.png",
    "💥.png",
    "a'\"b.png",
    "%s{0}.png",
    "con.png",
    "\u202egnp.png",
    "x" * 240 + ".png",
    "a.png.",
    "..png",
    "a\\b.png",
    "A.PNG",
)


def folder_or_archive(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """One of them, through all that reads sets of pictures."""
    about = draw.choice(sorted(_STRANGE))
    place = folder / "set"
    good = (world.folder / "pictures/000.png").read_bytes()
    place.mkdir()
    (place / "good.png").write_bytes(good)
    path = _STRANGE[about](place, good, draw) or place
    faults = list(command(["data", "check", str(path)]).faults)
    for reader in (PictureDataset, ReferringDataset.open):
        faults += read(lambda reader=reader: reader(path, 16))[1]
    if (folder / SPRUNG).exists():
        faults.append("a pickle was executed")
    return about, faults


def _links(place: Path, good: bytes, draw: random.Random) -> None:
    for number in range(draw.randrange(1, 4)):
        inside = place / f"{number}"
        inside.mkdir()
        (inside / "parent").symlink_to("..")
        (inside / "self").symlink_to("self")
        (inside / "other").symlink_to(f"../{draw.randrange(4)}")
        (inside / "folder.png").symlink_to("..")
        (inside / "nothing.png").symlink_to("nothing")


def _specials(place: Path, good: bytes, draw: random.Random) -> None:
    os.mkfifo(place / draw.choice(("pipe.png", "metadata.jsonl")))
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as made:
            here = os.getcwd()
            os.chdir(place)  # a socket's path may have a hundred letters
            try:
                made.bind("socket.png")
            finally:
                os.chdir(here)
    (place / "null.png").symlink_to("/dev/null")
    (place / "zero.png").symlink_to("/dev/zero")


def _pipe(place: Path, good: bytes, draw: random.Random) -> Path:
    path = place.with_name("pipe")
    os.mkfifo(path)
    return path


def _names(place: Path, good: bytes, draw: random.Random) -> None:
    for name in draw.sample(_NAMES, 5):
        (place / name.replace("\\", "_")).write_bytes(good)
    with open(os.fsencode(place) + b"/\xff\xfe.png", "wb") as file:
        file.write(good)


def _folders_named_like_files(place: Path, good: bytes, draw: random.Random) -> None:
    (place / "a.png").mkdir()
    (place / draw.choice(("metadata.jsonl", "pairs.jsonl", "refs.json", "b.png"))).mkdir()


def _deep(place: Path, good: bytes, draw: random.Random) -> None:
    here = os.getcwd()
    try:
        os.chdir(place)
        for _ in range(draw.choice((50, 400))):
            os.mkdir("d" * 20)
            os.chdir("d" * 20)
        Path("deep.png").write_bytes(good)
    finally:
        os.chdir(here)


def _broken(place: Path, good: bytes, draw: random.Random) -> None:
    for number in range(30):
        (place / f"{number}.png").write_bytes(good[: draw.randrange(len(good))])


def _unreadable(place: Path, good: bytes, draw: random.Random) -> None:
    (place / "a.png").write_bytes(good)
    (place / "a.png").chmod(0)
    inside = place / "inside"
    inside.mkdir()
    inside.chmod(stat.S_IRUSR)


def _only_others(place: Path, good: bytes, draw: random.Random) -> None:
    (place / "good.png").unlink()
    for suffix in draw.sample((".heic", ".txt", "", ".jfif", ".npy", ".mp4", ".zip", ".gz"), 4):
        (place / f"a{suffix}").write_bytes(good)


def _pickles(place: Path, good: bytes, draw: random.Random) -> None:
    trap = f"cos\nsystem\n(S'touch {place.with_name(SPRUNG)}'\ntR.".encode()
    for name in ("refs(unc).p", "metadata.jsonl", "instances.json"):
        (place / name).write_bytes(trap)


def _zip(place: Path, entries: list[tuple[str, bytes]]) -> Path:
    path = place.with_name("set.zip")
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def _zip_names(place: Path, good: bytes, draw: random.Random) -> Path:
    strange = ("../../up.png", "/root.png", "a\\b.png", "./c.png", "d//e.png", "", "f.png/", "..")
    names = [*draw.sample(strange, 4), *draw.sample(_NAMES, 4)]
    return _zip(place, [(name, good) for name in names])


def _zip_twice(place: Path, good: bytes, draw: random.Random) -> Path:
    return _zip(place, [("a.png", good), ("a.png", good[:20]), ("A.png", good)] * 2)


def _zip_bomb(place: Path, good: bytes, draw: random.Random) -> Path:
    name = draw.choice(("bomb.png", "metadata.jsonl"))
    return _zip(place, [("a.png", good), (name, bytes(draw.choice((10**7, 3 * 10**8))))])


def _zip_that_lies(place: Path, good: bytes, draw: random.Random) -> Path:
    """Lengths, methods, flags or places of entries that are not so."""
    path = _zip(place, [("a.png", good), ("b.png", bytes(10**6))])
    raw = bytearray(path.read_bytes())
    entry = raw.rfind(b"PK\1\2")
    field, width = draw.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)))
    value = draw.choice((0, 1, 99, 2 ** (8 * width) - 1, 2 ** (8 * width - 1)))
    raw[entry + field : entry + field + width] = struct.pack("<Q", value)[:width]
    path.write_bytes(raw)
    return path


def _zip_in_a_zip(place: Path, good: bytes, draw: random.Random) -> Path:
    path = _zip(place, [("a.png", good)])
    return _zip(place, [("inside.zip", path.read_bytes()), ("inside.png", path.read_bytes())])


def _zip_torn(place: Path, good: bytes, draw: random.Random) -> Path:
    path = _zip(place, [(f"{n}.png", good) for n in range(9)])
    raw = path.read_bytes()
    path.write_bytes(raw[: draw.randrange(len(raw))])
    return path


def _other_archive(place: Path, good: bytes, draw: random.Random) -> Path:
    path = place.with_name(draw.choice(("set.tar", "set.zip", "set.tar.gz")))
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        archive.add(place, "set")
    return path


_STRANGE: dict[str, Callable[[Path, bytes, random.Random], Path | None]] = {
    "links": _links,
    "pipes and devices": _specials,
    "a pipe": _pipe,
    "names": _names,
    "folders named like files": _folders_named_like_files,
    "deep": _deep,
    "broken pictures": _broken,
    "not readable": _unreadable,
    "no picture": _only_others,
    "pickles": _pickles,
    "zip: names": _zip_names,
    "zip: twice": _zip_twice,
    "zip: bomb": _zip_bomb,
    "zip: lies": _zip_that_lies,
    "zip: zip inside": _zip_in_a_zip,
    "zip: torn": _zip_torn,
    "no zip": _other_archive,
}
