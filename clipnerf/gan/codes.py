"""Codes: what makes one object of the category, shape and appearance apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.runs.seeds import normal_codes


@dataclass(frozen=True)
class Detail:
    """What codes cannot say of one object, added to the style of every modulated layer.

    Found by inversion only, as in the W+ space of StyleGAN (Abdal et al. 2019); samples have none.
    The shape's detail reaches geometry alone and the appearance's colour alone, as the codes do.
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
class Codes:
    """A batch of shape codes and appearance codes, each standard normal when sampled.

    Attributes:
        detail: what an inversion found beyond the codes; None for objects of the codes alone.
    """

    shape: Float[Tensor, "batch code"]
    appearance: Float[Tensor, "batch code"]
    detail: Detail | None = None

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Codes:
        """A selection, still a batch: ``codes[0]`` is a batch of one."""
        rows = slice(index, index + 1 or None) if isinstance(index, int) else index
        detail = None if self.detail is None else self.detail[rows]
        return Codes(self.shape[rows], self.appearance[rows], detail)

    def to(self, device: torch.device | str) -> Codes:
        """The same codes on a device."""
        detail = None if self.detail is None else self.detail.to(device)
        return Codes(self.shape.to(device), self.appearance.to(device), detail)

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
        return Codes(
            torch.cat([part.shape for part in parts]),
            torch.cat([part.appearance for part in parts]),
            detail,
        )

    @property
    def geometry(self) -> Float[Tensor, "batch numbers"]:
        """All that makes an object's geometry: equal rows have equal geometry."""
        return self.shape if self.detail is None else _joined(self.shape, self.detail.shape)

    @property
    def look(self) -> Float[Tensor, "batch numbers"]:
        """All that makes an object's colours."""
        if self.detail is None:
            return self.appearance
        return _joined(self.appearance, self.detail.appearance)

    def without_detail(self) -> Codes:
        """What the codes alone make."""
        return Codes(self.shape, self.appearance)

    @staticmethod
    def from_seeds(seeds: Sequence[int], dim: int = 128) -> Codes:
        """One object a seed; the same numbers on every machine."""
        both = torch.stack([torch.from_numpy(normal_codes(seed, 2 * dim)) for seed in seeds])
        return Codes(both[:, :dim].contiguous(), both[:, dim:].contiguous())

    @staticmethod
    def sample(batch: int, dim: int, generator: torch.Generator) -> Codes:
        """Random codes from a torch generator (training), on the generator's device."""
        shape = torch.randn(batch, dim, generator=generator, device=generator.device)
        return Codes(shape, torch.randn(batch, dim, generator=generator, device=generator.device))


def _joined(code: Tensor, detail: Tensor) -> Tensor:
    return torch.cat((code, detail.flatten(1)), dim=1)
