"""Where bundles lie."""

from __future__ import annotations

from pathlib import Path

from clipnerf.config.ranges import check

CHAIRS = "data/pretrained/chairs"


def bundle_path(bundle: str) -> Path:
    """The folder of ``bundle``: as given, or relative to the checkout the package runs from.

    So that the default works from any current folder. UsageError for a name that is too long.
    """
    check("bundle", bundle, str)
    path = Path(bundle)
    if path.exists() or path.is_absolute():
        return path
    beside_package = Path(__file__).resolve().parents[2] / path
    return beside_package if beside_package.exists() else path
