"""The training step on a GPU: it never waits, and does what the CPU's does."""

import pytest
import torch

from clipnerf.config.pretrain import AutoencoderConfig, LossConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.gan.trainer import Trainer
from clipnerf.rendering.cameras import Camera

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")


def test_no_step_waits_for_the_gpu(pretrain_config, picture_folder):
    config = pretrain_config()
    config.generator.field.backend = "triton"
    data = PictureDataset(picture_folder, 16).to(CUDA)
    batches = data.batches(4, 0)
    trainer = Trainer(config, CUDA)
    for _ in range(5):  # compiled, and the allocators have what they need
        trainer.train_step(next(batches))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            trainer.train_step(next(batches))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_pictures_that_fit_live_on_the_gpu(picture_folder):
    data = PictureDataset(picture_folder, 16)
    before = data.batch([0, 5])
    data.to(CUDA)
    assert data[0].device.type == "cuda" and data.batch([0, 5]).device.type == "cuda"
    torch.testing.assert_close(data.batch([0, 5]).cpu(), before)


def test_what_is_given_back_is_that_of_the_cpu(pretrain_config):
    autoencoder = AutoencoderConfig(weight=20.0, warmup_kimg=0.0, fade_kimg=0.0, fakes=2)
    config = pretrain_config(autoencoder=autoencoder, loss=LossConfig(pose=0.5))
    config.generator.precision = "float32"
    config.generator.field.backend = "torch"
    real = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    directions = Camera.orbit(torch.tensor([10.0, 80.0, 200.0, 300.0]), 20.0).c2w[:, :3, 3]
    found = []
    for device in (torch.device("cpu"), CUDA):
        trainer = Trainer(config, device)
        drawn = Trainer(config, torch.device("cpu")).draw(4).to(device)
        result = trainer.train_step(real.to(device), drawn, directions=directions)
        found.append((float(result["given_back"]), float(result["divergence"])))
    assert found[0] == pytest.approx(found[1], rel=1e-2)
    # the cameras of reals are searched for as well
    assert trainer.train_step(real.to(CUDA))["given_back"] > 0


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_losses_and_gradients_are_those_of_the_cpu(pretrain_config, backend):
    config = pretrain_config()
    config.generator.precision = "float32"
    config.generator.field.backend = backend
    real = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        found = []
        for device in (torch.device("cpu"), CUDA):
            config.generator.field.backend = backend if device is CUDA else "torch"
            trainer = Trainer(config, device)
            drawn = Trainer(config, torch.device("cpu")).draw(4).to(device)
            result = trainer.train_step(real.to(device), drawn)
            gradients = [p.grad.cpu() for p in trainer.generator.parameters()]
            found.append((float(result["loss_d"]), float(result["r1"]), gradients))
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-3)
    for one, other in zip(found[0][2], found[1][2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))
