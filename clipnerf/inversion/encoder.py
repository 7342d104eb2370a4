"""The encoder: a picture in, guesses of its pose and codes out, in milliseconds.

The azimuth is a choice among directions and an offset within each, because a category may look
alike from several sides; every other number is one guess. The codes are guessed in the frame of
the object, so that they do not depend on which direction is right.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.config.inversion import EncoderConfig
from clipnerf.config.ranges import Width, check
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.inversion.pose import Pose
from clipnerf.io.weights import load_weights, rebuilding, rebuilt, save_weights, weights_hash
from clipnerf.vision.conv_blocks import Residual, convolution

FILE_NAME = "encoder.safetensors"


@dataclass(frozen=True)
class Guess:
    """What the encoder says of a batch of pictures.

    Attributes:
        logits: of the azimuth's directions.
        offset: of the azimuth within each direction, in widths of a direction, about -0.5 to 0.5.
        elevation, roll: radians. distance, shift: as in :class:`Pose`.
        codes: of normal length.
    """

    logits: Float[Tensor, "batch bins"]
    offset: Float[Tensor, "batch bins"]
    elevation: Float[Tensor, " batch"]
    roll: Float[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    shift: Float[Tensor, "batch 2"]
    codes: Codes

    def azimuth(self, direction: Tensor) -> Float[Tensor, " batch"]:
        """Radians, given the number of a direction for each picture."""
        offset = self.offset.gather(1, direction[:, None]).squeeze(1)
        return (direction + 0.5 + offset) * (2 * math.pi / self.logits.shape[1])

    def poses(self, count: int) -> list[Pose]:
        """The ``count`` most probable poses, best first; no two in neighboring directions."""
        chances, found = self.logits.softmax(1), []
        bins = chances.shape[1]
        for _ in range(min(count, max(bins // 2, 1))):
            direction = chances.argmax(1)
            found.append(self.pose(direction))
            near = (direction[:, None] + torch.arange(-1, 2, device=direction.device)) % bins
            chances = chances.scatter(1, near, -1.0)
        return found

    def pose(self, direction: Tensor) -> Pose:
        """The pose with the azimuth in a direction for each picture."""
        return Pose.from_angles(
            self.azimuth(direction), self.elevation, self.roll, self.distance, self.shift
        )


class Encoder(nn.Module):
    """Pictures [batch, 3, size, size] in [0, 1] on white -> :class:`Guess`.

    Args:
        config: sizes.
        code_dim: of the generator's codes.
        generator_hash: of the generator whose codes it guesses.
    """

    def __init__(self, config: EncoderConfig, code_dim: int, generator_hash: str = "") -> None:
        super().__init__()
        config.validate("encoder.")
        self.config, self.code_dim, self.generator_hash = config, code_dim, generator_hash
        w = config.width
        self.trunk = nn.Sequential(
            convolution(3, w, 4, 2),
            convolution(w, 2 * w, 4, 2),
            Residual(2 * w),
            convolution(2 * w, 3 * w, 4, 2),
            Residual(3 * w),
            convolution(3 * w, 3 * w, 4, 2),
            nn.Flatten(),
            nn.Linear(3 * w * (config.size // 16) ** 2, config.hidden),
            nn.ReLU(inplace=True),
        )
        self.pose = nn.Linear(config.hidden, 2 * config.bins + 5)
        self.codes = nn.Sequential(
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden, 2 * code_dim),
        )

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over the weights, for reports."""
        return weights_hash(dict(self.state_dict()))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pose.weight.device

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Guess:
        """Guesses; pictures of another size are resized."""
        size = self.config.size
        if pictures.shape[-2:] != (size, size):
            pictures = functional.interpolate(
                pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False
            )
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        # 1 - picture: the white background is zero, as the padding of the convolutions is
        seen = self.trunk(2 * (1 - pictures))
        bins = self.config.bins
        logits, offset, rest = self.pose(seen).split((bins, bins, 5), dim=1)
        shape, appearance = self.codes(seen).chunk(2, dim=1)
        return Guess(
            logits,
            torch.tanh(offset),
            # units in which what is to be learned has about the size of one
            0.3 + 0.3 * rest[:, 0],
            0.1 * rest[:, 1],
            0.1 * rest[:, 2],
            0.05 * rest[:, 3:],
            Codes(_normal_length(shape), _normal_length(appearance)),
        )

    def save(self, path: str | Path) -> Path:
        """Write weights (half precision) and configuration as one safetensors file."""
        tensors = {
            name: t.half() if t.is_floating_point() else t for name, t in self.state_dict().items()
        }
        config = dataclasses.asdict(self.config) | {"code_dim": self.code_dim}
        extra = {"generator_hash": self.generator_hash}
        return save_weights(path, tensors, kind="encoder", config=config, extra=extra)

    @staticmethod
    def load(path: str | Path, generator_hash: str | None = None) -> Encoder:
        """Read an encoder, frozen.

        Args:
            generator_hash: of the generator at hand; None: any.
        Raises:
            UsageError: a file that is missing, foreign, truncated or of another generator.
        """
        weights = load_weights(path, "encoder")
        own = weights.metadata.get("generator_hash", "")
        if generator_hash is not None and own != generator_hash:
            raise UsageError(
                f"encoder '{path}' belongs to the generator {own or '(unknown)'}, and this one is "
                f"{generator_hash}; train one for it with clipnerf train-encoder"
            )
        with rebuilding(path):
            values = dict(weights.config)
            code_dim = values.pop("code_dim")
            check("code_dim", code_dim, Width)
            encoder = rebuilt(
                lambda: Encoder(EncoderConfig(**values), code_dim, own), weights.tensors
            )
        return encoder.requires_grad_(False).eval()


def _normal_length(code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch code"]:
    """On the shell of a standard normal, where the generator's mapping looks at it."""
    return code * torch.rsqrt(code.square().mean(1, keepdim=True) + 1e-8)
