"""Configuration of the verb view: a page in the browser.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clipnerf.config.paths import CHAIRS
from clipnerf.errors import UsageError

LOCAL = "127.0.0.1"


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class ViewConfig:
    """Look at the objects of a bundle in the browser, turn and edit them. Ctrl-C ends it."""

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP, mappers and what else it has."""
    address: str = LOCAL
    """Address to serve at. Whoever reaches it may use the page: 127.0.0.1 is this machine alone."""
    port: int | None = None
    """Port; by default the first free one from 8080 on."""
    size: int = 384
    """Height of the finest picture, pixels."""
    coarse: int = 0
    """Height of the picture while something moves, pixels; 0: as large as is fast enough."""
    open: bool = False
    """Open the page in the browser of this machine."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    mapper: Literal["paper", "universal"] | None = None
    """Kind of mapper; by default universal where the bundle has one, else the paper's."""

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(bool(self.address.strip()), "address", self.address, "an address, e.g. 127.0.0.1")
        ok = self.port is None or 0 <= self.port < 2**16
        _check(ok, "port", self.port, "0 (any that is free) to 65535")
        _check(64 <= self.size <= 1024, "size", self.size, "64 to 1024 pixels")
        ok = self.coarse == 0 or 16 <= self.coarse <= self.size
        _check(ok, "coarse", self.coarse, f"0, or 16 to size ({self.size}) pixels")
        _check(self.device in (None, "cpu", "cuda"), "device", self.device, "cpu or cuda")
