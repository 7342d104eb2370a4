"""Regions: where a local edit applies, by a phrase, a box, or a mask painted over one view.

A phrase is found by the bundle's region field, for any object, at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.ranges import Caption, OpenShare, check, shown
from clipnerf.data.masks import read_mask
from clipnerf.data.pictures import Picture
from clipnerf.errors import UsageError, warn
from clipnerf.fields.masks import BoxRegion, PaintedRegion, PhraseRegion, Region
from clipnerf.fields.modulated import Affine
from clipnerf.fields.region import RegionField
from clipnerf.fields.styles import AppearanceStyle
from clipnerf.gan.codes import Codes, LocalEdit
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.rendering.cameras import Camera, front_to_x
from clipnerf.segmentation.region_file import FILE_NAME, load_region

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

THRESHOLD = 0.5
"""Probability above which a point belongs to what a phrase names. (0.7 leaks a little less, and
leaves more of a part as it was.)"""
_SIDES_DEG = (35.0, 155.0, 275.0)
_ELEVATION_DEG = 20.0
_SIZE = 32
_SATURATED = 120.0
"""Logit whose sigmoid is 1, and whose negative's is 0, in float32."""


@dataclass(frozen=True)
class Painted:
    """A mask painted over one view: white where the edit applies.

    Attributes:
        mask: a picture, see :func:`clipnerf.data.masks.read_mask`; square.
        azimuth_deg, elevation_deg: where the camera of the view stands.
        camera: in the place of the angles.
    """

    mask: Picture
    azimuth_deg: float | int = 30.0
    elevation_deg: float | int = 20.0
    camera: Camera | None = None


@runtime_checkable
class Sentences(Protocol):
    """The part of a segmenter that reads phrases."""

    def sentence(self, texts: Sequence[str]) -> Float[Tensor, "texts embedding"]:
        """Vectors of phrases."""
        ...

    def unknown_words(self, text: str) -> list[str]:
        """Words that were never met."""
        ...


Where = str | Sequence[float | int] | Painted
"""A phrase, a box (x0, y0, z0, x1, y1, z1; front +x, left +y, up +z), or a painted mask."""


@dataclass(frozen=True)
class PhraseGrounding:
    """What finds phrases on the objects of a generator.

    Attributes:
        field: the region field.
        sentences: reads phrases for it; a Segmenter.
        noun: the category's, such as "chair": "red" is asked for as "a red chair".
    """

    field: RegionField
    sentences: Sentences
    noun: str = ""

    @classmethod
    def load(cls, folder: Path, generator: Generator, clip: Clip | None) -> PhraseGrounding | None:
        """That of a bundle's folder; None where it has none.

        Raises:
            UsageError: broken files, or those of another generator or segmenter.
        """
        file = folder / FILE_NAME
        if clip is None or not file.is_file():
            return None
        from clipnerf.segmentation.segmenter import Segmenter

        segmenter = Segmenter.load(folder, clip).to(generator.device)
        field, noun = load_region(
            file, generator_hash=generator.hash, segmenter_hash=segmenter.hash
        )
        return cls(field.to(generator.device), segmenter, noun)


class RegionFinder:
    """Finds regions on the objects of a generator.

    Args:
        generator: frozen.
        grounding: finds phrases; None: only boxes and painted masks. A function is called when the
            first phrase is met: most sessions name no part.
    """

    def __init__(
        self,
        generator: Generator,
        grounding: PhraseGrounding | Callable[[], PhraseGrounding | None] | None = None,
    ) -> None:
        self.generator, self._grounding = generator, grounding

    @property
    def grounding(self) -> PhraseGrounding | None:
        """What finds phrases."""
        if callable(self._grounding):
            self._grounding = self._grounding()
        return self._grounding

    @property
    def noun(self) -> str:
        """The category's; empty where nothing finds phrases."""
        return self.grounding.noun if self.grounding else ""

    def find(self, codes: Codes, where: Where, threshold: float | int = THRESHOLD) -> Region:
        """The region on every object.

        Args:
            threshold: of a phrase: probability above which a point belongs to it, in (0, 1).
        Raises:
            UsageError: an empty phrase, a bundle without region field, a box that is none, a mask
                that cannot be read or is not square, or a threshold out of range.
        Warns:
            UserWarning: words of the phrase that were never met.
        """
        check("threshold", threshold, OpenShare)
        if isinstance(where, Painted):
            return self._painted(codes, where)
        if isinstance(where, str):
            return self._phrase(codes, where, float(threshold))
        return self._box(codes, where)

    @torch.no_grad()
    def picture(
        self, codes: Codes, region: Region, camera: Camera
    ) -> Float[Tensor, "batch 1 height width"]:
        """How much of each pixel shows the region, 0 to 1.

        Args:
            camera: one for all objects, or one for each.
        """
        generator = self.generator
        device, batch = generator.device, len(codes)
        codes = codes.to(device)
        ones = torch.ones(batch, 1, device=device)
        marked = Codes(
            codes.shape,
            codes.appearance,
            codes.detail,
            (*codes.layers, LocalEdit(region, None, codes.appearance, ones)),
        )
        shape, appearance = generator.styles(marked)
        inputs = appearance.color[0].weight.shape[1]

        def one_color(logit: float) -> tuple[Affine, ...]:
            """One layer in the place of the color network: the same color everywhere."""
            weight = torch.zeros(batch, inputs, 3, device=device)
            return (Affine(weight, torch.full((batch, 1, 3), logit, device=device)),)

        layer = appearance.layers[-1]
        mask = type(layer)(one_color(_SATURATED), layer.mask, layer.strength)
        style = AppearanceStyle(one_color(-_SATURATED), (mask,))
        camera = camera.to(device).expand(batch)
        cells = finished_cells(generator.box, camera.width * camera.height)
        objects = CachedRenderer(generator.field, generator.box, marked, shape, style, cells)
        samples = generator.config.render_samples
        return objects.render(camera, samples=samples, background=0.0).rgb[:, :1]

    def share(self, codes: Codes, region: Region) -> Float[Tensor, " batch"]:
        """Share of what is seen of each object, from three sides, that the region covers."""
        covered = torch.zeros(len(codes), device=self.generator.device)
        seen = covered.clone()
        for azimuth in _SIDES_DEG:
            camera = self.generator.camera(azimuth, _ELEVATION_DEG, _SIZE)
            covered += self.picture(codes, region, camera).sum((1, 2, 3))
            with torch.no_grad():
                seen += self.generator.render(codes, camera).opacity.sum((1, 2, 3))
        return covered / seen.clamp(min=1e-6)

    def _phrase(self, codes: Codes, phrase: str, threshold: float) -> PhraseRegion:
        if not phrase.strip():
            raise UsageError("region is empty; name a part, such as 'the seat'")
        check("region", phrase, Caption)
        known = self.grounding
        if known is None:
            raise UsageError(
                f"this bundle has no region field, so {phrase!r} cannot be found; make one with "
                "clipnerf train-segmenter and clipnerf train-region, or give a box or a painted "
                "mask"
            )
        unknown = known.sentences.unknown_words(phrase)
        if unknown:
            warn(
                f"the segmenter never met {', '.join(map(repr, unknown))} (in {phrase!r}); it may "
                "find nothing, or something else"
            )
        with torch.no_grad():
            projected = known.field.project(known.sentences.sentence([phrase]))
        batch = len(codes)
        limit = torch.full((batch, 1), threshold, device=projected.device)
        return PhraseRegion(known.field, projected.expand(batch, -1), limit)

    def _box(self, codes: Codes, box: Sequence[float | int]) -> BoxRegion:
        try:
            box = [] if isinstance(box, bytes | bytearray) else list(box)
            numbers = [float(number) for number in box]
        except (TypeError, ValueError, OverflowError):
            numbers = []
        low, high = numbers[:3], numbers[3:]
        if (
            len(numbers) != 6
            or not all(map(math.isfinite, numbers))
            or any(a >= b for a, b in zip(low, high, strict=True))
        ):
            raise UsageError(
                f"region is {shown(box)}; a box is x0, y0, z0, x1, y1, z1, the lowest and the "
                "highest corner, such as [-1, -1, 0, 1, 1, 1]"
            )
        device = self.generator.device
        corners = [torch.tensor([end], device=device).expand(len(codes), -1) for end in (low, high)]
        turn = front_to_x(self.generator.config.front_azimuth_deg).to(device)
        return BoxRegion(corners[0], corners[1], turn)

    def _painted(self, codes: Codes, painted: Painted) -> PaintedRegion:
        mask = painted.mask
        if not isinstance(mask, Tensor) or mask.shape[:-2] == (1,):
            mask = read_mask(mask)
        if mask.ndim != 3 or mask.shape[0] != 1 or mask.shape[1] != mask.shape[2]:
            raise UsageError(
                f"the painted mask is {' x '.join(map(str, mask.shape))}; allowed: 1 x side x "
                "side, as square as the view that it was painted over"
            )
        generator, side = self.generator, mask.shape[-1]
        camera = painted.camera
        if camera is None:
            angles = float(painted.azimuth_deg), float(painted.elevation_deg)
            camera = generator.camera(*angles, side)
        if camera.width != side:
            raise UsageError(
                f"the painted mask is {side} pixels wide and its camera's picture {camera.width}; "
                "give a mask of the size of the picture"
            )
        camera = camera.to(generator.device).expand(len(codes))
        with torch.no_grad():
            depth = generator.render(codes, camera).depth
        mask = mask.float().to(generator.device).expand(len(codes), -1, -1, -1)
        return PaintedRegion(camera, mask, depth)
