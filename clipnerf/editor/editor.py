"""Editor: sample objects of a category, edit them by words or by a picture, look at them.

from clipnerf import Editor
editor = Editor.load("data/pretrained/chairs")
codes = editor.sample(seeds=[0, 1, 2, 3])
edited = editor.edit(codes, "a red chair")
view = editor.render(edited, azimuth_deg=30, elevation_deg=20, size=64)
editor.orbit(edited, "red.mp4", frames=48, size=128)
editor.morph([codes, edited], "turns-red.mp4")

Codes are values that nothing changes in place: what stood before an edit is still there, and is
its undo. docs/editing.md tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.config.paths import bundle_path
from clipnerf.config.verbs import load
from clipnerf.editor import morph
from clipnerf.editor.angles import Angle, angles, camera_at
from clipnerf.editor.bundle import load_bundle
from clipnerf.editor.conditions import Text
from clipnerf.editor.exemplar import Exemplar, exemplar_pictures
from clipnerf.editor.local_edit import THRESHOLD, Locals, Where, last_of
from clipnerf.editor.mapping import Changes
from clipnerf.editor.mesh import CRUMBS, Mesh, surface
from clipnerf.editor.orbit import turn
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.invert import invert_photos, load_encoder
from clipnerf.inversion.result import Inversion
from clipnerf.io.video import check_video_path, check_video_size, write_video
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import Universal
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.volume import RenderOutput

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

ORBIT_PIXELS = 2**18
CUDA_ORBIT_PIXELS = 2**20
"""Pixels of an orbit rendered at a time; a GPU wants large launches."""


class Editor:
    """A frozen generator with the CLIP model and the mappers that belong to it.

    Args:
        generator: frozen.
        clip: the model that the mappers were trained with; None: objects cannot be edited.
        mappers: at most one of the paper's for each of the two codes, or the universal one.
        encoder: sees pose and codes in a picture; without it :meth:`invert` takes longer.
        parts: finds the parts that words name; without it only boxes and painted masks do.
    """

    def __init__(
        self,
        generator: Generator,
        clip: Clip | None = None,
        mappers: Sequence[Mapper] | Universal = (),
        encoder: Encoder | None = None,
        parts: Locals | None = None,
    ) -> None:
        self.generator, self.clip, self.encoder = generator, clip, encoder
        self.changes = Changes(generator, clip, mappers)
        self.parts = Locals(generator) if parts is None else parts
        self.universal, self.mappers = self.changes.universal, self.changes.mappers

    @property
    def device(self) -> torch.device:
        """Where the generator is, and all that it makes."""
        return self.generator.device

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        mapper: str | None = None,
    ) -> Editor:
        """Reads a bundle: a folder of generator, clip, mappers and encoder.

        A bundle without CLIP or without a mapper can be looked at, but not edited that way.

        Args:
            path: the folder; its files end in .safetensors. Or the name of a bundle that comes
                with the project: chairs, cars, chairs-128, cars-128.
            device: auto (also None: cuda where there is one), cpu or cuda.
            mapper: 'universal' or 'paper'; by default universal where the bundle has it.
        Raises:
            UsageError: no bundle, a broken file, mappers of another generator or CLIP, or a kind
                of mapper that the bundle does not have.
        """
        generator, clip, mappers = load_bundle(path, device, mapper)
        folder = bundle_path(str(path))
        parts = Locals.of_bundle(folder, generator, clip)
        return cls(generator, clip, mappers, load_encoder(folder, generator), parts)

    from_pretrained = load
    """:meth:`load`, under the name that other libraries have for it."""

    def sample(self, seeds: Sequence[int]) -> Codes:
        """One object a seed; the same codes on every machine.

        Args:
            seeds: whole numbers from 0 to 4294967295.
        """
        if len(seeds) == 0:
            raise UsageError("seeds is empty; give at least one, such as [0]")
        dim = self.generator.config.field.code_dim
        return Codes.from_seeds(list(seeds), dim).to(self.device)

    @torch.no_grad()
    def edit(
        self,
        codes: Codes,
        text: Text | None = None,
        shape: float | int | None = None,
        appearance: float | int | None = None,
        *,
        image: Exemplar | None = None,
        region: Where | None = None,
        threshold: float | int = THRESHOLD,
    ) -> Codes:
        """The objects, changed towards words or a picture: one pass of two small networks.

        Any number of objects at once. Edits compose: the result of one is what the next starts
        from.

        Args:
            text: any prompt for all objects, a list with one for each, or several at once with
                their weights: {"a red chair": 1, "a chair with a high back": 0.5} adds the changes
                that each would make alone, weighted.
            shape, appearance: strengths of the two mappers; 0 changes nothing, 1 is what they
                were trained for, others (also below 0) extrapolate. Strength 0 for both returns
                the very same codes. By default the words decide, with a universal mapper: "a red
                chair" leaves the shape alone to the last bit (see :meth:`route`). With the
                paper's mappers, and for pictures, the default is 1.
            image: an exemplar in the place of the text: the path of a picture, a list with one
                for each object, or pictures [3, height, width] or [batch, 3, height, width] in
                [0, 1], such as ``editor.render(other).rgb``.
            region: change this part alone: a phrase such as "the seat", a box in the world
                (x0, y0, z0, x1, y1, z1), or a :class:`Painted` mask. Of words a bare colour is
                enough: "red".
            threshold: of a phrase: how sure it has to be that a point belongs, in (0, 1).
        Raises:
            UsageError: both text and image or neither, empty text, a strength or weight that is
                no finite number, a picture that cannot be read, a number of prompts or pictures
                other than of objects, or no mapper for a strength other than 0; a region that is
                on none of the objects.
        Warns:
            UserWarning: words that the CLIP model does not know, text too long for it, or a
                prompt that lies outside what the model can do.
        """
        if region is None:
            return self.changes.edit(codes, text, shape, appearance, image)
        bare = isinstance(text, str) and self.parts.is_bare(text)

        def whole(objects: Codes) -> Codes:
            """The edit, of the whole of any objects; a bare colour leaves their shape alone."""
            said = self.parts.prompt(text) if bare and isinstance(text, str) else text
            kept = 0 if bare and shape is None else shape
            return self.changes.edit(objects, said, kept, appearance, image)

        name = f"{region if isinstance(region, str) else 'the region'}: {text or 'the exemplar'}"
        return self.parts.edit(codes, whole, region, threshold, name, paint=bare)

    def edit_parts(
        self, codes: Codes, edits: Mapping[str, str] | Sequence[tuple[str, str]],
        threshold: float | int = THRESHOLD,
    ) -> Codes:  # fmt: skip
        """Several local edits: ``{"the wheels": "black", "the body": "green"}``.

        Args:
            edits: phrase -> what the part is to become; of one phrase twice the last counts.
        Raises, Warns: as :meth:`edit`; a UserWarning for a phrase that is named twice.
        """
        for phrase, text in last_of(edits):
            codes = self.edit(codes, text, region=phrase, threshold=threshold)
        return codes

    def region_picture(
        self, codes: Codes, region: Where, azimuth_deg: Angle = 30, elevation_deg: Angle = 20,
        size: int = 64, camera: Camera | None = None, threshold: float | int = THRESHOLD,
    ) -> Float[Tensor, "batch 1 size size"]:  # fmt: skip
        """How much of each pixel shows a region, 0 to 1; cameras as for :meth:`render`."""
        camera = self._camera(azimuth_deg, elevation_deg, size) if camera is None else camera
        codes = codes.to(self.device)
        return self.parts.picture(codes, self.parts.region(codes, region, threshold), camera)

    @torch.no_grad()
    def route(self, text: str) -> dict[str, float]:
        """How much of each mapper a prompt asks for: the default strengths of :meth:`edit`.

        Returns:
            {"shape": 0 to 1, "appearance": 0 to 1}; both 1 without a universal mapper.
        Raises:
            UsageError: empty text, or a bundle without CLIP.
        """
        return self.changes.route(text)

    def invert(
        self,
        pictures: Exemplar,
        config: InversionConfig | None = None,
        *,
        background: str = "auto",
        mask: str | Path | None = None,
        framing: str = "auto",
    ) -> Inversion:
        """Codes and cameras of the objects in pictures, one object each; about half a minute a
        picture on a CPU.

        ``editor.render(found.codes, camera=found.cameras)`` shows the reconstructions.

        Args:
            pictures: the path of a photo or a list of paths; or pictures [batch, 3, size, size] in
                [0, 1], as the generator would show them.
            config: method, steps, weights; the defaults where None.
            background, mask, framing: of photos, as ``clipnerf invert --help`` says.
        Raises:
            UsageError: a photo that cannot be read or shows no object, or a value out of range.
        Warns:
            UserWarning: a background that is not white, or a poor reconstruction.
        """
        if isinstance(pictures, Tensor):
            pictures = torch.cat(exemplar_pictures(pictures, 0))
        return invert_photos(
            self.generator, pictures, config, background=background, mask=mask, framing=framing,
            encoder=self.encoder, clip=self.clip,
        )  # fmt: skip

    def interpolate(self, before: Codes, after: Codes, steps: int = 9) -> list[Codes]:
        """The way from some objects to others, or to the same ones after an edit.

        Spherical, as the generator looks at the direction of a code alone.

        Args:
            before, after: as many objects each.
            steps: batches on the way, both ends among them.
        """
        return morph.interpolate(before, after, steps)

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
        camera = self._camera(azimuth_deg, elevation_deg, size) if camera is None else camera
        if len(codes) == 1 and len(camera) > 1:
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
    ) -> Path:
        """A video of a camera that goes once around; several objects turn side by side.

        Args:
            path: an .mp4 file; it is opened before the first frame is rendered.
            frames: number of frames, one turn in all.
            size: width and height of each object's tile, pixels; even, for H.264.
            elevation_deg: height of the camera above the horizon, degrees.
            fps: frames a second.
        Raises:
            UsageError: a value out of range, or no .mp4.
            ClipNerfError: the video cannot be written; nothing is left behind.
        """
        path = check_video_path(path)
        check_video_size(size, size * len(codes))
        pictures = self.frames(codes, frames, size, elevation_deg=elevation_deg, samples=samples)
        return write_video(path, pictures, fps=float(fps))

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
    ) -> Path:
        """A video of objects that become others, or what an edit makes of them, and back again.

        Args:
            stops: what is passed through, two or more batches of as many objects, which stand
                side by side: ``[codes[0], codes[1], codes[2]]`` leads from object to object,
                ``[codes, edited]`` through an edit.
            path: an .mp4 file; it is opened before the first frame is rendered.
            frames: number of frames in all, 2 or more.
            size: width and height of each object's tile, pixels; even, for H.264.
            loop: go back to the first stop at the end, so that the video can be repeated.
            turns: how often the camera goes around meanwhile; 0: it stands still.
            azimuth_deg, elevation_deg: where the camera starts, degrees.
            fps: frames a second.
        Raises:
            UsageError: a value out of range, or no .mp4.
            ClipNerfError: the video cannot be written; nothing is left behind.
        """
        path = check_video_path(path)
        way = morph.along(stops, frames, loop)
        check_video_size(size, size * len(way[0]))
        start = angles("azimuth_deg", azimuth_deg)
        turned = angles("turns", turns) * 360 * torch.arange(frames) / frames
        angles("elevation_deg", elevation_deg)
        pictures = morph.draw(
            self.generator, way, start + turned, float(elevation_deg), size, samples, self._pixels
        )
        return write_video(path, pictures, fps=float(fps))

    def frames(
        self,
        codes: Codes,
        frames: int = 48,
        size: int = 128,
        *,
        elevation_deg: float | int = 20,
        samples: int | None = None,
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The pictures of :meth:`orbit`, one after another: objects side by side, 0 to 255.

        Raises:
            UsageError: a value out of range.
        """
        if frames < 1:
            raise UsageError(f"frames is {frames}; a video has at least 1")
        angles("elevation_deg", elevation_deg)
        return turn(
            self.generator, codes, frames, size, float(elevation_deg), samples, self._pixels
        )

    def mesh(self, codes: Codes, resolution: int = 128, crumbs: float = CRUMBS) -> list[Mesh]:
        """A mesh of each object, to be ``save`` d; see :func:`clipnerf.editor.mesh.surface`."""
        return [surface(self.generator, codes[n], resolution, crumbs) for n in range(len(codes))]

    def view(self, **options: Any) -> None:
        """A page in the browser, until Ctrl-C; see :func:`clipnerf.viewer.server.serve`."""
        load("viewer.server:serve")(self, **options)  # by name: it is built on this class

    def _camera(self, azimuth_deg: Angle, elevation_deg: Angle, size: int) -> Camera:
        return camera_at(self.generator, azimuth_deg, elevation_deg, size)

    @property
    def _pixels(self) -> int:
        return ORBIT_PIXELS if self.device.type == "cpu" else CUDA_ORBIT_PIXELS
