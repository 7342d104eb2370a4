"""Frames of an orbit: a camera that goes once around objects that stand side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from clipnerf.editor.views import frames_at_once
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.io.sheet import to_uint8
from clipnerf.training.progress import Progress


@torch.no_grad()
def turn(
    generator: Generator,
    codes: Codes,
    frames: int,
    size: int,
    elevation_deg: float,
    samples: int | None,
) -> Iterator[np.ndarray]:
    """A picture a frame: objects side by side, [size, objects * size, 3], 0 to 255."""
    count, device = len(codes), generator.device
    codes = codes.to(device)
    # what objects need but once (their empty space above all) is found once for all frames
    objects = CachedRenderer(
        generator.field,
        generator.box,
        codes,
        *generator.styles(codes),
        finished_cells(generator.box, frames * size * size),
    )
    azimuths = torch.arange(frames) * (360.0 / frames)
    with Progress(frames, desc="orbit", unit="frame") as progress:
        for chunk in azimuths.split(frames_at_once(device, count * size * size)):
            camera = generator.camera(chunk.to(device).repeat(count), elevation_deg, size)
            rows = [row for row in range(count) for _ in chunk]
            view = objects.render(camera, rows, samples=samples or generator.config.render_samples)
            tiles = to_uint8(view.rgb)
            for frame in range(len(chunk)):
                yield np.concatenate(tiles[frame :: len(chunk)], axis=1)
            progress.update(len(chunk))
