from pathlib import Path

import pytest

from clipnerf.config import paths
from clipnerf.config.paths import bundle_names, bundle_path

NAMES = ["cars", "chairs"]


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "generator.safetensors").touch()
    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """What a wheel installs, with no checkout around it."""
    package = tmp_path / "site-packages/clipnerf"
    monkeypatch.setattr(paths, "_CHECKOUT", package.parent)
    folders = (package.parent / "data/pretrained", package / "pretrained")
    monkeypatch.setattr(paths, "_FOLDERS", folders)
    return package


def test_a_bundle_of_the_checkout_has_a_path_and_a_name(elsewhere):
    assert bundle_names() == NAMES
    for name in NAMES:
        assert bundle_path(name) == bundle_path(f"data/pretrained/{name}")
        assert (bundle_path(name) / "generator.safetensors").is_file()


@pytest.mark.parametrize("bundle", ["toys", "data/pretrained/toys"])
def test_an_installed_bundle_is_found_under_the_same_words(bundle, installed, elsewhere):
    toys = put(installed / "pretrained/toys")
    assert bundle_path(bundle) == toys
    assert bundle_path(f"{bundle}/generator.safetensors") == toys / "generator.safetensors"
    assert bundle_names() == ["toys"]


def test_what_is_here_counts_before_the_checkout_and_that_before_the_package(installed, elsewhere):
    put(installed / "pretrained/toys")
    checkout = put(installed.parent / "data/pretrained/toys")
    assert bundle_path("toys") == bundle_path("data/pretrained/toys") == checkout
    put(elsewhere / "toys")
    assert bundle_path("toys") == Path("toys")


def test_what_is_nowhere_stays_as_it_was_given(installed, elsewhere):
    for bundle in ("toys", "data/pretrained/toys", str(elsewhere / "toys")):
        assert bundle_path(bundle) == Path(bundle)
