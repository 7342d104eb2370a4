"""Local edits: the part of an object that words name is changed, and nothing else.

A region is a phrase (found by the bundle's region field, for any object, at once), a box, or a mask
painted over one view. Outside it the field of the edited object is that of the unedited one bit for
bit, and an edit of colour moves no bit of geometry anywhere.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.masks import read_mask
from clipnerf.data.pictures import Picture
from clipnerf.data.procedural.wording import article
from clipnerf.editor.recolor import painted
from clipnerf.errors import UsageError
from clipnerf.fields.masks import BoxRegion, PaintedRegion, PhraseRegion, Region
from clipnerf.fields.modulated import Affine
from clipnerf.fields.region import RegionField
from clipnerf.fields.styles import AppearanceStyle
from clipnerf.gan.codes import Codes, Layer
from clipnerf.gan.generator import Generator
from clipnerf.gan.inference import FinishedObjects, finished_cells
from clipnerf.rendering.cameras import Camera
from clipnerf.segmentation.region_file import FILE_NAME, load_region

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

THRESHOLD = 0.5
"""Probability above which a point belongs to what a phrase names. (0.7 leaks a little less, and
leaves more of a part as it was.)"""
SURE = 0.5
"""Probability of the points by which an object is said to have a part at all."""
LEAST_SHARE = 0.01
"""Share of what is seen of an object below which it has no such part."""
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
"""A phrase, a box (x0, y0, z0, x1, y1, z1) in the world, or a painted mask."""


@dataclass(frozen=True)
class Known:
    """What finds phrases on the objects of a generator.

    Attributes:
        field: the region field.
        sentences: reads phrases for it; a Segmenter.
        noun: the category's, such as "chair": "red" is asked for as "a red chair".
    """

    field: RegionField
    sentences: Sentences
    noun: str = ""


class Locals:
    """What a bundle knows of the parts of its objects.

    Args:
        generator: frozen.
        known: what finds phrases; None: only boxes and painted masks. A function is called when
            the first phrase is met: most sessions name no part.
    """

    def __init__(
        self, generator: Generator, known: Known | Callable[[], Known | None] | None = None
    ) -> None:
        self.generator, self._known = generator, known

    @property
    def known(self) -> Known | None:
        """What finds phrases."""
        if callable(self._known):
            self._known = self._known()
        return self._known

    @classmethod
    def of_bundle(cls, folder: Path, generator: Generator, clip: Clip | None) -> Locals:
        """Those of a bundle's folder; its files are read when they are needed."""

        def read() -> Known | None:
            file = folder / FILE_NAME
            if clip is None or not file.is_file():
                return None
            from clipnerf.segmentation.segmenter import Segmenter

            segmenter = Segmenter.load(folder, clip).to(generator.device)
            field, noun = load_region(
                file, generator_hash=generator.hash, segmenter_hash=segmenter.hash
            )
            return Known(field.to(generator.device), segmenter, noun)

        return cls(generator, read)

    def is_bare(self, text: str) -> bool:
        """Whether a text is one or two bare words, such as a colour, which name no object."""
        words, noun = text.lower().split(), self.known.noun if self.known else ""
        articles = ("a", "an", "the", "with", "without", "no")
        if not noun or not 1 <= len(words) <= 2:
            return False
        return noun not in words and words[0] not in articles

    def prompt(self, text: str) -> str:
        """A bare text as a prompt for the whole object: "red" is "a red chair"."""
        if not self.is_bare(text) or self.known is None:
            return text
        return article(f"{text.strip()} {self.known.noun}")

    def edit(
        self,
        codes: Codes,
        whole: Callable[[Codes], Codes],
        where: Where,
        threshold: float | int,
        name: str,
        paint: bool = False,
    ) -> Codes:
        """The objects with a local edit on top of those they have.

        Args:
            whole: the edit as it would be of whole objects.
            paint: the edit asks for a colour, which the part is to have even where the generator
                never gives it to such a part; see ``recolor.py``.
        Raises, Warns: as :meth:`layer`.
        """
        there = codes.to(self.generator.device)
        plain = replace(there, layers=())
        layer = self.layer(plain, whole(plain), where, threshold, name)
        if layer.shape is None and layer.appearance is None:
            return codes
        if paint:
            layer = painted(self.generator, plain, layer, whole)
        return replace(there, layers=(*there.layers, layer))

    def region(self, codes: Codes, where: Where, threshold: float | int = THRESHOLD) -> Region:
        """The region on every object.

        Args:
            threshold: of a phrase: probability above which a point belongs to it, in (0, 1).
        Raises:
            UsageError: an empty phrase, a bundle without region field, a box that is none, a mask
                that cannot be read or is not square, or a threshold out of range.
        Warns:
            UserWarning: words of the phrase that were never met.
        """
        if not (isinstance(threshold, float | int) and 0 < threshold < 1):
            raise UsageError(f"threshold is {threshold}; allowed: above 0, below 1")
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
        marked = Codes(codes.shape, codes.appearance, codes.detail, (
            *codes.layers, Layer(region, None, codes.appearance, ones)))  # fmt: skip
        shape, appearance = generator.styles(marked)
        inputs = appearance.color[0].weight.shape[1]

        def one_color(logit: float) -> tuple[Affine, ...]:
            """One layer in the place of the colour network: the same colour everywhere."""
            weight = torch.zeros(batch, inputs, 3, device=device)
            return (Affine(weight, torch.full((batch, 1, 3), logit, device=device)),)

        layer = appearance.layers[-1]
        mask = type(layer)(one_color(_SATURATED), layer.mask, layer.strength)
        style = AppearanceStyle(one_color(-_SATURATED), (mask,))
        camera = camera.to(device).expand(batch)
        cells = finished_cells(generator.box, camera.width * camera.height)
        objects = FinishedObjects(generator.field, generator.box, marked, shape, style, cells)
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

    def layer(
        self, before: Codes, after: Codes, where: Where, threshold: float | int, name: str
    ) -> Layer:
        """The local edit that leads from the objects to what an edit made of the whole of them.

        Raises:
            UsageError: as :meth:`region`; or no object has such a part.
        Warns:
            UserWarning: objects without such a part, which stay as they are.
        """
        region = self.region(before, where, threshold)
        has = torch.ones(len(before), dtype=torch.bool, device=self.generator.device)
        if isinstance(where, str):
            assert isinstance(region, PhraseRegion)
            sure = replace(region, threshold=region.threshold.clamp(min=SURE))
            has = self.share(before, sure) >= LEAST_SHARE
            if after.shape is not before.shape and not torch.equal(after.shape, before.shape):
                has |= self.share(after, sure) >= LEAST_SHARE  # a part that the edit brings
            lack = [row for row, there in enumerate(has.tolist()) if not there]
            if len(lack) == len(before):
                raise UsageError(
                    f"no such part: {where!r} is on none of the objects; name another part, or "
                    f"lower the threshold ({threshold:g})"
                )
            if lack:
                rows = ", ".join(map(str, lack))
                warnings.warn(
                    f"no such part: {where!r} is not on object {rows} of {len(before)}, counted "
                    "from 0; unchanged",
                    UserWarning,
                    stacklevel=4,
                )
        moved = [
            None if torch.equal(new, old.to(new.device)) else new
            for old, new in ((before.shape, after.shape), (before.appearance, after.appearance))
        ]
        return Layer(region, moved[0], moved[1], has[:, None].float(), name)

    def _phrase(self, codes: Codes, phrase: str, threshold: float) -> PhraseRegion:
        if not phrase.strip():
            raise UsageError("region is empty; name a part, such as 'the seat'")
        known = self.known
        if known is None:
            raise UsageError(
                f"this bundle has no region field, so {phrase!r} cannot be found; make one with "
                "clipnerf train-segmenter and clipnerf train-region, or give a box or a painted "
                "mask"
            )
        unknown = known.sentences.unknown_words(phrase)
        if unknown:
            warnings.warn(
                f"the segmenter never met {', '.join(map(repr, unknown))} (in {phrase!r}); it may "
                "find nothing, or something else",
                UserWarning,
                stacklevel=5,
            )
        with torch.no_grad():
            projected = known.field.project(known.sentences.sentence([phrase]))
        batch = len(codes)
        limit = torch.full((batch, 1), threshold, device=projected.device)
        return PhraseRegion(known.field, projected.expand(batch, -1), limit)

    def _box(self, codes: Codes, box: Sequence[float | int]) -> BoxRegion:
        numbers = [float(number) for number in box]
        low, high = numbers[:3], numbers[3:]
        if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or any(
            a >= b for a, b in zip(low, high, strict=True)
        ):  # fmt: skip
            raise UsageError(
                f"region is {list(box)}; a box is x0, y0, z0, x1, y1, z1, the lowest and the "
                "highest corner, such as [-1, -1, 0, 1, 1, 1]"
            )
        device = self.generator.device
        corners = [torch.tensor([end], device=device).expand(len(codes), -1) for end in (low, high)]
        return BoxRegion(*corners)

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


def last_of(edits: Mapping[str, str] | Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of phrase and text; of several for one phrase the last.

    Raises:
        UsageError: no edit at all.
    Warns:
        UserWarning: a phrase that is named twice.
    """
    pairs = list(edits.items()) if isinstance(edits, Mapping) else list(edits)
    if not pairs:
        raise UsageError("no local edit is given; give some, such as {'the seat': 'red'}")
    last = {" ".join(phrase.lower().split()): number for number, (phrase, _) in enumerate(pairs)}
    kept = sorted(last.values())
    if len(kept) < len(pairs):
        doubled = [pairs[n][0] for n in range(len(pairs)) if n not in kept]
        warnings.warn(
            f"{', '.join(map(repr, doubled))} is edited more than once; the last edit counts",
            UserWarning,
            stacklevel=3,
        )
    return [pairs[number] for number in kept]
