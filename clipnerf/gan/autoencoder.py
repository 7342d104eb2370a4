"""Real pictures are given back: an encoder reads codes and a camera off them, to be drawn again.

A discriminator does not miss what is never drawn, so rare or difficult kinds of objects get lost.
What has to be given back does not. The codes are a variational autoencoder's (Kingma and Welling
2014), beside the game as in VAE-GAN (Larsen et al. 2016). No pose of a picture is needed: the
encoder learns to read cameras off fakes, whose cameras are known, and of those that it proposes for
a real picture the one is taken from which the object that it read looks most alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.generator import GeneratorConfig
from clipnerf.config.pretrain import AutoencoderConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.gan.picture_encoder import SIZE, PictureEncoder, Reading, expected_directions
from clipnerf.gan.step_inputs import CPU_STEP, StepInputs, count_kept, ramp, send
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import rays_through
from clipnerf.training import distributed
from clipnerf.training.precision import network_dtype

LOOK = 16
"""Rays along a side by which proposed cameras are compared."""
SAMPLES = 8
"""Samples a ray where nothing learns by the picture."""
FAKES_WEIGHT, REALS_WEIGHT = 0.1, 0.1
"""Of the encoder's own losses: readings of fakes, and the cameras of reals that were found best."""
FORGETTING = 0.01
"""Share of a step in the running count of directions."""
FORGETTING_MOMENTS = 0.005
"""The same of the second moments of codes."""


class Autoencoder:
    """The encoder, its optimizer, and what it does in a step.

    Args:
        config: weights and schedule.
        generator: width of its codes, cameras, box.
    """

    def __init__(
        self, config: AutoencoderConfig, generator: GeneratorConfig, device: torch.device
    ) -> None:
        self.config, self.prior = config, generator.camera
        self.box = torch.tensor(generator.box)
        self.encoder = PictureEncoder(generator.field.code_dim, generator.camera).to(device)
        self.optimizer = torch.optim.Adam(
            self.encoder.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True
        )

    def weight(self, kimg_after_soft: float) -> float:
        """Of the error of what is given back, in the coming step."""
        config = self.config
        begun = float(self.encoder.kimg) - config.warmup_kimg
        if begun < 0:
            return 0.0
        ended = ramp(kimg_after_soft, config.end_kimg) if config.end_kimg > 0 else 0.0
        full = config.weight + (config.weight_end - config.weight) * ended
        # above zero from the first step on
        return full * ramp(begun + 1e-3, config.fade_kimg)

    def loss(
        self,
        generator: Generator,
        pictures: Float[Tensor, "batch 3 height width"],
        real: Float[Tensor, "batch 3 size size"],
        drawn: StepInputs,
        sample: Callable[[StepInputs], Float[Tensor, "batch 3 size size"]],
        *,
        kimg_after_soft: float,
        noise: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss of the encoder and of the generator, and what to log of it.

        Args:
            pictures: real ones, whole, [0, 1].
            real: their patches, as the discriminator sees them.
            drawn: the step's inputs; cameras of the pictures where they are known.
            sample: patches of fakes for other codes and cameras than those of ``drawn``.
            noise: on the CPU.
        """
        total = FAKES_WEIGHT * self.learn_from_fakes(generator, noise)
        error = divergence = unlike = total.new_zeros(())
        width = 2 * generator.config.field.code_dim
        code_noise = torch.randn(len(real), width, generator=noise)
        moves = torch.randn(len(real), 2, generator=noise)
        weight = self.weight(kimg_after_soft)
        if weight > 0:
            pixels = drawn.camera.width
            if pixels < pictures.shape[-1]:
                pictures = F.interpolate(pictures, (pixels, pixels), mode="area")
            reading = self.encoder(pictures)
            codes = reading.codes(send(code_noise, real.device))
            if drawn.directions is None:
                surplus = self.count_directions(reading)
                proposals = reading.proposals(send(moves, real.device), surplus)
                angles = self.best_angles(generator, pictures, codes, proposals)
            else:
                angles = angles_of(drawn.directions)
            view = self.camera(angles, pixels)
            kept = count_kept(
                view.to("cpu"), drawn.patches.to("cpu"), drawn.size, self.box, real.device
            )
            given = sample(dataclasses.replace(drawn, codes=codes, camera=view, kept=kept))
            error, divergence = (given - real).square().mean(), reading.divergence()
            excess, unlike = self.unlike_prior(codes)
            total = total + weight * (
                error + self.config.divergence * divergence + self.config.prior * excess
            )
            total = total + REALS_WEIGHT * reading.wrong_camera(angles, self.prior)
        return total, {
            "given_back": error.detach(),
            "divergence": divergence.detach(),
            "unlike_prior": unlike,
        }

    def unlike_prior(self, codes: Codes) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """How unlike a standard normal the codes of all reals are together: a loss, and nats.

        Else real pictures live where no code is ever drawn. The divergence of a normal
        distribution with second moments M is (tr M - log det M - n) / 2 nats; its gradient at the
        running moments reaches these codes.
        """
        both = torch.cat((codes.shape, codes.appearance), dim=1)
        with torch.no_grad():
            moments = self.encoder.moments
            moments.lerp_(distributed.average(both.T @ both / len(both)), FORGETTING_MOMENTS)
            # without a check: what is not finite is the loop's to name, and a GPU need not wait
            root = torch.linalg.cholesky_ex(moments).L
            identity = torch.eye(len(moments), device=moments.device)
            excess = identity - torch.cholesky_inverse(root)
            nats = 0.5 * (moments.diagonal() - 1).sum() - root.diagonal().log().sum()
        return 0.5 * ((both @ excess) * both).sum(1).mean(), nats

    @torch.no_grad()
    def count_directions(self, reading: Reading) -> Float[Tensor, " bins"]:
        """How many times too often each direction is read off reals, these pictures included.

        Cameras are those of the prior. What is read too rarely, such as sides while the generator
        has none, would never be learned: whatever was taken for it is taught.
        """
        read = distributed.average(reading.logits.softmax(1).mean(0))
        self.encoder.directions.lerp_(read, FORGETTING)
        expected = expected_directions(self.prior).to(read.device)
        return self.encoder.directions.clamp(min=1e-3) / expected.clamp(min=1e-3)

    def learn_from_fakes(self, generator: Generator, noise: torch.Generator) -> Float[Tensor, ""]:
        """Loss of readings of fakes, whose codes and cameras are known; none for the generator."""
        codes = Codes.sample(self.config.fakes, generator.config.field.code_dim, noise)
        codes = codes.to(generator.device)
        view = generator.sample_cameras(self.config.fakes, SIZE, noise)
        with torch.no_grad():
            whole = Patches.whole(len(codes), generator.device)
            fake = generator.render_patch(codes, view, whole, SIZE, samples=SAMPLES).rgb
        reading = self.encoder(fake)
        wrong = reading.wrong_camera(angles_of(view.c2w[:, :3, 3]), self.prior)
        return wrong + reading.surprise(codes)

    def best_angles(
        self,
        generator: Generator,
        pictures: Float[Tensor, "batch 3 size size"],
        codes: Codes,
        proposals: Float[Tensor, "proposals batch 2"],
    ) -> Float[Tensor, "batch 2"]:
        """Those of the proposed angles from which each object looks most like its picture."""
        wrong = []
        with torch.no_grad():
            target = F.interpolate(pictures, (LOOK, LOOK), mode="area")
            shape, appearance = generator.styles(codes)
            dtype = network_dtype(generator.config.precision, generator.device)
            grid = generator.density_grid(shape, dtype=dtype)
            points = Patches.whole(len(codes), generator.device).points(LOOK)
            for angles in proposals:
                view = self.camera(angles, pictures.shape[-1])
                rays = rays_through(view, points * view.width, generator.box)
                rays, order = rays.hits_first(rays.most_hits(CPU_STEP))
                color, _, _ = generator.trace(
                    rays, shape, appearance, grid, samples=SAMPLES, dtype=dtype
                )
                seen = torch.ones(len(codes), LOOK**2, 3, device=color.device)
                seen = seen.scatter(1, order[..., None].expand(-1, -1, 3), color.float())
                away = seen.mT.unflatten(2, (LOOK, LOOK)) - target
                wrong.append(away.square().mean((1, 2, 3)))
        best = torch.stack(wrong).argmin(0)
        return proposals[best, torch.arange(len(codes), device=best.device)].detach()

    def camera(self, angles: Float[Tensor, "batch 2"], size: int) -> Camera:
        """Cameras of the prior's sphere at azimuth and elevation, degrees."""
        azimuth, elevation = angles.unbind(1)
        prior = self.prior
        return Camera.orbit(
            azimuth,
            elevation.clamp(prior.elevation_min_deg, prior.elevation_max_deg),
            fov_deg=prior.fov_deg,
            radius=prior.radius,
            size=size,
            device=angles.device,
        )


def angles_of(directions: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 2"]:
    """Azimuth and elevation, degrees, of where cameras stand as seen from the origin."""
    x, y, z = F.normalize(directions, dim=1).unbind(1)
    return torch.rad2deg(torch.stack((torch.atan2(y, x), torch.asin(z.clamp(-1, 1))), dim=1))
