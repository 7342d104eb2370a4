"""Drawing: what a visitor sees, first coarse and at once, then finer, in pieces.

How large a picture may be follows from how fast the last ones were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.io.sheet import to_uint8
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import grid_cells

Compare = Literal["after", "before", "side by side", "slider"]

COARSE_SECONDS, FINE_SECONDS, PIECE_SECONDS = 0.07, 0.32, 0.05
"""Of a coarse picture, of the fine one after it, and of a piece that nothing interrupts."""
COARSE_SAMPLES, FINE_SAMPLES = 12, 24
COARSE_CELLS = 28
SMALLEST, LEAST_FINE = 64, 128
"""Height of a coarse and a fine picture at least, pixels."""
STEP = 16
FIRST_GUESS = 6e-7
"""Seconds for a pixel's sample, until the first picture has told."""
KEPT_OBJECTS = 4


@dataclass(frozen=True)
class View:
    """Where a visitor looks from.

    Attributes:
        c2w: camera to world, OpenCV axes.
        fov_deg: vertical field of view.
        aspect: width over height of what they see.
    """

    c2w: Float[Tensor, "4 4"]
    fov_deg: float
    aspect: float = 1.0

    def camera(self, height: int, aspect: float | None = None) -> Camera:
        """The camera of a picture so many pixels high, as wide as the view or as ``aspect``."""
        aspect = aspect or self.aspect
        width = max(round(height * aspect), 1)
        # in a picture that is higher than wide the field of view is the width's: nothing is cut off
        focal = 0.5 * height * min(aspect, 1.0) / math.tan(math.radians(self.fov_deg) / 2)
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Camera(self.c2w[None], K[None], width, height)

    def angles_deg(self, front_azimuth_deg: float) -> tuple[float, float]:
        """Azimuth, 0 to 360, and elevation, as ``Editor.render`` takes them."""
        x, y, z = self.c2w[:3, 3].tolist()
        azimuth = math.degrees(math.atan2(y, x)) - front_azimuth_deg
        return azimuth % 360, math.degrees(math.atan2(z, math.hypot(x, y)))


def part_of(camera: Camera, left: int, top: int, width: int, height: int) -> Camera:
    """A rectangle of a picture, as a camera of its own."""
    K = camera.K.clone()
    K[:, 0, 2] -= left
    K[:, 1, 2] -= top
    return Camera(camera.c2w, K, width, height)


@dataclass(frozen=True)
class Scene:
    """What is to be seen.

    Attributes:
        before, after: one object each, before and after its edits.
        compare: which of them, and how.
        at: where the slider stands, 0 to 1; left of it is before.
    """

    before: Codes
    after: Codes
    view: View
    compare: Compare = "after"
    at: float = 0.5

    def pieces(self, height: int) -> list[tuple[Codes, Camera]]:
        """Objects and cameras that stand side by side in the picture, from left to right."""
        whole = self.view.camera(height)
        if self.compare in ("after", "before"):
            return [(self.after if self.compare == "after" else self.before, whole)]
        if self.compare == "side by side":
            half = self.view.camera(height, self.view.aspect / 2)
            return [(self.before, half), (self.after, half)]
        left = min(max(round(self.at * whole.width), 1), whole.width - 1)
        return [
            (self.before, part_of(whole, 0, 0, left, height)),
            (self.after, part_of(whole, left, 0, whole.width - left, height)),
        ]


class Pace:
    """How fast this machine draws, and so how large a picture may be.

    Args:
        largest: height of the largest picture, pixels.
        coarse: height of the coarse picture; 0: as fast as COARSE_SECONDS asks for.
    """

    def __init__(self, largest: int, coarse: int = 0) -> None:
        self.largest, self.coarse_height = largest, min(coarse, largest)
        self._rate = FIRST_GUESS

    @property
    def coarse(self) -> int:
        """Height of a picture while something moves, pixels."""
        return self.coarse_height or self._height(COARSE_SECONDS, COARSE_SAMPLES)

    @property
    def fine(self) -> int:
        """Height of the picture at rest, pixels."""
        least = min(max(LEAST_FINE, self.coarse), self.largest)
        return max(self._height(FINE_SECONDS, FINE_SAMPLES), least)

    def rows(self, height: int, samples: int) -> int:
        """Rows of a picture that make a piece."""
        return max(int(PIECE_SECONDS / (self._rate * height * samples)), 8)

    def took(self, seconds: float, height: int, samples: int) -> None:
        """A square picture's worth of work took so long."""
        rate = seconds / (height * height * samples)
        self._rate += 0.2 * (rate - self._rate)

    def _height(self, seconds: float, samples: int) -> int:
        height = math.sqrt(seconds / (self._rate * samples))
        return int(min(max(height // STEP * STEP, SMALLEST), self.largest))


class Eye:
    """Draws for one visitor, and keeps what is found but once of the objects they see.

    Args:
        generator: frozen.
        pace: shared by all visitors.
    """

    def __init__(self, generator: Generator, pace: Pace) -> None:
        self.generator, self.pace = generator, pace
        self._objects: dict[tuple[int, tuple[int, ...]], tuple[Codes, CachedRenderer]] = {}

    def draw(self, scene: Scene) -> Iterator[UInt8[np.ndarray, "height width 3"] | None]:
        """Coarse, then fine, then as fine as the generator is; None between pieces of work."""
        whole = self.generator.config.render_samples
        coarse, fine, largest = self.pace.coarse, self.pace.fine, self.pace.largest
        yield from self.picture(scene, coarse, min(COARSE_SAMPLES, whole), at_once=True)
        yield from self.picture(scene, fine, min(FINE_SAMPLES, whole))
        if largest > fine or whole > FINE_SAMPLES:
            yield from self.picture(scene, largest, whole)

    def picture(
        self, scene: Scene, height: int, samples: int, at_once: bool = False
    ) -> Iterator[UInt8[np.ndarray, "height width 3"] | None]:
        """One picture, at the end; None before, after each piece.

        Args:
            at_once: in one piece.
        """
        canvas = np.full((height, scene.view.camera(height).width, 3), 255, dtype=np.uint8)
        started, worked = time.perf_counter(), 0.0
        left, rows = 0, height if at_once else self.pace.rows(height, samples)
        for codes, camera in scene.pieces(height):
            objects = self._finished(codes, height)
            for top in range(0, height, rows):
                part = part_of(camera, 0, top, camera.width, min(rows, height - top))
                view = objects.render(part.to(self.generator.device), samples=samples)
                width = min(camera.width, canvas.shape[1] - left)
                canvas[top : top + rows, left : left + width] = to_uint8(view.rgb)[0][:, :width]
                worked += time.perf_counter() - started
                if not at_once:
                    yield None
                started = time.perf_counter()
            if left:
                canvas[:, left - 1 : left] = 160
            left += camera.width
        self.pace.took(worked, height, samples)
        yield canvas

    def forget(self) -> None:
        """Lets go of all objects."""
        self._objects.clear()

    @torch.no_grad()
    def _finished(self, codes: Codes, height: int) -> CachedRenderer:
        box = self.generator.box
        small = height * height <= self.pace.coarse**2
        cells = grid_cells(box.tolist(), COARSE_CELLS)
        cells = cells if small else finished_cells(box, height * height)
        key = (id(codes), tuple(cells))
        if key not in self._objects:
            there = codes.to(self.generator.device)
            objects = CachedRenderer(
                self.generator.field, box, there, *self.generator.styles(there), cells
            )
            self._objects[key] = (codes, objects)  # the codes are kept, or their id would be reused
            while len(self._objects) > KEPT_OBJECTS:
                self._objects.pop(next(iter(self._objects)))
        return self._objects[key][1]
