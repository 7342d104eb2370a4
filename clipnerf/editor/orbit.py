"""Frames of a film: a camera that goes around objects, which stand side by side in the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from clipnerf.editor.views import frames_at_once
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.io.sheet import to_uint8
from clipnerf.rendering.cameras import Camera
from clipnerf.training.progress import Progress


@torch.no_grad()
def film(
    generator: Generator, codes: Codes, camera: Camera, samples: int | None
) -> Iterator[np.ndarray]:
    """A picture a camera: objects side by side, [height, objects * width, 3], 0 to 255."""
    count, device, frames = len(codes), generator.device, len(camera)
    codes, camera = codes.to(device), camera.to(device)
    pixels = camera.width * camera.height
    # what objects need but once (their empty space above all) is found once for all frames
    objects = CachedRenderer(
        generator.field,
        generator.box,
        codes,
        *generator.styles(codes),
        finished_cells(generator.box, frames * pixels),
    )
    with Progress(frames, desc="orbit", unit="frame") as progress:
        for chunk in torch.arange(frames, device=device).split(
            frames_at_once(device, count * pixels)
        ):
            rows = [row for row in range(count) for _ in chunk]
            view = objects.render(
                camera[chunk.repeat(count)],
                rows,
                samples=samples or generator.config.render_samples,
            )
            tiles = to_uint8(view.rgb)
            for frame in range(len(chunk)):
                yield np.concatenate(tiles[frame :: len(chunk)], axis=1)
            progress.update(len(chunk))
