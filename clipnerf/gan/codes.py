"""Codes: what makes one object of the category, shape and appearance apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.runs.seeds import normal_codes


@dataclass(frozen=True)
class Codes:
    """A batch of shape codes and appearance codes, each standard normal when sampled."""

    shape: Float[Tensor, "batch code"]
    appearance: Float[Tensor, "batch code"]

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Codes:
        """A selection, still a batch: ``codes[0]`` is a batch of one."""
        rows = slice(index, index + 1 or None) if isinstance(index, int) else index
        return Codes(self.shape[rows], self.appearance[rows])

    def to(self, device: torch.device | str) -> Codes:
        """The same codes on a device."""
        return Codes(self.shape.to(device), self.appearance.to(device))

    @staticmethod
    def cat(parts: Sequence[Codes]) -> Codes:
        """Several batches as one."""
        return Codes(
            torch.cat([part.shape for part in parts]),
            torch.cat([part.appearance for part in parts]),
        )

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
