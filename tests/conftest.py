"""Shapes written in signatures are really checked while the tests run; GPU tests skip openly."""

import os

# Before torch is imported: the tests share few cores, and results do not depend on the threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

install_import_hook("clipnerf", "beartype.beartype")

import pytest  # noqa: E402

from clipnerf.data import dataset  # noqa: E402

# beartype enters warnings.catch_warnings, which is not safe among threads: with several decoders
# at once a test could miss a warning that was given.
dataset._WORKERS = 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests marked ``gpu`` where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
        for item in marked:
            item.add_marker(skip)
