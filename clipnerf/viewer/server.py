"""Viewer: serves the page; every visitor has a state, all share the editor and one renderer.

viser is imported here alone. Its offer to open the page to the internet is taken away, and other
pages in a visitor's browser are kept out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from clipnerf.config.view import LOCAL
from clipnerf.errors import UsageError, warn
from clipnerf.viewer import parts
from clipnerf.viewer.drawing import Pace
from clipnerf.viewer.hearing import Heard, listening
from clipnerf.viewer.lacks import lacks
from clipnerf.viewer.origin import LOOPBACK, own_page_only
from clipnerf.viewer.page import Page
from clipnerf.viewer.renderer import Renderer

if TYPE_CHECKING:
    import viser

    from clipnerf.editor import Editor

FIRST_PORT, PORTS = 8080, 100


def check_viser() -> None:
    """UsageError where viser is not installed."""
    if importlib.util.find_spec("viser") is None:
        raise UsageError(
            "the page needs viser, which is not installed; pip install 'clipnerf[viewer]', or "
            "bash scripts/quickstart.sh --view"
        )


def free_port(address: str, port: int | None = None) -> int:
    """A port that nobody listens on: the one asked for, or the first from FIRST_PORT on.

    Raises:
        UsageError: it is in use, none is free, or no such address.
    """
    for wanted in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]:
        try:
            family = socket.getaddrinfo(address, wanted, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, wanted))
                return int(probe.getsockname()[1])
        except socket.gaierror as error:
            raise UsageError(
                f"address is {address!r}, which is none ({error.strerror}); give 127.0.0.1 for "
                "this machine alone"
            ) from error
        except OSError as error:
            if port is not None:
                raise UsageError(
                    f"port {port} of {address} cannot be had ({error.strerror}); give another "
                    "--port, or none for the first that is free"
                ) from error
    raise UsageError(
        f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} of {address} is free; give --port"
    )


def serve(
    editor: Editor | Callable[[], Editor],
    bundle: str = "bundle",
    *,
    folder: Path | None = None,
    address: str = LOCAL,
    port: int | None = None,
    size: int = 384,
    coarse: int = 0,
    open: bool = False,
) -> None:
    """Serves the page until Ctrl-C, and says where it is; the arguments are those of Viewer.

    Args:
        open: in the browser of this machine.
    """

    def say(viewer: Viewer) -> None:
        said = f"the page is at {viewer.url}; Ctrl-C ends it"
        if viewer.is_open:
            said += f"\nwhoever reaches {address} may use it, and sees what it shows"
        print(said, file=sys.stderr, flush=True)
        if open:
            viewer.open_browser()

    options: Any = {"address": address, "port": port, "size": size, "coarse": coarse}
    with Viewer(editor, bundle, folder=folder, **options, ready=say) as viewer:
        viewer.wait()


class Viewer:
    """A page in the browser; a context manager, which ends with it.

    Args:
        editor: of a bundle; or what loads one, once browsers can connect: a page takes as long to
            open as a bundle to load, and both go on at once.
        bundle: what the page and its snippets call it.
        folder: of the bundle, where it came from one.
        address, port: where to serve; 127.0.0.1 is this machine alone.
        size: height of the finest picture, pixels.
        coarse: height of the picture while something moves; 0: as large as is fast enough.
        ready: called once browsers can connect.
    Raises:
        UsageError: viser is not installed, or the port is in use.
    """

    def __init__(
        self,
        editor: Editor | Callable[[], Editor],
        bundle: str = "bundle",
        *,
        folder: Path | None = None,
        address: str = LOCAL,
        port: int | None = None,
        size: int = 384,
        coarse: int = 0,
        ready: Callable[[Viewer], None] = lambda viewer: None,
    ) -> None:
        check_viser()
        self.bundle = bundle
        self.address, self.port = address, free_port(address, port)
        self._server = self._serve()
        self._ended = threading.Event()
        self._heard = contextlib.ExitStack()
        self.pages: dict[int, Page] = {}
        try:
            ready(self)
            self.editor = editor() if callable(editor) else editor
            self.renderer, self.pace, self.said = Renderer(), Pace(size, coarse), Heard()
            self.lacks = lacks(self.editor)
            self.named = () if "parts" in self.lacks else parts.phrases(self.editor, folder)
            self._heard.enter_context(listening())
            self._server.initial_camera.up = np.array([0.0, 0.0, 1.0])
            self._place_camera(self._server.initial_camera)
            self._early = set(self._server.get_clients())
        except BaseException:
            self._stop()
            raise
        # viser calls this for those that are connected already, too
        self._server.on_client_connect(self._connected)
        self._server.on_client_disconnect(self._gone)

    @property
    def url(self) -> str:
        """Where the page is."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{shown}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether other machines may reach the page."""
        return self.address not in LOOPBACK

    def open_browser(self) -> None:
        """Opens the page in this machine's browser, where there is one."""
        if not webbrowser.open(self.url):
            warn(f"no browser was found; open {self.url}")

    def wait(self) -> None:
        """Returns once the viewer is closed; Ctrl-C interrupts it."""
        while not self._ended.wait(0.5):
            pass

    def close(self) -> None:
        """Ends the page for all visitors."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.renderer.stop()
        for page in list(self.pages.values()):
            page.close()
        self.pages.clear()
        self._stop()

    def _stop(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()
        self._heard.close()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _serve(self) -> viser.ViserServer:
        import viser

        with contextlib.redirect_stdout(io.StringIO()), own_page_only(not self.is_open):
            server = viser.ViserServer(self.address, self.port, label="clipnerf", verbose=False)
        self.port = server.get_port()
        # nobody on the page shall be able to tunnel it to the internet
        unshared: Any = server
        unshared.request_share_url = lambda verbose=True: None
        server.gui.configure_theme(
            show_logo=False,
            show_share_button=False,
            control_width="large",
            brand_color=(36, 92, 168),
        )
        server.gui.main_panel.dock_right()
        server.scene.configure_environment_map(hdri=None)
        return server

    def _place_camera(self, camera: Any) -> None:
        prior = self.editor.generator.config.camera
        c2w = self.editor.generator.camera(30.0, 20.0, 8).c2w[0].cpu().numpy()
        camera.position = c2w[:3, 3]
        camera.look_at = np.zeros(3)
        camera.fov = float(np.radians(prior.fov_deg))

    def _connected(self, client: viser.ClientHandle) -> None:
        if client.client_id in self._early:  # whose camera the server's no longer moves
            self._place_camera(client.camera)
        self.pages[client.client_id] = Page(self, client)

    def _gone(self, client: viser.ClientHandle) -> None:
        page = self.pages.pop(client.client_id, None)
        if page is not None:
            page.close()
