"""How the embedding of a picture varies with one code alone: what a mapper of that code can reach.

Embeddings of pictures that differ in one code only have a covariance C. A direction d (of words, or
of an exemplar) then means something to that code as far as C has energy along it, d C d. Seen in
the whitened coordinates of C, "along d" is a unit vector, and a distance along it counts natural
standard deviations: 2 is as far towards d as one object in fifty.

What belongs to the other code is taken out of a direction first: in the chairs' compact CLIP the
directions of colors are 0.9 to 1.1 long and those of shapes 0.3 to 0.8, so that the little of a
color that happens to lie in the space of shapes would drown what is said of the shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

KEPT = 0.995
"""Share of the variance that the basis holds."""
REJECTED = 8
"""Directions of the other code's variance that are taken out of a direction, at most."""
TINY = 1e-12


@dataclass(frozen=True)
class WhitenedDirection:
    """A direction as one code sees it.

    Attributes:
        unit: in whitened coordinates, of norm 1 (0 where the direction means nothing).
        energy: natural variance of the embedding along the direction, scaled to norm 1: what
            routing compares.
    """

    unit: Float[Tensor, "batch kept"]
    energy: Float[Tensor, " batch"]


class Variation(nn.Module):
    """The variation of embeddings with one code; buffers only.

    Args:
        basis: orthonormal columns, the directions of most variance first.
        spread: standard deviation along each.
        other: orthonormal columns: where embeddings vary with the other code.
    """

    basis: Float[Tensor, "embed kept"]
    spread: Float[Tensor, " kept"]
    other: Float[Tensor, "embed rejected"]

    def __init__(self, basis: Tensor, spread: Tensor, other: Tensor) -> None:
        super().__init__()
        self.register_buffer("basis", basis.contiguous())
        self.register_buffer("spread", spread.contiguous())
        self.register_buffer("other", other.contiguous())

    @classmethod
    def of(
        cls, own: Float[Tensor, "pairs embed"], other: Float[Tensor, "pairs embed"]
    ) -> Variation:
        """From differences of embeddings of two pictures each, which differ in one code alone.

        Args:
            own: pairs that differ in the code itself.
            other: pairs that differ in the other code.
        """
        basis, spread = _principal(own)
        others, _ = _principal(other)
        return cls(basis, spread, others[:, :REJECTED])

    def aim(self, direction: Float[Tensor, "batch embed"]) -> WhitenedDirection:
        """Directions of any length, from the category's centre, as this code sees them."""
        own = direction - direction @ self.other @ self.other.mT
        scaled = (own @ self.basis) * self.spread
        length = scaled.norm(dim=1)
        norm = direction.norm(dim=1)
        return WhitenedDirection(
            unit=scaled / length.clamp_min(TINY)[:, None],
            energy=(length / norm.clamp_min(TINY)).square(),
        )

    def whitened(self, change: Float[Tensor, "*batch embed"]) -> Float[Tensor, "*batch kept"]:
        """Changes of embeddings in natural standard deviations along the basis."""
        return change @ self.basis / self.spread


def _principal(differences: Tensor) -> tuple[Tensor, Tensor]:
    """Directions and standard deviations of what the differences are differences of."""
    # two independent draws differ by twice the variance of one
    covariance = differences.double().mT @ differences.double() / (2 * len(differences))
    variance, basis = torch.linalg.eigh(covariance)
    variance, basis = variance.flip(0).clamp_min(0), basis.flip(1)
    kept = int((variance.cumsum(0) < KEPT * variance.sum()).sum()) + 1
    return basis[:, :kept].float(), variance[:kept].sqrt().clamp_min(1e-8).float()
