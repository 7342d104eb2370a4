"""Where a descent starts: an encoder's guesses, or random codes seen from all sides."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.gan.codes import Codes
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.objective import Target, scattered
from clipnerf.inversion.pose import Pose
from clipnerf.training.seeds import torch_generator

LOOKED_AT = 6
"""Poses of the encoder that are looked at before the best are optimized."""
RING, HEIGHTS = 12, 2
"""Directions and heights of cameras that are looked at without an encoder."""


def starts(
    target: Target, encoder: Encoder | None, config: InversionConfig
) -> tuple[Codes, Pose, Tensor]:
    """The best ``config.starts`` starts of each picture, best first, and the pictures' rows.

    Returns:
        codes and poses, [pictures x starts] rows, picture by picture.
    """
    pictures = target.pictures
    with torch.no_grad():
        if encoder is not None:
            guess = encoder(pictures)
            options = [(guess.codes, pose) for pose in guess.poses(LOOKED_AT)]
        else:
            options = _ring(target, len(pictures), config)
        rng = torch_generator(config.seed, 0, 0, "starts")
        index = scattered(target.size, rng).to(pictures.device)
        rows = torch.arange(len(pictures), device=pictures.device)
        losses = torch.stack(
            [target.squared(target.render(*option, index), rows, index) for option in options]
        )
    count = min(config.starts, len(options))
    best = losses.topk(count, dim=0, largest=False).indices  # [count, pictures]
    chosen = [
        (options[int(best[place, row])][0][int(row)], options[int(best[place, row])][1][[int(row)]])
        for row in rows
        for place in range(count)
    ]
    codes, pose = Codes.cat([c for c, _ in chosen]), Pose.cat([p for _, p in chosen])
    return codes, pose, rows.repeat_interleave(count)


def _ring(target: Target, pictures: int, config: InversionConfig) -> list[tuple[Codes, Pose]]:
    """Random codes from a ring of cameras, in the place of an encoder."""
    generator = target.generator
    prior, dim = generator.config.camera, generator.config.field.code_dim
    rng = torch_generator(config.seed, 0, 0, "random starts")
    options = []
    for height in range(HEIGHTS):
        share = (height + 0.5) / HEIGHTS
        low, high = prior.elevation_min_deg, prior.elevation_max_deg
        elevation = math.radians(low + share * (high - low))
        for side in range(RING):
            turn = side / RING
            azimuth = prior.azimuth_min_deg + turn * (prior.azimuth_max_deg - prior.azimuth_min_deg)
            # the same for all pictures, so that none depends on its neighbors
            one = Codes.sample(1, dim, rng).to(generator.device)
            codes = one[torch.zeros(pictures, dtype=torch.long, device=generator.device)]
            like = codes.shape.new_ones(pictures)
            pose = Pose.from_angles(like * math.radians(azimuth), like * elevation)
            options.append((codes, pose))
    return options
