"""Origin: the page's WebSocket is for the page alone, not for others open in the same browser.

A browser lets any web page connect to any address, this machine's own included, and says only
where that page came from. viser does not ask; its server is made by websockets, which lets us.
The only home of websockets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def allowed(origin: str | None, host: str | None, local: bool) -> bool:
    """Whether who asks is the page itself, or no browser.

    Args:
        origin, host: of the request's head; programs send no origin.
        local: the page is served to this machine alone. What is asked for then has to bear one of
            its names, or a foreign name that resolves to it would do.
    """
    try:
        asked = urlsplit(f"//{host or ''}")
        if local and asked.hostname not in LOOPBACK:
            return False
        return origin is None or urlsplit(origin).netloc == asked.netloc != ""
    except ValueError:  # of a broken address
        return False


@contextlib.contextmanager
def own_page_only(local: bool) -> Iterator[None]:
    """A server of viser that is made inside refuses all others: 403."""
    import websockets.asyncio.server as sockets

    plain: Any = sockets.serve

    def serve(*args: Any, process_request: Any = None, **options: Any) -> Any:
        def process(connection: Any, request: Any) -> Any:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
            if not allowed(origin, host, local):
                return connection.respond(HTTPStatus.FORBIDDEN, "for the page itself alone\n")
            return process_request(connection, request) if process_request else None

        return plain(*args, process_request=process, **options)

    sockets.serve = serve  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        sockets.serve = plain  # type: ignore[misc]
