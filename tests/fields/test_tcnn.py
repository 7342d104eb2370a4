"""The tinycudann backend with a stand-in for the package; the real one where it is."""

import sys
from types import SimpleNamespace

import pytest
import torch

from clipnerf.fields.backends import tcnn as backend
from clipnerf.fields.backends.torch import hash_grid as reference
from clipnerf.fields.layout import GridLayout
from tests.fields import fake_tinycudann
from tests.fields.points import away_from_vertices, points_of_interest, random_table

LAYOUT = GridLayout(3, 4, 2, 9, 4, 20)
CPU = torch.device("cpu")


@pytest.fixture
def forget():
    """What was found out about the package, before and after."""
    backend._import.cache_clear()
    backend._encoding.cache_clear()
    yield
    backend._import.cache_clear()
    backend._encoding.cache_clear()


@pytest.fixture
def fake(forget, monkeypatch):
    fake_tinycudann.Encoding.calls.clear()
    monkeypatch.setitem(sys.modules, "tinycudann", fake_tinycudann)
    return fake_tinycudann.Encoding


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'tinycudann'", name="tinycudann"), "not installed"),
        (ModuleNotFoundError("No module named 'x'", name="tinycudann_bindings"), "bindings|'x'"),
        (ImportError("undefined symbol: _ZN3c10"), "undefined symbol"),
        (OSError("Unknown compute capability.\nEnsure CUDA"), "capability. Ensure"),
        (OSError("libcudart.so.12: cannot open"), "libcudart"),
        (RuntimeError("no kernel image"), "no kernel image"),
    ],
)
def test_every_way_in_which_the_import_fails_means_not_available(forget, monkeypatch, error, said):
    def fail(name: str):
        raise error

    monkeypatch.setattr(backend.importlib, "import_module", fail)
    assert pytest.raises(ValueError, backend._encoding, LAYOUT, torch.half, CPU).match(said)
    problem = backend.problem(torch.device("cuda"))
    assert "tinycudann" in problem and "\n" not in problem


def test_without_a_gpu_it_is_not_available(fake):
    assert "needs a CUDA device" in backend.problem(CPU)
    assert backend.problem(torch.device("cuda"), LAYOUT) == ""


def test_a_dense_level_on_a_whole_number_is_refused(fake):
    doubling = GridLayout(3, 3, 2, 14, 4, 16)
    assert doubling.scales == (3.0, 7.0, 15.0) and not any(doubling.hashed)
    assert "scale of level 1, 7" in backend.problem(torch.device("cuda"), doubling)
    # hashed levels have the size of their table, whatever the vertex count
    assert backend.problem(torch.device("cuda"), GridLayout(3, 3, 2, 7, 4, 16)) == ""


def test_float32_equals_the_reference_with_its_gradients(fake):
    x, table = points_of_interest(LAYOUT).float(), random_table(LAYOUT, torch.float32)
    results = []
    for function in (backend.hash_grid, reference):
        leaf, leaf_table = x.clone().requires_grad_(), table.clone().requires_grad_()
        out = function(leaf, leaf_table, LAYOUT)
        weight = torch.linspace(-1, 2, out.numel()).view_as(out)
        results.append((out, *torch.autograd.grad((out * weight).sum(), (leaf, leaf_table))))
    smooth = away_from_vertices(x, LAYOUT)
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1][smooth], results[1][1][smooth], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float16, 1.0), (torch.bfloat16, 1.0), (torch.bfloat16, 1e-9), (torch.bfloat16, 1e5)],
)
def test_gradients_of_any_size_survive_float16(fake, dtype, size):
    x = torch.rand(300, 3, generator=torch.Generator().manual_seed(0))
    table = random_table(LAYOUT, torch.float32)
    results = []
    for function in (backend.hash_grid, reference):
        leaf, leaf_table = x.clone().requires_grad_(), table.clone().requires_grad_()
        out = function(leaf, leaf_table, LAYOUT, *([dtype] if function is not reference else []))
        upstream = torch.linspace(-size, 2 * size, out.numel()).view_as(out).to(out.dtype)
        results.append((out, *torch.autograd.grad(out, (leaf, leaf_table), upstream)))
    assert results[0][0].dtype == dtype
    assert 0.99 <= fake.largest_upstream <= 1.01
    for ours, theirs in zip(*results, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours.float(), theirs, rtol=0.02, atol=0.01 * scale)


def test_no_points_and_a_gradient_of_nothing(fake):
    x = torch.zeros(0, 3, requires_grad=True)
    table = random_table(LAYOUT, torch.float32).requires_grad_()
    out = backend.hash_grid(x, table, LAYOUT, torch.float16)
    assert out.shape == (0, 8) and out.dtype == torch.float16
    out.sum().backward()
    assert x.grad.shape == (0, 3) and not table.grad.any()
    y = torch.rand(5, 3, requires_grad=True)
    (backend.hash_grid(y, table, LAYOUT, torch.float16) * 0).sum().backward()
    assert not y.grad.any() and bool(table.grad.isfinite().all())


def test_the_table_is_read_in_the_asked_width_and_positions_are_clamped(fake):
    table = random_table(LAYOUT, torch.float32)
    x = torch.tensor([[-3.0, 0.5, 7.0]])
    inside = reference(x, table, LAYOUT)
    torch.testing.assert_close(backend.hash_grid(x, table, LAYOUT), inside)
    backend.hash_grid(x, table, LAYOUT, torch.bfloat16)
    assert fake.calls == [(256, torch.float32), (256, torch.float16)]


def test_another_number_of_parameters_is_refused(fake, monkeypatch):
    short = SimpleNamespace(params=torch.zeros(7))
    monkeypatch.setattr(fake_tinycudann, "Encoding", lambda *args, **options: short)
    with pytest.raises(ValueError, match="7 parameters, and .* are expected"):
        backend.hash_grid(torch.rand(2, 3), random_table(LAYOUT, torch.float32), LAYOUT)


def test_a_second_derivative_is_refused_in_words(fake):
    x, table = torch.rand(5, 3, requires_grad=True), random_table(LAYOUT, torch.float32)
    out = backend.hash_grid(x, table.requires_grad_(), LAYOUT)
    with pytest.raises(RuntimeError, match="first derivatives only.*'triton' or 'torch'"):
        torch.autograd.grad(out.sum(), x, create_graph=True)
