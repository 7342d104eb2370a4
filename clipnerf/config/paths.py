"""Where bundles lie."""

from __future__ import annotations

from pathlib import Path

from clipnerf.config.ranges import check

CHAIRS = "data/pretrained/chairs"

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parent
_PRETRAINED = Path("data/pretrained")
# The same bundles in a checkout and in an installed wheel, which setup.py fills.
_FOLDERS = (_CHECKOUT / _PRETRAINED, _PACKAGE / "pretrained")


def bundle_path(bundle: str) -> Path:
    """The folder or file of ``bundle``, so that defaults and names work from any current folder.

    Taken as given where it exists; else relative to the checkout that the package runs from; else
    as one of the bundles that come with the project, by its name ('chairs') or by its path in the
    checkout ('data/pretrained/chairs'), which an installed wheel holds as well. UsageError for a
    name that is too long.
    """
    check("bundle", bundle, str)
    path = Path(bundle)
    if path.exists() or path.is_absolute():
        return path
    name = path.relative_to(_PRETRAINED) if path.is_relative_to(_PRETRAINED) else path
    places = [_CHECKOUT / path, *(folder / name for folder in _FOLDERS)]
    return next((place for place in places if place.exists()), path)


def bundle_names() -> list[str]:
    """Names of the bundles that come with the project."""
    return sorted(
        {file.parent.name for place in _FOLDERS for file in place.glob("*/generator.safetensors")}
    )
