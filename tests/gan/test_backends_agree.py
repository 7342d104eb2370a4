"""One checkpoint shows the same picture through every backend of the hash grid."""

import sys
from functools import partial

import pytest
import torch

from clipnerf.config.paths import CHAIRS, bundle_path
from clipnerf.fields import hash_grid
from clipnerf.fields.backends import native_library, tcnn, triton
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.trainer import Trainer
from tests.fields import fake_tinycudann

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
SIZE = 128 if CUDA else 20


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((one - other).square().mean()))


@pytest.fixture(scope="module")
def look():
    """Pictures of four chairs of the bundle, with a backend and its width."""
    generator = Generator.load(bundle_path(CHAIRS) / "generator.safetensors").to(DEVICE)
    codes = Codes.from_seeds([0, 1, 2, 3] if CUDA else [0, 3])
    azimuth = torch.linspace(0, 270, len(codes))

    def render(backend: str, precision: str = "float32") -> torch.Tensor:
        generator.field.grid.backend = backend
        camera = generator.camera(azimuth, 20.0, SIZE)
        with torch.no_grad():
            return generator.render(codes, camera, samples=24, precision=precision).rgb

    return render


@pytest.fixture
def half_table(monkeypatch):
    """The table is read in float16, all else stays in float32: what is left is the backend's."""
    monkeypatch.setattr(
        hash_grid.triton_backend, "hash_grid", partial(triton.hash_grid, read=torch.float16)
    )
    inside = tcnn.hash_grid
    monkeypatch.setattr(
        hash_grid.tcnn_backend,
        "hash_grid",
        lambda x, table, layout, dtype: inside(x, table, layout, torch.float16).to(dtype),
    )


@pytest.fixture
def tinycudann(monkeypatch):
    """The package where there is a GPU and it was built; else a stand-in."""
    if CUDA and not tcnn.problem(DEVICE):
        yield
        return
    if CUDA:
        pytest.skip(f"tinycudann on this GPU: {tcnn.problem(DEVICE)}")
    monkeypatch.setitem(sys.modules, "tinycudann", fake_tinycudann)
    monkeypatch.setattr(hash_grid.tcnn_backend, "problem", lambda device, layout=None: "")
    caches = (tcnn._import, tcnn._encoding, hash_grid._choose)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_triton_shows_the_reference_s_picture(look):
    if triton.problem(DEVICE):
        pytest.skip(triton.problem(DEVICE))
    reference = look("torch")
    assert 0.2 < float((reference < 0.9).any(1).float().mean()) < 0.9
    assert psnr(look("triton"), reference) > 80


def test_in_float16_too(look, half_table):
    if triton.problem(DEVICE):
        pytest.skip(triton.problem(DEVICE))
    assert psnr(look("triton"), look("torch")) > 50


def test_tinycudann_shows_it_in_float16(look, half_table, tinycudann):
    assert psnr(look("tcnn"), look("torch")) > 50


@pytest.mark.skipif(
    native_library.library().__class__ is str, reason=f"native: {native_library.library()}"
)
def test_the_field_in_c_shows_it_too(look):
    assert psnr(look("native"), look("torch")) > 80


@pytest.mark.skipif(
    native_library.library().__class__ is str, reason=f"native: {native_library.library()}"
)
def test_a_training_goes_as_beside_it(pretrain_config):
    losses = []
    real = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for backend in ("native", "torch"):
        config = pretrain_config(batch=4)
        config.generator.field.backend = backend
        trainer = Trainer(config, torch.device("cpu"))
        steps = [trainer.train_step(real) for _ in range(6)]
        losses.append([float(step[key]) for step in steps for key in ("loss_g", "loss_d")])
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
