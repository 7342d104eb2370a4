"""The scale-aware patch discriminator."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.generator import DiscriminatorConfig
from clipnerf.errors import UsageError
from clipnerf.gan.patches import Patches
from clipnerf.io.weights import (
    Weights,
    load_weights,
    rebuilding,
    rebuilt,
    save_weights,
    weights_hash,
)

OPPONENT = "generator_hash"
"""What a discriminator's file calls the generator that it was trained with."""


class Discriminator(nn.Module):
    """Convolutions down to 4 x 4, then one logit a patch: above zero means real.

    Beside the colors it sees where in the picture each point lies: two channels of coordinates,
    from which scale and offset follow.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        config.validate("discriminator.")
        self.config = config
        halvings = int(math.log2(config.patch // 4))
        widths = [min(config.width * 2**i, config.max_width) for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(5, widths[0], 3, padding=1)]
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
        self.convolutions = nn.ModuleList(layers)
        self.last = nn.Sequential(
            nn.Conv2d(widths[-1], config.max_width, 4), nn.LeakyReLU(0.2), nn.Flatten(1)
        )
        self.logit = nn.Linear(config.max_width, 1)
        self.direction = nn.Linear(config.max_width, 3) if config.pose else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(
        self, pictures: Float[Tensor, "batch 3 size size"], patches: Patches
    ) -> Float[Tensor, " batch"]:
        """Logits of patches in [0, 1], float32."""
        return self.logit(self._seen(pictures, patches)).squeeze(1).float()

    def with_direction(
        self, pictures: Float[Tensor, "batch 3 size size"], patches: Patches
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 3"]]:
        """Logits, and a guess of the direction in which the camera stands as seen from the origin.

        Asked of fakes, whose cameras are known: a generator that is taught by the same guess turns
        all its objects one way, for the direction can then be told from the picture (pi-GAN, Chan
        et al. 2021, section 3.3).
        """
        assert self.direction is not None, "config.pose is off"
        seen = self._seen(pictures, patches)
        return self.logit(seen).squeeze(1).float(), self.direction(seen).float()

    def _seen(self, pictures: Tensor, patches: Patches) -> Float[Tensor, "batch features"]:
        size = pictures.shape[-1]
        where = patches.points(size).mT.reshape(len(pictures), 2, size, size)
        x = torch.cat((pictures * 2 - 1, where.to(pictures.dtype) * 2 - 1), dim=1)
        for layer in self.convolutions:
            x = F.leaky_relu(layer(x), 0.2)
        return self.last(x)

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> None:
        """Write weights and configuration as one safetensors file."""
        save_weights(
            path,
            dict(self.state_dict()),
            kind="discriminator",
            config=dataclasses.asdict(self.config),
            extra=extra,
        )

    @staticmethod
    def load(path: str | Path, generator_hash: str | None = None) -> Discriminator:
        """Read a discriminator, frozen.

        Args:
            generator_hash: of the generator whose pictures it is to judge; None: any.
        Raises:
            UsageError: a file that is missing, damaged, foreign or of another generator.
        """
        weights = load_weights(path, "discriminator")
        if generator_hash is not None:
            refuse_stranger(path, weights, generator_hash)
        with rebuilding(path):
            config = DiscriminatorConfig(**weights.config)
            discriminator = rebuilt(lambda: Discriminator(config), weights.tensors)
        return discriminator.requires_grad_(False).eval()


def refuse_stranger(path: str | Path, weights: Weights, generator_hash: str) -> None:
    """UsageError where a discriminator, or a head, was trained with another generator.

    Its file says with which; a file that does not is that of the generator beside it.
    """
    own, beside = weights.metadata.get(OPPONENT, ""), Path(path).with_name("generator.safetensors")
    if not own and beside.is_file():
        own = weights_hash(load_weights(beside, "generator").tensors)
    if own not in ("", generator_hash):
        raise UsageError(
            f"{str(path)!r} was trained with the generator {own}, and this one is "
            f"{generator_hash}; give the one that was saved with it"
        )
