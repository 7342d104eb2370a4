"""The encoder that reads codes and a camera off a picture; ``gan/autoencoder.py`` trains it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import refuse_stranger
from clipnerf.io.weights import load_weights, rebuilding, save_weights

FILE_NAME = "autoencoder.safetensors"
"""What a run calls the encoder."""
SIZE = 48
"""Pixels, width and height, of the pictures that the encoder sees."""
BINS = 24
"""Directions among which an azimuth is a choice."""
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

    def aggregate(self) -> tuple[Float[Tensor, " codes"], Float[Tensor, "codes codes"]]:
        """Mean and covariance of the codes of all the pictures together; of a prior 0 and 1."""
        return self.mean.mean(0), torch.cov(self.mean.T) + self.log_variance.exp().mean(0).diag()

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
    often each direction was read off reals of late, ``moments`` the second moments of the codes
    that were read off them.
    """

    kimg: Tensor
    directions: Tensor
    moments: Float[Tensor, "codes codes"]

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
        self.register_buffer("directions", expected_directions(prior))
        self.register_buffer("moments", torch.eye(2 * code_dim))

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
        """Write the weights, in half precision, as one safetensors file; the moments as they are.

        Rounded, they might no longer be those of any codes.
        """
        state = self.state_dict()
        tensors = {name: t.to(torch.float16) for name, t in state.items()}
        tensors["moments"] = state["moments"]
        save_weights(path, tensors, kind="picture_encoder", config={}, extra=extra)

    def take_up(self, path: str | Path, generator_hash: str) -> None:
        """Weights of a file; UsageError if they are of other sizes, or of another generator."""
        weights = load_weights(path, "picture_encoder")
        refuse_stranger(path, weights, generator_hash)
        with rebuilding(path):
            self.load_state_dict(weights.tensors)


def expected_directions(prior: CameraPriorConfig) -> Float[Tensor, " bins"]:
    """The share of each direction under the prior."""
    low, high = prior.azimuth_min_deg, prior.azimuth_max_deg
    azimuth = low + (high - low) * (torch.arange(3600) + 0.5) / 3600
    direction = ((azimuth % 360) * (BINS / 360)).long().clamp(max=BINS - 1)
    return torch.bincount(direction, minlength=BINS) / 3600


def _half_range(prior: CameraPriorConfig) -> float:
    return max((prior.elevation_max_deg - prior.elevation_min_deg) / 2, 1.0)
