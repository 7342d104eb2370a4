"""All kinds of cases, how many of each, and one way to run them; a seed gives the same cases."""

import gc
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.command_lines import command_line
from tests.fuzz.files import FILES, Case
from tests.fuzz.folders import folder_or_archive
from tests.fuzz.pictures import picture
from tests.fuzz.watch import watched
from tests.fuzz.world import World

KINDS: dict[str, tuple[int, Case]] = {
    "command lines": (300, command_line),
    **{name: (100, case) for name, case in FILES.items()},
    "pictures": (60, picture),
    "folders and archives": (40, folder_or_archive),
}
"""Name -> how many cases the suite has, and what makes one."""


@dataclass(frozen=True)
class Fault:
    """A case that was not as promised."""

    kind: str
    number: int
    about: str
    said: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number} ({self.about}): {self.said}"


def faults_of(kind: str, world: World, folder: Path, seed: int, numbers: range) -> Iterator[Fault]:
    """Runs cases of a kind, each in a folder of its own and from the seed and its number alone."""
    for number in numbers:
        draw = random.Random(f"{seed} {kind} {number}")
        place = folder / f"{kind.replace('/', ' ')} {number}"
        place.mkdir(parents=True)
        about, faults = "", []
        with watched(faults):
            about, said = KINDS[kind][1](world, place, draw)
            faults += said
        yield from (Fault(kind, number, about, each) for each in faults)
        shutil.rmtree(place, ignore_errors=True)
        gc.collect(0)
