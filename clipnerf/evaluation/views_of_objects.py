"""Pictures of generated objects from fixed sides, for whoever looks at them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.training.precision import network_dtype
from clipnerf.vision.features import as_8_bit

BATCH_PIXELS = 2**20
"""Pixels rendered in one call, at most."""

Angle = tuple[float | int, float | int]
"""Azimuth and elevation of a camera, degrees; 0, 0 looks at the front."""

VIEWS: tuple[Angle, ...] = ((35.0, 20.0), (325.0, 20.0), (10.0, 30.0))
"""Where every object is looked at from: fronts, as a seat cannot be read from behind. The first
alone is what CLIP sees, and what is shown."""
OTHER_VIEWS: tuple[Angle, ...] = ((25.0, 24.0), (335.0, 16.0), (0.0, 26.0))
"""Sides that hardly differ from VIEWS: what is read otherwise from here is the reader's error."""

OnProgress = Callable[[int], None]
"""Called with the number of pictures just rendered."""


def nobody(pictures: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Shots:
    """Pictures on the CPU: rgb at 256 levels in [0, 1], opacity as rendered."""

    rgb: Float[Tensor, "objects views 3 size size"]
    opacity: Float[Tensor, "objects views 1 size size"]


def shoot(
    generator: Generator,
    codes: Codes,
    views: Sequence[Angle] = VIEWS,
    size: int = 64,
    samples: int | None = None,
    on_progress: OnProgress = nobody,
) -> Shots:
    """Every object from every view.

    Args:
        size: width and height, pixels.
        samples: samples a ray; those of the generator's training where None.
    """
    return shoot_all(generator, [codes], views, size, samples, on_progress)[0]


@torch.no_grad()
def shoot_all(
    generator: Generator,
    edits: Sequence[Codes],
    views: Sequence[Angle] = VIEWS,
    size: int = 64,
    samples: int | None = None,
    on_progress: OnProgress = nobody,
) -> list[Shots]:
    """The same objects as several edits left them, from every view.

    The empty space of one geometry is found once for all its views and appearances: edits that
    leave the shape alone cost a fraction if they are drawn together.
    """
    # where samples lie depends on the grid: of the size alone, as pictures of several calls are
    # compared
    cells = finished_cells(generator.box, size * size * len(VIEWS))
    total, count = len(edits[0]), len(edits) * len(views)
    azimuth, elevation = (torch.tensor([float(v[i]) for v in views]) for i in (0, 1))
    at_once = max(BATCH_PIXELS // (size * size * count), 1)
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, total, at_once):
        some = Codes.cat([codes[start : start + at_once] for codes in edits]).to(generator.device)
        objects = CachedRenderer(
            generator.field,
            generator.box,
            some,
            *generator.styles(some),
            cells,
            network_dtype("auto", generator.device),
        )
        view = objects.render(
            generator.camera(azimuth.repeat(len(some)), elevation.repeat(len(some)), size),
            [row for row in range(len(some)) for _ in views],
            samples=samples or generator.config.samples,
        )
        shape = (len(edits), len(some) // len(edits), len(views))
        parts.append(
            (
                as_8_bit(view.rgb).cpu().unflatten(0, shape),
                view.opacity.float().cpu().unflatten(0, shape),
            )
        )
        on_progress(len(some) * len(views))
    rgb, opacity = (torch.cat([part[i] for part in parts], dim=1) for i in (0, 1))
    return [Shots(rgb[row], opacity[row]) for row in range(len(edits))]
