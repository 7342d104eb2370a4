"""What needs the generator alone: objects sampled, pictures, films and meshes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from clipnerf.editor import morph
from clipnerf.editor.mesh import CRUMBS, Mesh, surface
from clipnerf.editor.orbit import film
from clipnerf.editor.views import Angle, camera_at, check_film, one_turn
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.io.video import Film, check_video_path, check_video_size, write_video
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.volume import RenderOutput


class Showing:
    """Objects of a generator, and how they look."""

    generator: Generator

    @property
    def device(self) -> torch.device:
        """Where the generator is, and all that it makes."""
        return self.generator.device

    def sample(self, seeds: int | Iterable[int]) -> Codes:
        """One object a seed, 0 to 4294967295; the same codes on every machine."""
        dim = self.generator.config.field.code_dim
        return Codes.from_seeds(seeds, dim).to(self.device)

    @torch.no_grad()
    def render(
        self,
        codes: Codes,
        azimuth_deg: Angle = 30,
        elevation_deg: Angle = 20,
        size: int = 64,
        camera: Camera | None = None,
        *,
        samples: int | None = None,
    ) -> RenderOutput:
        """Pictures of the objects: rgb in [0, 1] on white, opacity, depth.

        Args:
            azimuth_deg, elevation_deg: where the camera stands, degrees; 0, 0 looks at the front;
                numbers, or one for each picture.
            size: width and height, pixels.
            camera: one camera, or one for each object, in the place of the angles and the size.
                One object may be seen by many cameras.
            samples: samples a ray; the generator's own where None.
        """
        check_film(camera, samples=samples)
        if camera is None:
            camera = camera_at(self.generator, azimuth_deg, elevation_deg, size)
        if len(Codes.check(codes)) == 1 and len(camera) > 1:
            codes = codes[torch.zeros(len(camera), dtype=torch.long)]
        if len(camera) not in (1, len(codes)):
            raise UsageError(
                f"{len(camera)} cameras for {len(codes)} objects; give one, or one for each"
            )
        return self.generator.render(codes.to(self.device), camera, samples=samples)

    def orbit(
        self,
        codes: Codes,
        path: str | Path,
        frames: int = 48,
        size: int = 128,
        *,
        elevation_deg: float | int = 20,
        fps: float | int = 24,
        samples: int | None = None,
        camera: Camera | None = None,
    ) -> Film:
        """A video of a camera that goes once around objects side by side; notebooks play it.

        Args:
            path: an .mp4 file; it is opened before the first frame is rendered.
            frames: number of frames, one turn in all.
            size: width and height of each object's tile, pixels; even, for H.264.
            elevation_deg: height of the camera above the horizon, degrees.
            fps: frames a second.
            camera: one a frame, in the place of frames, size and elevation; see io/camera_path.py.
        Raises:
            UsageError: a value out of range, or no .mp4.
            ClipNerfError: the video cannot be written; nothing is left behind.
        """
        path = check_video_path(path)
        check_film(camera, size=size)
        height, width = (size, size) if camera is None else (camera.height, camera.width)
        check_video_size(height, width * len(Codes.check(codes)))
        pictures = self.frames(
            codes, frames, size, elevation_deg=elevation_deg, samples=samples, camera=camera
        )
        return write_video(path, pictures, fps=fps)

    def morph(
        self,
        stops: Sequence[Codes],
        path: str | Path,
        frames: int = 96,
        size: int = 128,
        *,
        loop: bool = True,
        turns: float | int = 1.0,
        azimuth_deg: float | int = 30,
        elevation_deg: float | int = 20,
        fps: float | int = 24,
        samples: int | None = None,
    ) -> Film:
        """A video of objects that become others, or what an edit makes of them, and back again.

        Args:
            stops: what is passed through, two or more batches of as many objects, which stand
                side by side: ``[codes[0], codes[1], codes[2]]`` leads from object to object,
                ``[codes, edited]`` through an edit.
            path, size, fps: as for :meth:`orbit`.
            frames: number of frames in all, 2 or more.
            loop: go back to the first stop at the end, so that the video can be repeated.
            turns: how often the camera goes around meanwhile; 0: it stands still.
            azimuth_deg, elevation_deg: where the camera starts, degrees.
        Raises: as :meth:`orbit`.
        """
        path = check_video_path(path)
        way = morph.along(stops, frames, loop)
        given = {"azimuth_deg": azimuth_deg, "elevation_deg": elevation_deg, "turns": turns}
        check_film(size=size, samples=samples, **given)
        check_video_size(size, size * len(way[0]))
        azimuths = azimuth_deg + turns * 360 * torch.arange(frames) / frames
        pictures = morph.render_morph(self.generator, way, azimuths, elevation_deg, size, samples)
        return write_video(path, pictures, fps=fps)

    def frames(
        self,
        codes: Codes,
        frames: int = 48,
        size: int = 128,
        *,
        elevation_deg: float | int = 20,
        samples: int | None = None,
        camera: Camera | None = None,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The pictures of :meth:`orbit`, one after another: objects side by side, 0 to 255."""
        check_film(camera, samples=samples)
        if camera is None:
            camera = one_turn(self.generator, frames, elevation_deg, size)
        return film(self.generator, Codes.check(codes), camera, samples)

    def mesh(
        self, codes: Codes, resolution: int = 128, crumbs: float = CRUMBS, texture: int = 0
    ) -> list[Mesh]:
        """A mesh of each object, to be ``save`` d; see :func:`clipnerf.editor.mesh.surface`."""
        options = (resolution, crumbs, texture)
        return [surface(self.generator, codes[n], *options) for n in range(len(Codes.check(codes)))]
