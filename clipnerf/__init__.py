"""clipnerf: a generative NeRF of one category, edited by words in one forward pass.

    from clipnerf import Editor
    editor = Editor.load("data/pretrained/chairs")

Importing the package imports neither torch nor anything else that is slow; ``Editor`` and
``Codes`` are loaded when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.version import __version__

if TYPE_CHECKING:
    from clipnerf.editor import Editor
    from clipnerf.gan.codes import Codes
    from clipnerf.rendering.cameras import Camera

__all__ = ["Camera", "ClipNerfError", "Codes", "Editor", "UsageError", "__version__"]

_LAZY = {
    "Camera": "clipnerf.rendering.cameras",
    "Codes": "clipnerf.gan.codes",
    "Editor": "clipnerf.editor",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'clipnerf' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
