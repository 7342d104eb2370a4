"""``clipnerf view``: a page in the browser."""

from __future__ import annotations

import sys

from clipnerf.config.paths import bundle_path
from clipnerf.config.view import ViewConfig
from clipnerf.editor import Editor
from clipnerf.viewer.server import Viewer, check_viser, free_port


def view(config: ViewConfig) -> list[str]:
    """Serves the page until Ctrl-C.

    Raises:
        UsageError: viser is not installed, the port is in use, or no bundle.
    """
    config.validate()
    check_viser()
    port = free_port(config.address, config.port)
    folder = bundle_path(config.bundle)
    editor = Editor.load(folder, config.device, config.mapper)
    viewer = Viewer(
        editor, config.bundle, folder=folder, address=config.address, port=port,
        size=config.size, coarse=config.coarse,
    )  # fmt: skip
    with viewer:
        print(f"the page is at {viewer.url}; Ctrl-C ends it", file=sys.stderr, flush=True)
        if viewer.is_open:
            print(
                f"whoever reaches {config.address} may use it, and sees what it shows",
                file=sys.stderr,
            )
        if config.open:
            viewer.open_browser()
        viewer.wait()
    return []
