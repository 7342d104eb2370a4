"""One step of the adversarial game: a function of real pictures and of what was drawn for it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.gan.autoencoder import Autoencoder
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.feature_discriminator import FeatureDiscriminator, hinge_loss
from clipnerf.gan.files import Files
from clipnerf.gan.generator import Generator
from clipnerf.gan.graphs import StepGraphs
from clipnerf.gan.losses import (
    blur,
    direction_loss,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    volume_priors,
)
from clipnerf.gan.patches import Patches
from clipnerf.gan.step_inputs import StepInputs, draw
from clipnerf.training import distributed
from clipnerf.training.precision import network_dtype
from clipnerf.training.seeds import seed_for, torch_generator


class Trainer(Files):
    """Generator, discriminator, average and optimizers, and one step of the game.

    Nothing in a step waits for the device, but for the autoencoder: sizes are known beforehand,
    schedules are numbers of the host, and what is returned stays where it is.
    """

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(seed_for(config.seed, 0, 0, "weights"))
        self.generator = Generator(config.generator).to(device)
        judge = dataclasses.replace(config.discriminator, pose=config.loss.pose > 0)
        self.discriminator = Discriminator(judge).to(device)
        if device.type == "cuda":
            # the layout in which tensor cores take convolutions
            self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.features: FeatureDiscriminator | None = None
        if config.features.weight > 0:
            self.features = FeatureDiscriminator(config.features).to(device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.box = torch.tensor(config.generator.box)
        self.step = 0
        loss = config.loss
        table = self.generator.field.grid.table
        networks = [p for p in self.generator.parameters() if p is not table]
        groups = [{"params": networks}, {"params": [table]}]
        self.rates = (
            loss.lr_generator,
            loss.lr_grid,
            loss.lr_discriminator,
            config.features.lr,
        )
        # a graph keeps numbers of the host as they were, so it needs rates that live on the device
        graphed = config.cuda_graphs and device.type == "cuda" and distributed.world_size() == 1
        options: dict[str, Any] = {"betas": (0.0, 0.99), "fused": True, "capturable": graphed}
        self.optimizer_g = torch.optim.Adam(groups, **options)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), **options)
        self.optimizer_f: torch.optim.Optimizer | None = None
        if self.features is not None:
            heads = self.features.heads.parameters()
            self.optimizer_f = torch.optim.Adam(heads, lr=config.features.lr, **options)
        self.autoencoder: Autoencoder | None = None
        if config.autoencoder.weight > 0:
            self.autoencoder = Autoencoder(config.autoencoder, config.generator, device)
        self.graphs = StepGraphs(self._both_players) if graphed else None

    def advance_schedules(self) -> None:
        """Set what fades in and out to the current step."""
        octaves = self.generator.field.deform_octaves
        self.generator.field.set_progress(1 + self.deform_ramp * (octaves - 1), self.topology)
        for model in (self.generator, self.average):
            model.field.density_scale = self.density_scale
        groups = [*self.optimizer_g.param_groups, *self.optimizer_d.param_groups]
        if self.optimizer_f is not None:
            groups += self.optimizer_f.param_groups
        for group, rate in zip(groups, self.rates, strict=False):
            if self.graphs is None:
                group["lr"] = rate * self.lr_factor
                continue
            if not isinstance(group["lr"], Tensor) or group["lr"].device != self.device:
                group["lr"] = torch.tensor(0.0, device=self.device)
            group["lr"].fill_(rate * self.lr_factor)

    def jump(self, step: int) -> None:
        """Take the schedules to ``step`` with networks as they are, to measure a step there."""
        self.step = step
        if self.autoencoder is not None:
            self.autoencoder.encoder.kimg.fill_(self.kimg)

    def draw(self, batch: int) -> StepInputs:
        """The random inputs of the coming step on this rank."""
        return draw(
            self.config,
            self.box,
            rank=distributed.rank(),
            step=self.step,
            batch=batch,
            device=self.device,
        )

    def train_step(
        self,
        real: Float[Tensor, "batch 3 height width"],
        drawn: StepInputs | None = None,
        directions: Float[Tensor, "batch 3"] | None = None,
    ) -> dict[str, Tensor]:
        """One step of both players on one batch; returns losses and the pictures seen.

        Args:
            real: pictures in [0, 1], this rank's share of the batch.
            drawn: the step's random inputs; drawn here where None.
            directions: where the pictures' cameras stand, where that is known.
        """
        drawn = drawn or self.draw(len(real))
        if directions is not None:
            drawn = dataclasses.replace(drawn, directions=directions.to(self.device))
        self.advance_schedules()
        real = real.to(self.device, non_blocking=True)
        soft = self.softness > 0 or self.hardness < 1 or self.kimg < self.config.schedule.soft_kimg
        if self.graphs is not None and not soft:
            kind = "with R1" if self.with_r1 else "without R1"
            result = self.graphs(real, drawn, kind=kind)
        else:
            result = self._both_players(real, drawn)
        self._update_average()
        self.step += 1
        return result

    def _both_players(self, pictures: Tensor, drawn: StepInputs) -> dict[str, Tensor]:
        real, opacity, fake = self.sample_real_and_fake(pictures, drawn)
        losses = self._discriminator_step(real, fake.detach(), drawn)
        seen: list[Tensor] | None = None
        if self.features is not None and self.feature_weight > 0:
            seen = self.features.features(fake)
            losses |= self._feature_step(real, [f.detach() for f in seen], drawn.patches)
        losses |= self._generator_step(fake, drawn, seen, (pictures, real))
        return losses | {"real": real, "fake": fake.detach(), "opacity": opacity}

    def sample_real_and_fake(
        self, real: Tensor, drawn: StepInputs
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reals at the patches, opacity of the fakes, and the fakes: sampled and blurred alike.

        Rays go through the centers of the reals' pixels, so that neither side is the smoother.
        """
        size, pixels = drawn.size, drawn.camera.width
        if pixels < real.shape[-1]:
            real = F.interpolate(real, (pixels, pixels), mode="area")
        view = self.generator.render_patch(
            drawn.codes,
            drawn.camera,
            drawn.patches,
            size,
            jitter=drawn.jitter,
            density_noise=drawn.density_noise,
            places=drawn.places,
            lattice=real.shape[-1],
            kept=drawn.kept,
        )
        real, fake = drawn.patches.pick(real, size), view.rgb
        patch = self.config.discriminator.patch
        if size < patch:
            real, fake = (
                F.interpolate(x, (patch, patch), mode="bilinear", align_corners=False)
                for x in (real, fake)
            )
        return blur(real, self.softness), view.opacity.detach(), blur(fake, self.softness)

    def discriminate(self, pictures: Tensor, patches: Patches) -> Tensor:
        """Logits, float32; the convolutions in bfloat16 where that is multiplied natively."""
        return self._with_autocast(self.discriminator, pictures, patches)

    def _with_autocast(self, call: Callable[..., Any], *inputs: Any) -> Any:
        dtype = network_dtype(self.config.generator.precision, self.device)
        # weights are cast anew every time: a graph must not keep the cast of another step
        kind, lower = self.device.type, dtype != torch.float32
        with torch.autocast(kind, torch.bfloat16, enabled=lower, cache_enabled=False):
            return call(*inputs)

    def _discriminator_step(
        self, real: Tensor, fake: Tensor, drawn: StepInputs
    ) -> dict[str, Tensor]:
        loss, patches = self.config.loss, drawn.patches
        self.optimizer_d.zero_grad(set_to_none=True)
        if drawn.directions is None:
            real_logits = self.discriminate(real, patches)
            fake_logits, wrong = self.discriminate_fake(fake, drawn)
        else:
            # the guess is learned from reals alone, so that fakes have to face as they do
            real_logits, guess = self._with_autocast(
                self.discriminator.with_direction, real, patches
            )
            wrong = direction_loss(guess, drawn.directions)
            fake_logits = self.discriminate(fake, patches)
        value = discriminator_loss(real_logits, fake_logits)
        total = value + loss.pose * wrong
        penalty = value.new_zeros(())
        if self.with_r1:
            penalty = r1_penalty(self.discriminator, real, patches)
            total = total + self.r1_gamma * loss.r1_every * penalty
        total.backward()
        distributed.average_gradients(self.discriminator.parameters(), complete=True)
        self.optimizer_d.step()
        gap = real_logits.detach().mean() - fake_logits.detach().mean()
        return {"loss_d": value.detach(), "r1": penalty.detach(), "logit_gap": gap}

    def discriminate_fake(self, fake: Tensor, drawn: StepInputs) -> tuple[Tensor, Tensor]:
        """Logits of fakes, and how wrong the guess of their cameras is; 0 where nothing guesses."""
        if self.discriminator.direction is None:
            logits = self.discriminate(fake, drawn.patches)
            return logits, logits.new_zeros(())
        logits, guess = self._with_autocast(self.discriminator.with_direction, fake, drawn.patches)
        return logits, direction_loss(guess, drawn.camera.c2w[:, :3, 3])

    def _feature_step(
        self, real: Tensor, fake: list[Tensor], patches: Patches
    ) -> dict[str, Tensor]:
        """The heads of the feature discriminator learn."""
        assert self.features is not None and self.optimizer_f is not None
        self.optimizer_f.zero_grad(set_to_none=True)
        with torch.no_grad():
            seen = self.features.features(real)
        value = hinge_loss(self.features(seen, patches), self.features(fake, patches))
        value.backward()
        distributed.average_gradients(self.features.heads.parameters(), complete=True)
        self.optimizer_f.step()
        return {"loss_f": value.detach()}

    def _generator_step(
        self,
        fake: Tensor,
        drawn: StepInputs,
        seen: list[Tensor] | None,
        reals: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:
        loss, autoencoder = self.config.loss, self.autoencoder
        self.optimizer_g.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        logits, wrong = self.discriminate_fake(fake, drawn)
        value = generator_loss(logits)
        self.discriminator.requires_grad_(True)
        total = value + loss.pose * wrong
        if seen is not None and self.features is not None:
            self.features.heads.requires_grad_(False)
            total = total - self.feature_weight * self.features(seen, drawn.patches).mean()
            self.features.heads.requires_grad_(True)
        if self.smoothness > 0 or loss.white_matter > 0 or loss.saturation > 0:
            smoothness, white, beyond = volume_priors(
                self.generator.field,
                self.generator.styles(drawn.codes),
                drawn.points * self.generator.box,
                drawn.offsets * loss.smoothness_distance,
            )
            total = total + self.smoothness * smoothness + loss.white_matter * white
            total = total + loss.saturation * beyond
        losses = {"loss_g": value.detach(), "pose": wrong.detach()}
        if autoencoder is not None:
            autoencoder.optimizer.zero_grad(set_to_none=True)
            more, given_back = autoencoder.loss(
                self.generator,
                *reals,
                drawn,
                lambda again: self.sample_real_and_fake(reals[0], again)[2],
                kimg_after_soft=self.kimg_after_soft,
                noise=torch_generator(
                    self.config.seed, distributed.rank(), self.step, "autoencoder"
                ),
            )
            total, losses = total + more, losses | given_back
        total.backward()
        distributed.average_gradients(self.generator.parameters(), complete=True)
        self.optimizer_g.step()
        if autoencoder is not None:
            distributed.average_gradients(autoencoder.encoder.parameters(), complete=False)
            autoencoder.optimizer.step()
            autoencoder.encoder.kimg += self.config.batch / 1000
        return losses

    @torch.no_grad()
    def _update_average(self) -> None:
        # a short memory at first, or the first fog would linger
        half = min(self.config.loss.ema_half_kimg, 0.1 * self.kimg + 1e-3)
        keep = 0.5 ** (self.config.batch / 1000 / half)
        means, values = (
            list(model.state_dict().values()) for model in (self.average, self.generator)
        )
        torch._foreach_lerp_(means, values, 1 - keep)
        self.average.field.progress.copy_(self.generator.field.progress)

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def _parts(self) -> dict[str, Any]:
        names = ["generator", "discriminator", "average", "optimizer_g", "optimizer_d"]
        if self.features is not None:
            names += ["features", "optimizer_f"]
        parts = {name: getattr(self, name) for name in names}
        if self.autoencoder is not None:
            parts |= {
                "encoder": self.autoencoder.encoder,
                "optimizer_e": self.autoencoder.optimizer,
            }
        return parts

    def load(self, step: int, state: dict) -> None:
        """Take up a checkpoint."""
        self.step = step
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        for optimizer in filter(None, (self.optimizer_g, self.optimizer_d, self.optimizer_f)):
            for group in optimizer.param_groups:
                # of this run's device, not of the one that wrote the checkpoint
                group["capturable"] = self.graphs is not None and self.device.type == "cuda"
