"""Pictures with their opacity: of generated objects, and of real ones, of which nobody has it.

A generator gives opacity with every picture. Of procedural objects the coverage is counted off
part masks that are drawn three times as large; of other pictures on white it is guessed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from clipnerf.evaluation.metrics.crispness import Views
from clipnerf.evaluation.views_of_objects import OnProgress, nobody
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.training.seeds import torch_generator
from clipnerf.vision.features import as_8_bit

BATCH_PIXELS = 2**17
"""Pixels rendered in one call."""
FINER = 3
"""How many times larger the masks are drawn off which coverage is counted."""
_POSE = 1
"""The random stream of cameras, as in ``synthesize``."""


@torch.no_grad()
def generated_views(
    generator: Generator,
    codes: Codes,
    size: int,
    ray_samples: int,
    cameras: int | None = None,
    on_progress: OnProgress = nobody,
) -> Views:
    """Objects before cameras of the generator's prior, always the same; on the CPU, 256 levels.

    Args:
        cameras: how many are drawn, of which the first are used; as many as objects where None.
    """
    noise = torch_generator(0, 0, 0, "variety")
    camera = generator.sample_cameras(cameras or len(codes), size, noise)
    at_once = max(BATCH_PIXELS // size**2, 1)
    parts = []
    for start in range(0, len(codes), at_once):
        some = codes[start : start + at_once]
        view = generator.render(
            some,
            camera[start : start + len(some)],
            samples=ray_samples,
            precision="auto",
        )
        parts.append((as_8_bit(view.rgb).cpu(), view.opacity.float().cpu()))
        on_progress(len(some))
    rgb, opacity = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    return Views(rgb, opacity)


def drawn_views(
    category: str,
    count: int,
    size: int,
    seed: int,
    fov_deg: float = 30.0,
    on_progress: OnProgress = nobody,
) -> Views:
    """The pictures of ``clipnerf data synthesize`` of that seed, one view an object, with coverage.

    Raises:
        UsageError: no procedural category of that name.
    """
    # here, as a training that measures at its previews draws nothing and needs no ray caster
    from clipnerf.data.procedural import category as find_category
    from clipnerf.data.procedural.render import FOV_DEG, render
    from clipnerf.data.procedural.synthesize import ELEVATION_DEG

    module = find_category(category)
    optics: dict[str, Any] = {} if fov_deg == FOV_DEG else {"fov_deg": fov_deg}
    pictures, coverages = [], []
    for index in range(count):
        parts = module.sample(np.random.RandomState([seed, index])).parts
        pose = np.random.RandomState([seed, index, _POSE])
        angles = round(pose.uniform(0.0, 360.0), 2) % 360.0, round(pose.uniform(*ELEVATION_DEG), 2)
        pictures.append(render(parts, *angles, size, module.PARTS, **optics).rgb)
        # one ray a fine pixel: the same rays whose mean is a pixel of the picture
        finer = render(parts, *angles, FINER * size, module.PARTS, oversampling=1, **optics)
        fine = finer.mask > 0
        coverages.append(fine.reshape(size, FINER, size, FINER).mean((1, 3)))
        on_progress(1)
    rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return Views(rgb, torch.from_numpy(np.stack(coverages)).float()[:, None])


def estimated_coverage(
    rgb: Float[Tensor, "pictures 3 height width"],
) -> Float[Tensor, "pictures 1 height width"]:
    """Coverage guessed from pictures on white alone, where nobody drew a finer mask.

    A pixel with white next to it is a mixture of white and the most colored of its neighbors;
    all other pixels that are not white are solid. White objects have none, and an object of two
    colors gets a rim too transparent in the lighter one: to be said beside every figure.
    """
    darkness = 1 - rgb.amin(1, keepdim=True)
    colored = darkness > 4 / 255
    white_near = F.max_pool2d((~colored).float(), 3, stride=1, padding=1) > 0
    mixed = darkness / F.max_pool2d(darkness, 3, stride=1, padding=1).clamp(min=1e-6)
    return torch.where(white_near, mixed, 1.0) * colored
