"""A tiny bundle that can do everything: words, parts, pictures."""

import pytest

from clipnerf.editor import Editor
from tests.tiny_bundle import tiny_bundle, tiny_parts


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return tiny_parts(tiny_bundle(tmp_path_factory.mktemp("bundle"), layers=3))


@pytest.fixture(scope="session")
def editor(bundle):
    return Editor.load(bundle, "cpu")
