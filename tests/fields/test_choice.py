"""Which backend a grid uses where, and what it says of it."""

import pytest
import torch

from clipnerf.fields import hash_grid as module
from clipnerf.fields.hash_grid import HashGrid, choose
from clipnerf.fields.layout import GridLayout

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LAYOUT = GridLayout(3, 4, 2, 9, 4, 20)


@pytest.fixture
def problems(monkeypatch):
    """What the backends say; set by the test."""
    said = {"tcnn": "", "triton": "", "native": ""}
    monkeypatch.setattr(module.tcnn_backend, "problem", lambda device, layout=None: said["tcnn"])
    monkeypatch.setattr(module.triton_backend, "problem", lambda device: said["triton"])
    monkeypatch.setattr(module.native_library, "problem", lambda *_: said["native"])
    monkeypatch.setattr(module.native_library, "instructions", lambda: "avx2")
    module._choose.cache_clear()
    yield said
    module._choose.cache_clear()


def test_auto_takes_the_first_that_runs_and_says_why_not_the_others(problems):
    assert str(choose("auto", CUDA, LAYOUT)) == "tcnn"
    problems["tcnn"] = "tinycudann is not installed"
    module._choose.cache_clear()
    assert str(choose("auto", CUDA, LAYOUT)) == "triton (tinycudann is not installed)"
    problems["triton"] = "triton cannot be imported (x)"
    module._choose.cache_clear()
    assert str(choose("auto", CUDA, LAYOUT)) == (
        "torch (tinycudann is not installed; triton cannot be imported (x))"
    )


def test_a_cpu_has_the_field_in_c_or_the_reference_and_debug_says_why(problems, caplog):
    problems["native"] = None
    assert choose("auto", CPU, LAYOUT).name == "native"
    problems["native"] = "it was not built"
    module._choose.cache_clear()
    with caplog.at_level("DEBUG", "clipnerf"):
        assert str(choose("auto", CPU, LAYOUT)) == "torch (on the CPU; native: it was not built)"
    assert "it was not built" in caplog.text


def test_deterministic_algorithms_have_the_reference(problems):
    torch.use_deterministic_algorithms(True)
    try:
        assert choose("auto", CUDA, LAYOUT).name == "torch"
    finally:
        torch.use_deterministic_algorithms(False)
    assert choose("auto", CUDA, LAYOUT).name == "tcnn"


@pytest.mark.parametrize("name", ["tcnn", "triton", "native"])
def test_one_asked_for_by_name_that_cannot_run_is_an_error_with_the_way_out(problems, name):
    problems[name] = "it is broken"
    with pytest.raises(
        ValueError, match=f"generator.field.backend is '{name}', but it is broken; use 'auto'"
    ):
        HashGrid(LAYOUT, name)(torch.rand(3, 3))
    assert choose("torch", CPU, LAYOUT).name == "torch"
