"""Configuration of the verb view: a page in the browser.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import Config, Device, Range, Rule

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class ViewConfig(Config):
    """Look at the objects of a bundle in the browser, turn and edit them. Ctrl-C ends it."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP, mappers and what else it has."""
    address: str = LOCAL
    """Address to serve at. Whoever reaches it may use the page: 127.0.0.1 is this machine alone."""
    port: Annotated[int, Range(0, 65535, note="; 0 is any that is free")] | None = None
    """Port; by default the first free one from 8080 on."""
    size: Annotated[int, Range(64, 1024, note=" pixels")] = 384
    """Height of the finest picture, pixels."""
    coarse: Annotated[int, Range(16, 1024, or_zero=True, note=" pixels")] = 0
    """Height of the picture while something moves, pixels; 0: as large as is fast enough."""
    open: bool = False
    """Open the page in the browser of this machine."""
    device: Device = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""

    def rules(self) -> Iterator[Rule]:
        """See :class:`Config`."""
        yield bool(self.address.strip()), "address", "an address, e.g. 127.0.0.1"
        yield self.coarse <= self.size, "coarse", f"0, or at most size ({self.size})"
