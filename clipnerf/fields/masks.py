"""Where a local edit applies: masks over points, 0 outside and 1 inside, and layers that use them.

A *region* is said without an object: a phrase, a box, a painted mask; ``bind`` makes of it the mask
over the points of some objects. Every mask is exactly 0 outside: there an edited field is the
unedited one, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from clipnerf.fields.modulated import Affine, CodeMapping
from clipnerf.fields.region import RegionField, exact_ramp, folded_logits
from clipnerf.rendering.cameras import Camera

BOX_EDGE = 0.02
"""World units over which a box fades in, inwards."""
BEHIND = 0.15
"""World units behind the visible surface down to which a painted mask reaches."""


@runtime_checkable
class Mask(Protocol):
    """A mask over points of B objects."""

    def __call__(
        self, points: Float[Tensor, "batch points 3"], features: Float[Tensor, "batch points f"]
    ) -> Float[Tensor, "batch points"]:
        """Values in [0, 1]; ``points`` in the world, ``features`` at their canonical places."""
        ...

    def rows(self, index: Tensor) -> Mask:
        """A selection of objects."""
        ...


@runtime_checkable
class Region(Protocol):
    """A region of B objects, before it is bound to their shapes."""

    def bind(self, mapping: CodeMapping, z_s: Float[Tensor, "batch code"]) -> Mask:
        """The mask over objects of these shape codes; ``mapping`` is the field's of shape."""
        ...

    def __getitem__(self, rows: slice | Tensor | list[int]) -> Region:
        """A selection of objects."""
        ...

    def to(self, device: torch.device | str) -> Region:
        """The same on a device."""
        ...

    @property
    def numbers(self) -> Float[Tensor, "batch numbers"]:
        """Rows that are equal where the regions are."""
        ...


@dataclass(frozen=True)
class PhraseMask:
    """What a phrase names, by the folded region field; ``threshold`` a probability each."""

    layers: tuple[Affine, ...]
    threshold: Float[Tensor, "batch 1"]

    def __call__(self, points: Tensor, features: Tensor) -> Tensor:
        """See :class:`Mask`."""
        return exact_ramp(folded_logits(features, self.layers), self.threshold)

    def rows(self, index: Tensor) -> PhraseMask:
        """See :class:`Mask`."""
        return PhraseMask(tuple(a.rows(index) for a in self.layers), self.threshold[index])


@dataclass(frozen=True)
class PhraseRegion:
    """A phrase for each object.

    Attributes:
        field: the category's region field.
        projected: of the phrases, from ``field.project``.
        threshold: probability above which a point belongs, in (0, 1).
    """

    field: RegionField
    projected: Float[Tensor, "batch projected"]
    threshold: Float[Tensor, "batch 1"]

    def bind(self, mapping: CodeMapping, z_s: Tensor) -> PhraseMask:
        """See :class:`Region`."""
        style = mapping(z_s)
        return PhraseMask(self.field.fold(style, self.projected), self.threshold)

    def __getitem__(self, rows: slice | Tensor | list[int]) -> PhraseRegion:
        return replace(self, projected=self.projected[rows], threshold=self.threshold[rows])

    def to(self, device: torch.device | str) -> PhraseRegion:
        """See :class:`Region`; the field is where its generator is."""
        return replace(
            self, projected=self.projected.to(device), threshold=self.threshold.to(device)
        )

    @property
    def numbers(self) -> Tensor:
        """See :class:`Region`."""
        return torch.cat((self.projected, self.threshold), dim=1)


@dataclass(frozen=True)
class BoxRegion:
    """A box for each object: its lowest and its highest corner; also its own mask.

    Attributes:
        turn: what turns rows of points into the box's axes; None: they are the field's.
    """

    low: Float[Tensor, "batch 3"]
    high: Float[Tensor, "batch 3"]
    turn: Float[Tensor, "3 3"] | None = None

    def __call__(self, points: Tensor, features: Tensor) -> Tensor:
        """See :class:`Mask`."""
        points = points if self.turn is None else points @ self.turn
        inside = torch.minimum(points - self.low[:, None], self.high[:, None] - points).amin(-1)
        return (inside / BOX_EDGE).clamp(0, 1)

    def bind(self, mapping: CodeMapping, z_s: Tensor) -> BoxRegion:
        """See :class:`Region`."""
        return self

    def rows(self, index: Tensor) -> BoxRegion:
        """See :class:`Mask`."""
        return self[index]

    def __getitem__(self, rows: slice | Tensor | list[int]) -> BoxRegion:
        return replace(self, low=self.low[rows], high=self.high[rows])

    def to(self, device: torch.device | str) -> BoxRegion:
        """See :class:`Region`."""
        turn = None if self.turn is None else self.turn.to(device)
        return BoxRegion(self.low.to(device), self.high.to(device), turn)

    @property
    def numbers(self) -> Tensor:
        """See :class:`Region`."""
        return torch.cat((self.low, self.high), dim=1)


@dataclass(frozen=True)
class PaintedRegion:
    """What a mask covers that was painted over one view of each object; also its own mask.

    Attributes:
        camera: of the view, one for each object.
        painted: the mask, 0 to 1.
        depth: of the object in that view, world units along each ray: nothing far behind the
            surface that was painted on is meant.
    """

    camera: Camera
    painted: Float[Tensor, "batch 1 height width"]
    depth: Float[Tensor, "batch 1 height width"]

    def __call__(self, points: Tensor, features: Tensor) -> Tensor:
        """See :class:`Mask`."""
        away = points - self.camera.c2w[:, None, :3, 3]
        local = away @ self.camera.c2w[:, :3, :3]
        pixel = local @ self.camera.K.mT
        pixel = pixel[..., :2] / pixel[..., 2:].clamp(min=1e-6)
        size = pixel.new_tensor([self.camera.width, self.camera.height])
        at = (pixel / size * 2 - 1)[:, :, None]
        covered = F.grid_sample(self.painted, at, align_corners=False)[:, 0, :, 0]
        shown = F.grid_sample(self.depth, at, mode="nearest", align_corners=False)[:, 0, :, 0]
        near = away.norm(dim=-1) < shown + BEHIND
        return exact_ramp(torch.logit(covered.clamp(1e-4, 1 - 1e-4)), 0.5) * near

    def bind(self, mapping: CodeMapping, z_s: Tensor) -> PaintedRegion:
        """See :class:`Region`."""
        return self

    def rows(self, index: Tensor) -> PaintedRegion:
        """See :class:`Mask`."""
        return self[index]

    def __getitem__(self, rows: slice | Tensor | list[int]) -> PaintedRegion:
        index = torch.as_tensor(rows) if isinstance(rows, list) else rows
        return PaintedRegion(self.camera[index], self.painted[rows], self.depth[rows])

    def to(self, device: torch.device | str) -> PaintedRegion:
        """See :class:`Region`."""
        return PaintedRegion(self.camera.to(device), self.painted.to(device), self.depth.to(device))

    @property
    def numbers(self) -> Tensor:
        """See :class:`Region`."""
        return torch.cat(
            (self.painted.flatten(1), self.depth.flatten(1), self.camera.c2w.flatten(1)), dim=1
        )


@dataclass(frozen=True)
class AnyOf:
    """Where any of several masks is, as far as the strongest of them."""

    masks: tuple[Mask, ...]

    def __call__(self, points: Tensor, features: Tensor) -> Tensor:
        """See :class:`Mask`."""
        found = self.masks[0](points, features)
        for mask in self.masks[1:]:
            found = torch.maximum(found, mask(points, features))
        return found

    def rows(self, index: Tensor) -> AnyOf:
        """See :class:`Mask`."""
        return AnyOf(tuple(mask.rows(index) for mask in self.masks))


@dataclass(frozen=True)
class ColorLayer:
    """Another color within a mask.

    Attributes:
        strength: in [0, 1]; 0 where an object has no such edit.
        paint: red, green, blue, and how far this one color takes the place of the network's;
            None: nowhere.
    """

    color: tuple[Affine, ...]
    mask: Mask
    strength: Float[Tensor, "batch 1"]
    paint: Float[Tensor, "batch 4"] | None = None

    def rows(self, index: Tensor) -> ColorLayer:
        """A selection of objects."""
        return ColorLayer(
            tuple(a.rows(index) for a in self.color),
            self.mask.rows(index),
            self.strength[index],
            None if self.paint is None else self.paint[index],
        )

    def painted(self, rgb: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch points 3"]:
        """The network's colors, or the paint in their place."""
        if self.paint is None:
            return rgb
        color, share = self.paint[:, None, :3], self.paint[:, None, 3:]
        return rgb + share * (color - rgb)


@dataclass(frozen=True)
class ShapeLayer:
    """Another shape within a mask, which is looked for on the object before and after."""

    deform: tuple[Affine, ...]
    density: tuple[Affine, ...]
    before: Mask
    after: Mask
    strength: Float[Tensor, "batch 1"]

    def rows(self, index: Tensor) -> ShapeLayer:
        """A selection of objects."""
        return ShapeLayer(
            tuple(a.rows(index) for a in self.deform),
            tuple(a.rows(index) for a in self.density),
            self.before.rows(index),
            self.after.rows(index),
            self.strength[index],
        )
