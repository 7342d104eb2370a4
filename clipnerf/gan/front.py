"""Which way a generator's objects face: no poses are given in training, so it is found afterwards.

A generator learns the category up to a turn about the vertical axis. With pictures whose azimuth is
known (evaluation only), the turn is found by comparing mean pictures view by view.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator


def mean_pictures(
    data: PictureDataset, bins: int, limit: int = 4000
) -> Float[Tensor, "bins 3 size size"]:
    """Mean picture of each azimuth bin, centered on multiples of 360 / bins degrees.

    Raises:
        UsageError: if the metadata gives no azimuths, or a bin stays empty.
    """
    rows: list[list[int]] = [[] for _ in range(bins)]
    for index, record in enumerate(data.records[:limit]):
        if record.azimuth_deg is not None:
            rows[round(record.azimuth_deg / 360 * bins) % bins].append(index)
    if not all(rows):
        raise UsageError(
            f"{sum(map(bool, rows))} of {bins} azimuth bins have pictures; the front is found "
            "from pictures with azimuth_deg in metadata.jsonl all around; give more of them"
        )
    return torch.stack([data.batch(some).mean(0) for some in rows])


@torch.no_grad()
def find_front(
    generator: Generator, data: PictureDataset, bins: int = 24, objects: int = 48
) -> tuple[float, list[float]]:
    """The turn that makes azimuth 0 the front, in degrees.

    Args:
        generator: judged without its present ``front_azimuth_deg``.
        data: pictures with known azimuths, at the size they are compared in.
        bins: views around; the answer's resolution is 360 / bins degrees.
        objects: generated objects averaged.

    Returns:
        (degrees to add to a person's azimuth, mean squared difference for each turn).
    """
    real = mean_pictures(data, bins)
    size = real.shape[-1]
    codes = Codes.from_seeds(range(objects), generator.config.field.code_dim)
    heights = 10 + torch.arange(objects) * 7.0 % 30
    present = generator.config.front_azimuth_deg
    azimuths = 360.0 / bins * torch.arange(bins) - present
    views = torch.zeros_like(real)
    # object by object: the empty space of one is then found once for all its views
    for k in range(objects):
        camera = generator.camera(azimuths, heights[k].expand(bins), size)
        views += generator.render(codes[[k] * bins], camera, samples=24, precision="auto").rgb.to(
            real.device
        )
    views /= objects
    errors = [float((views.roll(-k, 0) - real).square().mean()) for k in range(bins)]
    return 360.0 / bins * errors.index(min(errors)), errors
