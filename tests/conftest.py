"""Shapes written in signatures are really checked while the tests run; GPU tests skip openly."""

import importlib.util
import os
from pathlib import Path
from typing import Any

# Before torch is imported: the tests share few cores, and hold with any number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

if not torch.cuda.is_available():
    # Before triton is imported: its kernels then run on the CPU, one operation after another.
    os.environ["TRITON_INTERPRET"] = "1"

from jaxtyping import install_import_hook  # noqa: E402

# Before the hook: kernels are read as source by Triton, and hold no Python to be checked.
from clipnerf.fields.backends import triton_kernels, triton_second  # noqa: E402, F401

if importlib.util.find_spec("beartype") is not None:  # scripts/gpu_check.sh does without it
    install_import_hook("clipnerf", "beartype.beartype")

import pytest  # noqa: E402

from clipnerf.data import dataset  # noqa: E402

# beartype enters warnings.catch_warnings, which is not safe among threads: with several decoders
# at once a test could miss a warning that was given.
dataset._WORKERS = 1


SLOW = Path(__file__).with_name("slow.txt")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what ``slow.txt`` lists; skips tests marked ``gpu`` where there is no CUDA device."""
    slow = {line for line in SLOW.read_text(encoding="utf-8").split("\n") if line[:1] != "#"}
    skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
    for item in items:
        if slow & {item.nodeid, item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]}:
            item.add_marker("slow")
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker takes a whole folder, so that what its tests share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "/".join(nodeid.partition("::")[0].split("/")[:2])

    return ByFolder(config, log) if config.getoption("dist") == "load" else None
