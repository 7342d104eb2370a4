"""Codes: what makes one object of the category, shape and appearance apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.ranges import refuse, seeds_of
from clipnerf.errors import UsageError
from clipnerf.fields.masks import Region
from clipnerf.training.seeds import normal_codes

MOST_NAMES, LONGEST_NAME = 20, 100
"""Of local edits, in a notebook."""


@dataclass(frozen=True)
class Detail:
    """What codes cannot say of one object, added to the style of every modulated layer.

    Found by inversion only, as in the W+ space of StyleGAN (Abdal et al. 2019); samples have none.
    The shape's detail reaches geometry alone and the appearance's color alone, as the codes do.
    """

    shape: Float[Tensor, "batch shape_layers style"]
    appearance: Float[Tensor, "batch color_layers style"]

    def __getitem__(self, rows: slice | Tensor | list[int]) -> Detail:
        """A selection."""
        return Detail(self.shape[rows], self.appearance[rows])

    def to(self, device: torch.device | str) -> Detail:
        """The same on a device."""
        return Detail(self.shape.to(device), self.appearance.to(device))

    def zeros(self, batch: int) -> Detail:
        """Of as many layers, and nothing added."""
        return Detail(
            self.shape.new_zeros(batch, *self.shape.shape[1:]),
            self.appearance.new_zeros(batch, *self.appearance.shape[1:]),
        )


@dataclass(frozen=True)
class LocalEdit:
    """A local edit: other codes within a region of each object.

    Attributes:
        region: where.
        shape, appearance: the codes there; None: as below.
        strength: 0 where an object has no such edit, 1 where it has; between them it fades.
        name: what was asked for, for people.
        paint: see :class:`fields.local.ColorLayer`.
    """

    region: Region
    shape: Float[Tensor, "batch code"] | None
    appearance: Float[Tensor, "batch code"] | None
    strength: Float[Tensor, "batch 1"]
    name: str = ""
    paint: Float[Tensor, "batch 4"] | None = None

    def __getitem__(self, rows: slice | Tensor | list[int]) -> LocalEdit:
        """A selection of objects."""
        return self._each(lambda some: some[rows])

    def to(self, device: torch.device | str) -> LocalEdit:
        """The same on a device."""
        return self._each(lambda some: some.to(device))

    def _each(self, change: Callable[[Any], Any]) -> LocalEdit:
        optional = (self.shape, self.appearance, self.paint)
        shape, appearance, paint = (None if some is None else change(some) for some in optional)
        strength = change(self.strength)
        return LocalEdit(change(self.region), shape, appearance, strength, self.name, paint)

    def times(self, strength: float | Tensor) -> LocalEdit:
        """Faded; ``strength`` is a number, or one for each object [batch, 1]."""
        return replace(self, strength=self.strength * strength)

    def spread(self, first: int, total: int) -> LocalEdit:
        """For a batch of ``total`` objects, of which ours begin at ``first``; none of the others
        has the edit."""
        own = torch.arange(total, device=self.strength.device) - first
        ours = (own >= 0) & (own < len(self.strength))
        return self[own.clamp(0, len(self.strength) - 1)].times(ours[:, None].float())


@dataclass(frozen=True)
class Codes:
    """A batch of shape codes and appearance codes, each standard normal when sampled.

    Attributes:
        detail: what an inversion found beyond the codes; None for objects of the codes alone.
        layers: local edits, each over what lies below it.
    """

    shape: Float[Tensor, "batch code"]
    appearance: Float[Tensor, "batch code"]
    detail: Detail | None = None
    layers: tuple[LocalEdit, ...] = ()

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> Codes:
        """A selection, still a batch: ``codes[0]`` is a batch of one.

        Raises:
            IndexError: there is no such object. UsageError: the index is of no such type.
        """
        rows: Any = index
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"codes[{index}] of {len(self)} objects")
            rows = slice(int(index), int(index) + 1 or None)
        elif not isinstance(index, slice | Tensor | list | np.ndarray):
            refuse("index of codes", index, "a number, a slice, or a list or tensor of numbers")
        detail = None if self.detail is None else self.detail[rows]
        layers = tuple(layer[rows] for layer in self.layers)
        return Codes(self.shape[rows], self.appearance[rows], detail, layers)

    def to(self, device: torch.device | str) -> Codes:
        """The same codes on a device."""
        detail = None if self.detail is None else self.detail.to(device)
        layers = tuple(layer.to(device) for layer in self.layers)
        return Codes(self.shape.to(device), self.appearance.to(device), detail, layers)

    @staticmethod
    def check(codes: object) -> Codes:
        """These very codes; UsageError for anything else, such as seeds or codes of no object."""
        if not isinstance(codes, Codes):
            refuse("codes", codes, "Codes, such as editor.sample([0])")
        for name in ("shape", "appearance"):
            value = getattr(codes, name)
            if not (isinstance(value, Tensor) and value.dtype is torch.float32 and value.ndim == 2):
                refuse(f"codes.{name}", value, "a tensor [objects code] of float32")
            if len(value) != len(codes.shape) or not len(value):
                raise UsageError(
                    f"codes.{name} are of {len(value)} objects, codes.shape of "
                    f"{len(codes.shape)}; give one or more, as many of both"
                )
            if not bool(torch.isfinite(value).all()):
                raise UsageError(f"codes.{name} hold NaN or infinity; give finite numbers")
        return codes

    @staticmethod
    def cat(parts: Sequence[Codes]) -> Codes:
        """Several batches as one; those without detail get none that shows."""
        detail = None
        known = next((part.detail for part in parts if part.detail is not None), None)
        if known is not None:
            each = [known.zeros(len(p)) if p.detail is None else p.detail for p in parts]
            detail = Detail(
                torch.cat([some.shape for some in each]),
                torch.cat([some.appearance for some in each]),
            )
        total, first = sum(len(part) for part in parts), 0
        layers: list[LocalEdit] = []
        for part in parts:
            layers += [layer.spread(first, total) for layer in part.layers]
            first += len(part)
        return Codes(
            torch.cat([part.shape for part in parts]),
            torch.cat([part.appearance for part in parts]),
            detail,
            tuple(layers),
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: how many objects, and what was done to them."""
        count, names = len(self), [layer.name or "a region" for layer in self.layers]
        said = f"{count} object{'' if count == 1 else 's'}: codes of {self.shape.shape[1]} numbers"
        said += " and details found in a photo" if self.detail is not None else ""
        shown = "".join(f"<li>{escape(name[:LONGEST_NAME])}</li>" for name in names[:MOST_NAMES])
        more = f"<li>and {len(names) - MOST_NAMES} more</li>" if len(names) > MOST_NAMES else ""
        edits = f", with local edits:<ul>{shown}{more}</ul>" if names else ""
        return f"<div>{said}{edits} <code>editor.render(codes)</code> shows them.</div>"

    @property
    def geometry(self) -> Float[Tensor, "batch numbers"]:
        """All that makes an object's geometry: equal rows have equal geometry."""
        numbers = [self.shape]
        if self.detail is not None:
            numbers.append(self.detail.shape.flatten(1))
        for layer in self.layers:
            if layer.shape is not None:
                numbers += [layer.shape, layer.region.numbers, layer.strength]
        return torch.cat(numbers, dim=1)

    @property
    def look(self) -> Float[Tensor, "batch numbers"]:
        """All that makes an object's colors."""
        numbers = [self.appearance]
        if self.detail is not None:
            numbers.append(self.detail.appearance.flatten(1))
        colors = [layer for layer in self.layers if layer.appearance is not None]
        for layer in colors:
            assert layer.appearance is not None
            numbers += [layer.appearance, layer.region.numbers, layer.strength]
            numbers += [] if layer.paint is None else [layer.paint]
        if colors:  # where they apply depends on the shape
            numbers.append(self.geometry)
        return torch.cat(numbers, dim=1)

    @staticmethod
    def from_seeds(seeds: int | Iterable[int], dim: int = 128) -> Codes:
        """One object a seed; the same numbers on every machine.

        Raises:
            UsageError: no seed, or one that is no whole number from 0 to 4294967295.
        """
        each = [normal_codes(seed, 2 * dim) for seed in seeds_of("seeds", seeds)]
        both = torch.from_numpy(np.stack(each))
        return Codes(both[:, :dim].contiguous(), both[:, dim:].contiguous())

    @staticmethod
    def sample(batch: int, dim: int, generator: torch.Generator) -> Codes:
        """Random codes from a torch generator (training), on the generator's device."""
        shape = torch.randn(batch, dim, generator=generator, device=generator.device)
        return Codes(shape, torch.randn(batch, dim, generator=generator, device=generator.device))
