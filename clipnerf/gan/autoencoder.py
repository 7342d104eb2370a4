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
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.generator import CameraPriorConfig, GeneratorConfig
from clipnerf.config.pretrain import AutoencoderConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import refuse_stranger
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.gan.step_inputs import CPU_STEP, StepInputs, count_kept, ramp, send
from clipnerf.io.weights import load_weights, rebuilding, save_weights
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import rays_through
from clipnerf.training import distributed
from clipnerf.training.precision import network_dtype

FILE_NAME = "autoencoder.safetensors"
"""What a run calls the encoder."""
SIZE = 48
"""Pixels, width and height, of the pictures that the encoder sees."""
BINS = 24
"""Directions among which an azimuth is a choice."""
LOOK = 16
"""Rays along a side by which proposed cameras are compared."""
SAMPLES = 8
"""Samples a ray where nothing learns by the picture."""
FAKES_WEIGHT, REALS_WEIGHT = 0.1, 0.1
"""Of the encoder's own losses: readings of fakes, and the cameras of reals that were found best."""
FORGETTING = 0.01
"""Share of a step in the running count of directions."""
MOVED_DEG = (6.0, 3.0)
"""How far a proposal is moved at random, azimuth and elevation, standard deviation."""


@dataclass(frozen=True)
class Reading:
    """What the encoder says of a batch of pictures.

    Attributes:
        mean, log_variance: of both codes, side by side, as normal distributions.
        logits: of the azimuth's directions.
        offset: of the azimuth within each direction, in widths of a direction, -0.7 to 0.7.
        elevation: degrees.
    """

    mean: Float[Tensor, "batch codes"]
    log_variance: Float[Tensor, "batch codes"]
    logits: Float[Tensor, "batch bins"]
    offset: Float[Tensor, "batch bins"]
    elevation: Float[Tensor, " batch"]

    def codes(self, noise: Float[Tensor, "batch codes"]) -> Codes:
        """Codes drawn from the distributions by standard normal noise."""
        both = self.mean + (0.5 * self.log_variance).exp() * noise
        shape, appearance = both.chunk(2, dim=1)
        return Codes(shape, appearance)

    def divergence(self) -> Float[Tensor, ""]:
        """Kullback-Leibler divergence from a standard normal, nats a picture, mean."""
        variance = self.log_variance.exp()
        return 0.5 * (self.mean.square() + variance - 1 - self.log_variance).sum(1).mean()

    def surprise(self, codes: Codes) -> Float[Tensor, ""]:
        """Negative log likelihood of the true codes, nats a number, but for a constant."""
        both = torch.cat((codes.shape, codes.appearance), dim=1)
        away = (both - self.mean).square() * (-self.log_variance).exp()
        return 0.5 * (away + self.log_variance).mean()

    def azimuth(self, direction: Tensor) -> Float[Tensor, " batch"]:
        """Degrees, given the number of a direction for each picture."""
        offset = self.offset.gather(1, direction[:, None]).squeeze(1)
        return (direction + 0.5 + offset) * (360 / BINS)

    def proposals(
        self, noise: Float[Tensor, "batch 2"], surplus: Float[Tensor, " bins"]
    ) -> Float[Tensor, "proposals batch 2"]:
        """Azimuth and elevation, degrees: the likeliest, another direction, the likeliest moved.

        Args:
            noise: standard normal, of the move.
            surplus: how many times too often each direction was read so far.
        """
        chances = (self.logits - surplus.log()).softmax(1)
        best = chances.argmax(1)
        near = (best[:, None] + torch.arange(-2, 3, device=best.device)) % BINS
        other = chances.scatter(1, near, -1.0).argmax(1)
        first, second = (
            torch.stack((self.azimuth(direction), self.elevation), dim=1)
            for direction in (best, other)
        )
        return torch.stack((first, second, first + noise * noise.new_tensor(MOVED_DEG)))

    def wrong_camera(
        self, angles: Float[Tensor, "batch 2"], prior: CameraPriorConfig
    ) -> Float[Tensor, ""]:
        """How far the cameras are from the true ones, given as azimuth and elevation, degrees."""
        azimuth, elevation = angles.unbind(1)
        place = (azimuth % 360) * (BINS / 360)
        direction = place.long().clamp(max=BINS - 1)
        centers = torch.arange(BINS, device=place.device) + 0.5
        away = (place[:, None] - centers + BINS / 2) % BINS - BINS / 2
        # neighboring directions are half right
        label = (-(away.square())).softmax(1)
        wrong = -(label * self.logits.log_softmax(1)).sum(1)
        offset = self.offset.gather(1, direction[:, None]).squeeze(1)
        wrong = wrong + (offset - (place - direction - 0.5)).square()
        return (wrong + ((self.elevation - elevation) / _half_range(prior)).square()).mean()


class PictureEncoder(nn.Module):
    """Pictures [batch, 3, SIZE, SIZE] in [0, 1] on white -> :class:`Reading`.

    The buffer ``kimg`` holds how many thousand pictures it has learned from, ``directions`` how
    often each direction was read off reals of late.
    """

    kimg: Tensor
    directions: Tensor

    def __init__(self, code_dim: int, prior: CameraPriorConfig, width: int = 32) -> None:
        super().__init__()
        self.prior = prior
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 4 * width, 6 * width):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(outputs, outputs, 3, 1, 1), nn.LeakyReLU(0.2)]
            inputs = outputs
        hidden = 16 * width
        layers += [nn.Flatten(1), nn.Linear(inputs * (SIZE // 16) ** 2, hidden), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.codes = nn.Sequential(
            nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 4 * code_dim)
        )
        self.camera = nn.Linear(hidden, 2 * BINS + 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
        self.register_buffer("kimg", torch.tensor(0.0))
        self.register_buffer("directions", _expected(prior))

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Reading:
        """Readings; pictures of another size are brought to SIZE."""
        # 1 - picture: the white background is zero, as the padding of the convolutions is
        seen = self.trunk(2 * (1 - F.interpolate(pictures, (SIZE, SIZE), mode="area")))
        mean, log_variance = self.codes(seen).chunk(2, dim=1)
        logits, offset, height = self.camera(seen).split((BINS, BINS, 1), dim=1)
        middle = (self.prior.elevation_min_deg + self.prior.elevation_max_deg) / 2
        return Reading(
            mean,
            log_variance.clamp(-6, 1),
            logits,
            0.7 * torch.tanh(offset),
            middle + _half_range(self.prior) * height.squeeze(1),
        )

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> None:
        """Write the weights, in half precision, as one safetensors file."""
        tensors = {name: t.to(torch.float16) for name, t in self.state_dict().items()}
        save_weights(path, tensors, kind="picture_encoder", config={}, extra=extra)

    def take_up(self, path: str | Path, generator_hash: str) -> None:
        """Weights of a file; UsageError if they are of other sizes, or of another generator."""
        weights = load_weights(path, "picture_encoder")
        refuse_stranger(path, weights, generator_hash)
        with rebuilding(path):
            self.load_state_dict(weights.tensors)


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
        error = divergence = total.new_zeros(())
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
            total = total + weight * (error + self.config.divergence * divergence)
            total = total + REALS_WEIGHT * reading.wrong_camera(angles, self.prior)
        return total, {"given_back": error.detach(), "divergence": divergence.detach()}

    @torch.no_grad()
    def count_directions(self, reading: Reading) -> Float[Tensor, " bins"]:
        """How many times too often each direction is read off reals, these pictures included.

        Cameras are those of the prior. What is read too rarely, such as sides while the generator
        has none, would never be learned: whatever was taken for it is taught.
        """
        read = distributed.average(reading.logits.softmax(1).mean(0))
        self.encoder.directions.lerp_(read, FORGETTING)
        expected = _expected(self.prior).to(read.device)
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


def _expected(prior: CameraPriorConfig) -> Float[Tensor, " bins"]:
    """The share of each direction under the prior."""
    low, high = prior.azimuth_min_deg, prior.azimuth_max_deg
    azimuth = low + (high - low) * (torch.arange(3600) + 0.5) / 3600
    direction = ((azimuth % 360) * (BINS / 360)).long().clamp(max=BINS - 1)
    return torch.bincount(direction, minlength=BINS) / 3600


def _half_range(prior: CameraPriorConfig) -> float:
    return max((prior.elevation_max_deg - prior.elevation_min_deg) / 2, 1.0)
