"""``clipnerf view``: a page in the browser."""

from __future__ import annotations

from clipnerf.config.view import ViewConfig
from clipnerf.editor import Editor
from clipnerf.editor.bundle import bundle_folder
from clipnerf.viewer.server import check_viser, free_port, serve


def view(config: ViewConfig) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        UsageError: viser is not installed, the port is in use, or no bundle.
    """
    config.validate()
    check_viser()
    port = free_port(config.address, config.port)
    folder = bundle_folder(config.bundle)
    serve(
        lambda: Editor.load(folder, config.device, config.mapper),
        config.bundle,
        folder=folder,
        address=config.address,
        port=port,
        size=config.size,
        coarse=config.coarse,
        open=config.open,
    )
