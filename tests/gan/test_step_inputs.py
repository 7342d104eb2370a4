"""What is random in a step: seeded by (seed, rank, step), of known sizes, and all drawn before."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.gan.step_inputs import PRIOR_POINTS, StepInputs, count_kept, draw
from clipnerf.gan.tracing import trace
from clipnerf.gan.trainer import Trainer
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import rays_through

CPU = torch.device("cpu")


def drawn(config, batch: int = 3, rank: int = 0, step: int = 5) -> StepInputs:
    box = torch.tensor(config.generator.box)
    return draw(config, box, rank=rank, step=step, batch=batch, device=CPU)


def tensors(drawn: StepInputs) -> list[torch.Tensor]:
    noise = [] if drawn.density_noise is None else [drawn.density_noise]
    return [
        drawn.codes.shape,
        drawn.codes.appearance,
        drawn.camera.c2w,
        drawn.jitter,
        drawn.points,
        drawn.offsets,
        *noise,
    ]


def cat(parts: list[StepInputs]) -> StepInputs:
    """The draws of several ranks as those of one."""
    some = parts[0].density_noise is not None
    return StepInputs(
        codes=Codes.cat([p.codes for p in parts]),
        camera=Camera(
            torch.cat([p.camera.c2w for p in parts]),
            torch.cat([p.camera.K for p in parts]),
            parts[0].camera.width,
            parts[0].camera.height,
        ),
        patches=Patches(
            torch.cat([p.patches.scale for p in parts]),
            torch.cat([p.patches.offset for p in parts]),
        ),
        jitter=torch.cat([p.jitter for p in parts]),
        density_noise=torch.cat([p.density_noise for p in parts]) if some else None,
        places=torch.cat([p.places for p in parts]),
        points=torch.cat([p.points for p in parts]),
        offsets=torch.cat([p.offsets for p in parts]),
        kept=max(p.kept for p in parts),
    )


def test_a_draw_depends_on_seed_rank_and_step_alone(pretrain_config):
    config = pretrain_config()
    first = tensors(drawn(config))
    torch.rand(7)
    for one, again in zip(first, tensors(drawn(config)), strict=True):
        assert torch.equal(one, again)
    others = (
        drawn(replace(config, seed=1)),
        drawn(config, rank=1),
        drawn(config, step=6),
    )
    for other in others:
        assert all(not torch.equal(a, b) for a, b in zip(first, tensors(other), strict=True))


def test_sizes_and_ranges(pretrain_config):
    config = pretrain_config()
    made = drawn(config, batch=400)
    assert len(made) == 400 and made.jitter.shape == (400, 64, 4)
    assert 0 <= float(made.jitter.min()) and float(made.jitter.max()) < 1
    assert made.points.shape == made.offsets.shape == (400, PRIOR_POINTS, 3)
    assert -1 <= float(made.points.min()) < -0.99 and 0.99 < float(made.points.max()) < 1
    assert float(made.offsets.std()) == pytest.approx(1, abs=0.01)
    assert float(made.density_noise.std()) == pytest.approx(config.schedule.density_noise, rel=0.02)


def test_density_noise_is_gone_once_it_has_faded_out(pretrain_config):
    config = pretrain_config()
    steps = int(config.schedule.noise_kimg * 1000 / config.batch)
    half, after = (drawn(config, batch=400, step=n).density_noise for n in (steps // 2, steps))
    assert after is None
    assert float(half.std()) == pytest.approx(config.schedule.density_noise / 2, rel=0.03)


def test_no_ray_that_meets_the_box_is_left_out(pretrain_config):
    config = pretrain_config()
    for step in range(8):
        made = drawn(config, batch=5, step=step)
        pixels = made.patches.points(8, 16) * 16
        hits = rays_through(made.camera, pixels, torch.tensor(config.generator.box)).hit.sum(1)
        assert int(hits.max()) <= made.kept <= 64


def test_a_gpu_meets_few_sizes():
    sizes = set()
    box = torch.tensor([0.5, 0.5, 0.5])
    for azimuth in range(0, 90, 7):
        for scale in (1.0, 0.8, 0.6, 0.5):
            camera = Camera.orbit(float(azimuth), 20.0, size=64)
            patch = Patches(torch.tensor([scale]), torch.zeros(1, 2))
            sizes.add(count_kept(camera, patch, 32, box, torch.device("cuda")))
    assert 1 < len(sizes) <= 8 and all(size % 128 == 0 for size in sizes)


class Watch(TorchDispatchMode):
    """Notes operations that make the host wait for a device, or whose size a device decides."""

    WAITING = ("_local_scalar_dense", "nonzero", "item", "masked_select", "unique", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().partition("::")[2].partition(".")[0]
        mask = name == "index" and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in self.WAITING or mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("step", [0, 1, 3000])
def test_nothing_in_a_step_waits_for_the_device(pretrain_config, step, monkeypatch):
    # a CPU asks how many rays are empty, which a GPU is not asked
    monkeypatch.setattr("clipnerf.gan.generator.trace_sparingly", trace)
    config = pretrain_config()
    # on a CPU, the reference backend may ask; the one of a GPU runs by its interpreter
    config.generator.field.backend = "triton"
    config.generator.samples = 2
    trainer = Trainer(config, CPU)
    trainer.step = step  # with R1 and without, with blur and noise and after them
    made, real = trainer.draw(2), torch.rand(2, 3, 16, 16)
    with Watch() as watch:
        trainer.train_step(real, made)
    assert watch.found == []
    with Watch() as watch:
        float(torch.ones(()))
    assert watch.found == ["_local_scalar_dense"]


def test_kept_rays_are_enough_for_the_whole_patch(pretrain_config):
    config = pretrain_config()
    torch.manual_seed(0)
    generator = Generator(config.generator)
    made = drawn(config)

    def look(kept: int | None) -> torch.Tensor:
        return generator.render_patch(
            made.codes, made.camera, made.patches, 8, jitter=made.jitter, kept=kept
        ).rgb

    for kept in (made.kept, 64):
        torch.testing.assert_close(look(kept), look(None), atol=1e-6, rtol=0)


def test_two_ranks_have_the_gradients_of_one_with_both_their_draws(pretrain_config, monkeypatch):
    # objects that are traced together share the number of rays that count as solid
    monkeypatch.setattr("clipnerf.gan.tracing.GROUP", 1)
    config = pretrain_config(batch=4)
    config.generator.precision = "float32"  # in bfloat16 a batch's sum is another than its halves'
    real = torch.rand(4, 3, 16, 16)
    parts = [
        draw(config, torch.tensor(config.generator.box), rank=r, step=0, batch=2, device=CPU)
        for r in (0, 1)
    ]

    def gradients(pictures: torch.Tensor, made: StepInputs) -> list[torch.Tensor]:
        trainer = Trainer(config, CPU)
        trainer.optimizer_d.step = trainer.optimizer_g.step = lambda: None
        trainer.train_step(pictures, made)
        models = (trainer.generator, trainer.discriminator)
        return [p.grad for model in models for p in model.parameters()]

    alone = [gradients(real[2 * r : 2 * r + 2], parts[r]) for r in (0, 1)]
    for one, other, both in zip(*alone, gradients(real, cat(parts)), strict=True):
        scale = float(both.abs().max()) + 1e-12
        torch.testing.assert_close((one + other) / 2, both, rtol=0, atol=1e-5 * scale)
