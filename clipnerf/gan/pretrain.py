"""Stage 1: the conditional NeRF learns from unposed pictures, against a discriminator."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.pretrain import PretrainConfig, ScheduleConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.recognizer import Recognizer
from clipnerf.evaluation.variety import Variety
from clipnerf.gan.alarms import Alarms
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.gan.losses import (
    blur,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    volume_priors,
)
from clipnerf.gan.patches import Patches
from clipnerf.gan.previews import preview_sheet
from clipnerf.runs import ddp
from clipnerf.runs.checkpoints import load_state
from clipnerf.runs.folder import RunFolder
from clipnerf.runs.progress import Progress
from clipnerf.runs.seeds import seed_for, torch_generator

# Random points an object at which the priors on the volume are judged, and as many neighbours.
PRIOR_POINTS = 192


class Trainer:
    """Generator, discriminator, average and optimisers, and one step of the game.

    Everything random in step k is seeded by (seed, rank, k): a resumed run equals an
    uninterrupted one.
    """

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(seed_for(config.seed, 0, 0, "weights"))
        self.generator = Generator(config.generator).to(device)
        self.discriminator = Discriminator(config.discriminator).to(device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.step = 0
        loss = config.loss
        table = self.generator.field.grid.table
        networks = [p for p in self.generator.parameters() if p is not table]
        groups = [
            {"params": networks, "lr": loss.lr_generator},
            {"params": [table], "lr": loss.lr_grid},
        ]
        self.optimizer_g = torch.optim.Adam(groups, betas=(0.0, 0.99), eps=1e-8, fused=True)
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), lr=loss.lr_discriminator, betas=(0.0, 0.99), fused=True
        )
        self.rates = (loss.lr_generator, loss.lr_grid, loss.lr_discriminator)

    @property
    def kimg(self) -> float:
        """Thousand pictures shown so far."""
        return self.step * self.config.batch / 1000

    def advance_schedules(self) -> None:
        """Set what fades in and out to the current step."""
        schedule, kimg = self.config.schedule, self.kimg
        octaves = self.generator.field.deform_octaves
        opened = 1 + ramp(kimg, schedule.deform_kimg) * (octaves - 1)
        start = schedule.topology_start
        topology = start + (1 - start) * ramp(kimg, schedule.topology_kimg)
        self.generator.field.set_progress(opened, topology)
        half = self.config.loss.lr_half_kimg
        factor = 0.5 ** (kimg / half) if half > 0 else 1.0
        groups = [*self.optimizer_g.param_groups, *self.optimizer_d.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def train_step(self, real: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """One step of both players on one batch; returns losses and the pictures seen."""
        config, schedule = self.config, self.config.schedule
        self.advance_schedules()
        noise = torch_generator(config.seed, ddp.rank(), self.step, "noise", self.device)
        batch = len(real)
        patches = Patches.sample(
            batch,
            schedule.smallest_scale,
            schedule.scale_concentration * ramp(self.kimg, schedule.scale_kimg),
            noise,
        )
        size = config.discriminator.patch
        softness = schedule.blur_sigma * (1 - ramp(self.kimg, schedule.blur_kimg))
        real = blur(patches.crop(real.to(self.device), size), softness)
        codes = Codes.sample(batch, config.generator.field.code_dim, noise)
        view = self.generator.render_patch(
            codes,
            self.generator.sample_cameras(batch, config.data.size, noise),
            patches,
            size,
            noise=noise,
            density_noise=density_noise(schedule, self.kimg),
        )
        fake = blur(view.rgb, softness)
        losses = self._discriminator_step(real, fake.detach(), patches)
        losses |= self._generator_step(fake, codes, patches, noise)
        self._update_average()
        self.step += 1
        return losses | {"real": real, "fake": fake.detach(), "opacity": view.opacity.detach()}

    def _discriminator_step(
        self, real: Tensor, fake: Tensor, patches: Patches
    ) -> dict[str, Tensor]:
        loss = self.config.loss
        self.optimizer_d.zero_grad(set_to_none=True)
        real_logits = self.discriminator(real, patches)
        fake_logits = self.discriminator(fake, patches)
        value = discriminator_loss(real_logits, fake_logits)
        total = value
        penalty = value.new_zeros(())
        if loss.r1_gamma > 0 and self.step % loss.r1_every == 0:
            penalty = r1_penalty(self.discriminator, real, patches)
            total = value + loss.r1_gamma * loss.r1_every * penalty
        total.backward()
        ddp.average_gradients(self.discriminator.parameters())
        self.optimizer_d.step()
        gap = real_logits.detach().mean() - fake_logits.detach().mean()
        return {"loss_d": value.detach(), "r1": penalty.detach(), "logit_gap": gap}

    def _generator_step(
        self, fake: Tensor, codes: Codes, patches: Patches, noise: torch.Generator
    ) -> dict[str, Tensor]:
        loss = self.config.loss
        self.optimizer_g.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        value = generator_loss(self.discriminator(fake, patches))
        self.discriminator.requires_grad_(True)
        total = value
        if loss.smoothness > 0 or loss.white_matter > 0:
            smoothness, white = volume_priors(
                self.generator.field,
                self.generator.styles(codes),
                self.generator.box,
                loss.smoothness_distance,
                PRIOR_POINTS,
                noise,
            )
            total = value + loss.smoothness * smoothness + loss.white_matter * white
        total.backward()
        ddp.average_gradients(self.generator.parameters())
        self.optimizer_g.step()
        return {"loss_g": value.detach()}

    @torch.no_grad()
    def _update_average(self) -> None:
        # a short memory at first, or the first fog would linger
        half = min(self.config.loss.ema_half_kimg, 0.1 * self.kimg + 1e-3)
        keep = 0.5 ** (self.config.batch / 1000 / half)
        for mean, value in zip(
            self.average.state_dict().values(), self.generator.state_dict().values(), strict=True
        ):
            mean.lerp_(value, 1 - keep)
        self.average.field.progress.copy_(self.generator.field.progress)

    def magnitudes(self) -> dict[str, float]:
        """Mean size of each network's weights: not finite if any weight is not."""
        return {
            f"mean weight of the {name}": float(
                torch.cat([p.detach().flatten() for p in module.parameters()]).abs().mean()
            )
            for name, module in (
                ("generator", self.generator),
                ("discriminator", self.discriminator),
            )
        }

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
        }

    def load(self, step: int, state: dict) -> None:
        """Take up a checkpoint."""
        self.step = step
        for name, value in state.items():
            getattr(self, name).load_state_dict(value)


def ramp(kimg: float, length: float) -> float:
    """From 0 to 1 while ``kimg`` goes from 0 to ``length``."""
    return 1.0 if length <= 0 else min(kimg / length, 1.0)


def density_noise(schedule: ScheduleConfig, kimg: float) -> float:
    """Noise on the density at ``kimg``."""
    return schedule.density_noise * (1 - ramp(kimg, schedule.noise_kimg))


def pretrain(config: PretrainConfig) -> Path:
    """Train, or resume, a conditional NeRF; returns the run folder.

    Writes generator.safetensors (the running average) and discriminator.safetensors beside the
    run's logs. The same call again resumes.

    Raises:
        UsageError: unusable data or configuration.
        ClipNerfError: the training failed (NaN, empty pictures, collapse) or a disk is full.
    """
    config.validate()
    device = ddp.init_from_env() if config.device == "auto" else torch.device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.batch % ddp.world_size():
        raise UsageError(f"batch is {config.batch}; it has to divide by {ddp.world_size()} ranks")
    data = PictureDataset(config.data.path, config.data.size, skip_broken=config.data.skip_broken)
    trainer = Trainer(config, device)
    alarms = Alarms()
    run = None
    if ddp.is_main():
        run = RunFolder.open(
            config.out,
            command="pretrain",
            config=config,
            seed=config.seed,
            dataset_fingerprint=data.fingerprint,
        )
    try:
        _train(config, data, trainer, alarms, run)
    finally:
        if run is not None:
            run.close()
    return Path(config.out)


def _train(
    config: PretrainConfig,
    data: PictureDataset,
    trainer: Trainer,
    alarms: Alarms,
    run: RunFolder | None,
) -> None:
    ddp.barrier()
    folder = Path(config.out) / "checkpoints"
    found = load_state(folder) if run is None else run.load_state()
    if found is not None:
        step, state = found
        alarms.load(state.pop("alarms"))
        trainer.load(step, state)
    variety = None if run is None else variety_of(config, data)
    per_rank = config.batch // ddp.world_size()
    first = ddp.rank() * per_rank
    total, done = config.steps * config.batch, trainer.step * config.batch
    since, seen = time.perf_counter(), trainer.step
    batches = data.batches(config.batch, config.seed, trainer.step)
    with Progress(total, done, "pretrain") as progress:
        while trainer.step < config.steps:
            result = trainer.train_step(next(batches)[first : first + per_rank])
            step = trainer.step
            last = step == config.steps
            shown: dict[str, float] = {}
            if step % config.status_every == 0 or last:
                shown = {k: float(result[k]) for k in ("loss_g", "loss_d", "r1", "logit_gap")}
                alarms.finite(step, loss_g=shown["loss_g"], loss_d=shown["loss_d"])
                alarms.pictures(
                    step, trainer.kimg, result["real"], result["fake"], result["opacity"]
                )
                shown["opacity"] = float(result["opacity"].mean())
                now = time.perf_counter()
                rate = (step - seen) * config.batch / max(now - since, 1e-9)
                since, seen = now, step
                if run is not None:
                    run.log(step, kimg=trainer.kimg, images_per_second=rate, **shown)
            progress.update(config.batch, **shown)
            if run is None:
                continue
            if step % config.checkpoint_every == 0 or last:
                # never a bad checkpoint in the place of a good one
                alarms.finite(step, **trainer.magnitudes())
                run.save_state(step, trainer.state() | {"alarms": alarms.state()})
                trainer.average.save(run.path / "generator.safetensors")
                trainer.discriminator.save(run.path / "discriminator.safetensors")
            if step % config.preview_every == 0 or last:
                run.picture(step, "preview", preview_sheet(trainer.average, config.data.size))
                if variety is not None:
                    report = variety.measure(trainer.average)
                    run.log(step, kimg=trainer.kimg, **report.scalars())
                    for line in report.lines():
                        progress.write(line)
                since, seen = time.perf_counter(), step


def variety_of(config: PretrainConfig, data: PictureDataset) -> Variety | None:
    """What measures the generator at every preview; None if nothing to look with is configured."""
    if not (config.metrics_clip or config.metrics_recognizer):
        return None
    clip = None
    if config.metrics_clip:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(config.metrics_clip)
    path = config.metrics_recognizer
    recognizer = Recognizer.load(path) if path else None
    return Variety(data, clip, recognizer, config.metrics_samples, config.data.size)


def plan(config: PretrainConfig) -> dict[str, str]:
    """What ``--dry-run`` prints: data, model, steps, memory, place; nothing is trained."""
    config.validate()
    data = PictureDataset(config.data.path, config.data.size, skip_broken=config.data.skip_broken)
    trainer = Trainer(config, torch.device("cpu"))
    numbers = [
        sum(p.numel() for p in m.parameters()) for m in (trainer.generator, trainer.discriminator)
    ]
    total = config.steps * config.batch
    points = config.batch * config.discriminator.patch**2 * config.generator.samples
    # measured: about 1.5 kB of saved activations a point, and 64 bytes a parameter over all copies
    memory = 0.6e9 + points * 1500 + sum(numbers) * 64 + len(data) * 3 * config.data.size**2
    return {
        "data": f"{config.data.path}: {len(data)} pictures at {config.data.size} px",
        "generator": f"{numbers[0]:,} parameters, {config.generator.field.conditioning}",
        "discriminator": f"{numbers[1]:,} parameters, {config.discriminator.patch} px patches",
        "steps": f"{config.steps} of {config.batch} pictures, {total / 1000:g} kimg",
        "memory": f"about {memory / 1e9:.1f} GB",
        "out": str(Path(config.out).resolve()),
    }
