"""Two gloo ranks have the gradients of one process with the whole batch.

Draws are seeded by (seed, rank, step). The one process is therefore given the draws of both ranks,
one behind the other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clipnerf.clip.batch_norm import BatchNormOverRanks
from clipnerf.config.mapper import TrainMapperConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.gan.codes import Codes
from clipnerf.gan.patches import Patches
from clipnerf.gan.step_inputs import StepInputs
from clipnerf.gan.step_inputs import draw as gan_draw
from clipnerf.mappers.augment import Augmentation
from clipnerf.mappers.objective import EditBatch, Objective
from clipnerf.rendering.cameras import Camera
from clipnerf.training import distributed
from clipnerf.training.seeds import torch_generator
from tests.training.rank_gradients import (
    WHICH,
    clip_trainer,
    gan_gradients,
    gan_trainer,
    gradients,
    mapper_trainer,
)

TOLERANCE = 1e-5
RENDERED = 5e-3
"""Where rendered pictures are in between: samples lie where rounded densities say, and the field of
the tiny generator is steep. A wrong mean over ranks would be off by a factor."""


def assert_equal(
    found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = TOLERANCE
) -> None:
    """To the tolerance, in units of the largest number of the whole gradient."""
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) <= tolerance * largest, name


@pytest.mark.parametrize("which", WHICH)
def test_mapper(job, which, monkeypatch):
    trainer = mapper_trainer(job.folder, which)
    give_both_draws(trainer.objective, trainer.config, monkeypatch)
    scalars = distributed.average_scalars(trainer.find_gradients())
    expected = gradients(trainer.mapper)
    for of_rank in job.gradients:
        assert_equal(of_rank[which]["gradients"], expected, RENDERED)
        assert of_rank[which]["scalars"] == pytest.approx(scalars, abs=RENDERED)


def give_both_draws(
    objective: Objective, config: TrainMapperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The objective of one process sees what ranks 0 and 1 draw in step 0."""
    both = [torch_generator(config.seed, rank, 0, "mapper") for rank in (0, 1)]
    half = Objective(
        replace(config, objects=config.objects // 2),
        objective.generator,
        objective.discriminator,
        objective.clip,
        objective.prompts,
        objective.device,
    )
    draws = [half.draw(rng) for rng in both]
    text_terms: Callable = Objective._text_terms

    def terms_of_both(self: Objective, mapper, rng) -> dict[str, Tensor]:
        first, second = (text_terms(self, mapper, rng) for rng in both)
        return {name: (first[name] + second[name]) / 2 for name in first}

    monkeypatch.setattr(Objective, "draw", lambda self, rng: joined(draws))
    monkeypatch.setattr(Objective, "_text_terms", terms_of_both)


def cat_cameras(cameras: list[Camera]) -> Camera:
    """Cameras of one picture size as one batch."""
    return Camera(
        torch.cat([camera.c2w for camera in cameras]),
        torch.cat([camera.K for camera in cameras]),
        cameras[0].width,
        cameras[0].height,
    )


def joined(draws: list[EditBatch]) -> EditBatch:
    """The objects of all draws as those of one."""
    augmentations = [draw.augmentation for draw in draws]
    return EditBatch(
        Codes.cat([draw.codes for draw in draws]),
        torch.cat([draw.target for draw in draws]),
        cat_cameras([draw.camera for draw in draws]),
        Augmentation(
            torch.cat([a.homography for a in augmentations]),
            torch.cat([a.background for a in augmentations]),
        ),
    )


@contextmanager
def in_double() -> Iterator[None]:
    """All in float64: float32 in one process rounds a ResNet's gradients by more than 1e-5."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def test_clip(job):
    trainer = clip_trainer(job.folder)
    trainer.model.double()
    with in_double():
        loss = float(trainer.find_gradients())
    expected, buffers = gradients(trainer.model), dict(trainer.model.named_buffers())
    for of_rank in job.gradients:
        assert_equal(of_rank["clip"]["gradients"], expected)
        assert of_rank["clip"]["loss"] == pytest.approx(loss, abs=TOLERANCE)
        # The statistics of batch normalization are part of what is learned.
        for name, value in buffers.items():
            found = of_rank["clip"]["buffers"][name]
            torch.testing.assert_close(found, value, check_dtype=False, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gan(job, player):
    trainer = gan_trainer(job.folder)
    draws = [
        gan_draw(trainer.config, trainer.box, rank=rank, step=0, batch=2, device=trainer.device)
        for rank in (0, 1)
    ]
    reals = PictureDataset(job.folder / "pictures", 16).batches(trainer.config.batch, 0)
    trainer.train_step(next(reals), of_both(draws))
    expected = gan_gradients(trainer)[player]
    for of_rank in job.gradients:
        assert_equal(of_rank["gan"][player], expected)


def of_both(draws: list[StepInputs]) -> StepInputs:
    """The fakes of all draws as those of one."""

    def cat(name: str) -> Tensor:
        return torch.cat([getattr(drawn, name) for drawn in draws])

    patches = [drawn.patches for drawn in draws]
    return StepInputs(
        codes=Codes.cat([drawn.codes for drawn in draws]),
        camera=cat_cameras([drawn.camera for drawn in draws]),
        patches=Patches(
            torch.cat([patch.scale for patch in patches]),
            torch.cat([patch.offset for patch in patches]),
        ),
        jitter=cat("jitter"),
        density_noise=cat("density_noise"),
        places=cat("places"),
        points=cat("points"),
        offsets=cat("offsets"),
        kept=max(drawn.kept for drawn in draws),
    )


def test_batch_normalization_of_one_rank_is_pytorchs():
    torch.manual_seed(0)
    ours, theirs = BatchNormOverRanks(3), torch.nn.BatchNorm2d(3)
    pictures = (3 + 2 * torch.randn(5, 3, 4, 4)).requires_grad_()
    weight = torch.randn(5, 3, 4, 4)
    found = []
    for layer in (ours, theirs):
        out = layer(pictures)
        (gradient,) = torch.autograd.grad((out * weight).sum(), pictures)
        found.append([out, gradient, layer.running_mean, layer.running_var, layer.eval()(pictures)])
    for our, their in zip(*found, strict=True):
        torch.testing.assert_close(our, their)
