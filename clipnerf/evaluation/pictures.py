"""Pictures of generated objects from fixed sides, for whoever looks at them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.evaluation.features import as_8_bit
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator

BATCH_PIXELS = 2**17
"""Pixels rendered in one call."""

Angle = tuple[float | int, float | int]
"""Azimuth and elevation of a camera, degrees; 0, 0 looks at the front."""

VIEWS: tuple[Angle, ...] = ((35.0, 20.0), (325.0, 20.0), (10.0, 30.0))
"""Where every object is looked at from: fronts, as a seat cannot be read from behind. The first
alone is what CLIP sees, and what is shown."""
OTHER_VIEWS: tuple[Angle, ...] = ((25.0, 24.0), (335.0, 16.0), (0.0, 26.0))
"""Sides that hardly differ from VIEWS: what is read otherwise from here is the reader's error."""

Tell = Callable[[int], None]
"""Called with the number of pictures just rendered."""


def nobody(pictures: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Shots:
    """Pictures on the CPU: rgb at 256 levels in [0, 1], opacity as rendered."""

    rgb: Float[Tensor, "objects views 3 size size"]
    opacity: Float[Tensor, "objects views 1 size size"]


@torch.no_grad()
def shoot(
    generator: Generator,
    codes: Codes,
    views: Sequence[Angle] = VIEWS,
    size: int = 64,
    samples: int | None = None,
    tell: Tell = nobody,
) -> Shots:
    """Every object from every view.

    Args:
        size: width and height, pixels.
        samples: samples a ray; those of the generator's training where None.
    """
    count = len(views)
    azimuth, elevation = (torch.tensor([float(v[i]) for v in views]) for i in (0, 1))
    at_once = max(BATCH_PIXELS // (size * size * count), 1)
    rgb, opacity = [], []
    for start in range(0, len(codes), at_once):
        some = codes[start : start + at_once]
        rows = torch.arange(len(some)).repeat_interleave(count)
        view = generator.render(
            some[rows.to(some.shape.device)],
            generator.camera(azimuth.repeat(len(some)), elevation.repeat(len(some)), size),
            samples=samples or generator.config.samples,
            precision="auto",
        )
        rgb.append(as_8_bit(view.rgb).cpu().unflatten(0, (len(some), count)))
        opacity.append(view.opacity.float().cpu().unflatten(0, (len(some), count)))
        tell(len(rows))
    return Shots(torch.cat(rgb), torch.cat(opacity))
