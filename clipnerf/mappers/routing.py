"""Routing: of which code a prompt speaks, and whether the model can do what it asks.

Every code has its own space of embeddings that it can reach (`variation.py`). How much natural
variance a direction has in each says how much of each mapper to use: "a red chair" lies among the
differences that colors make, "a chair with armrests" among those of shapes, "a red chair with a
high back" in both. What counts as much is read off the library, whose groups are known: a code is
left alone (strength exactly 0) up to a little above the highest energy of the other group's
prompts, and follows in full from halfway between that and the lowest of its own, those that name
both codes ("a yellow van") included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

MARGIN = 1.15
"""How much above the other group's highest energy a code begins to follow."""
FAINT = 0.5
"""Share of the shortest direction in the library below which CLIP hardly sees what is meant."""


@dataclass(frozen=True)
class Route:
    """What a prompt is made of.

    Attributes:
        shape, appearance: strengths, 0 to 1, for each direction.
        length: of the direction, over the shortest one in the library.
    """

    shape: Float[Tensor, " batch"]
    appearance: Float[Tensor, " batch"]
    length: Float[Tensor, " batch"]

    def strength(self, which: str) -> Float[Tensor, " batch"]:
        """Of one of the two codes."""
        return self.shape if which == "shape" else self.appearance

    @property
    def faint(self) -> Tensor:
        """Whether CLIP hardly tells the prompt from the bare category: nothing to follow."""
        return self.length < FAINT

    @property
    def foreign(self) -> Tensor:
        """Whether the generator's objects do not differ along the direction, neither way."""
        return ~self.faint & (self.shape == 0) & (self.appearance == 0)


class Router(nn.Module):
    """Energies of a direction in, strengths of the two mappers out; four limits and a length."""

    begin: Float[Tensor, 2]
    full: Float[Tensor, 2]
    shortest: Float[Tensor, ""]

    def __init__(self) -> None:
        super().__init__()
        # order: shape, appearance
        self.register_buffer("begin", torch.zeros(2))
        self.register_buffer("full", torch.ones(2))
        self.register_buffer("shortest", torch.ones(()))

    @torch.no_grad()
    def calibrate(
        self,
        shape: tuple[Float[Tensor, " shapes"], Float[Tensor, " colors"]],
        appearance: tuple[Float[Tensor, " named"], Float[Tensor, " other"]],
        lengths: Float[Tensor, " prompts"],
    ) -> None:
        """Reads the limits off a library.

        Args:
            shape: energies that the shape code has along its own prompts, alone and combined with
                one of the other code, and along the other's.
            appearance: the same for the appearance code.
            lengths: of all directions of the library.
        """
        for row, (own, other) in enumerate((shape, appearance)):
            low = float(other.max()) * MARGIN if len(other) else 0.0
            high = float(own.min()) if len(own) else math.inf
            middle = math.sqrt(low * high) if 0 < low < high else max(low, 0.5 * high)
            self.begin[row], self.full[row] = min(low, middle), middle
        self.shortest.copy_(lengths.min())

    def forward(
        self,
        shape: Float[Tensor, " batch"],
        appearance: Float[Tensor, " batch"],
        lengths: Float[Tensor, " batch"],
    ) -> Route:
        """The route of directions, from their energies and lengths."""
        energy = torch.stack((shape, appearance), dim=1)
        above = energy.clamp_min(1e-12).log() - self.begin.clamp_min(1e-12).log()
        room = (self.full / self.begin.clamp_min(1e-12)).log().clamp_min(1e-6)
        strength = (above / room).clamp(0, 1)
        # a prompt that hardly differs from the bare category has no direction to follow
        strength = torch.where((lengths < FAINT * self.shortest)[:, None], 0.0, strength)
        return Route(strength[:, 0], strength[:, 1], lengths / self.shortest)
