"""What a field computes at points, layer by layer: by plain PyTorch, or by the library for CPUs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.fields.backends import native
from clipnerf.fields.encoding import frequency_encoding, frequency_features
from clipnerf.fields.hash_grid import HashGrid
from clipnerf.fields.modulated import Affine
from clipnerf.fields.styles import plain_mlp, plain_rgb, wide

SIDE = 4.0
"""Steepness, 1 / world unit, of the side that color sees: -1 far to the right of the plane, 1 far
to the left. At 20 the sides of one seat had two colors."""
ROUNDING = 0.05
"""Distance from the mirror's plane, world units, within which |y| is rounded off."""


class FieldOperations(nn.Module):
    """The operations of a field; :class:`clipnerf.fields.field.ConditionalField` joins them.

    Each has a plain form, of which second derivatives are taken, and may be served by
    ``fields/backends/native.py``.
    """

    grid: HashGrid
    entangled: bool
    mirror: bool
    extent: float
    deform_octaves: int
    position_octaves: int
    deform_limit: float
    density_bias: float
    density_scale: float

    @property
    def point_features(self) -> int:
        """Numbers of a point, as :meth:`features` gives them."""
        return self.grid.out_features + frequency_features(3, self.position_octaves) + self.mirror

    def features(
        self, deformed: Float[Tensor, "batch points 3"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "batch points features"]:
        """Hash features and low-frequency position at deformed points; with ``mirror`` the side."""
        flat = deformed.flatten(0, 1)
        if self._native(flat, dtype):
            space = self._space(self.position_octaves)
            found = native.features(flat, self.grid.table, space, self._plain_features)
        else:
            found = self._plain_features(flat, self.grid.table, dtype)
        return found.view(*deformed.shape[:2], self.point_features)

    def _plain_features(
        self, points: Tensor, table: Tensor, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        half = self._half(points)
        hashed = self.grid(half / (2 * self.extent) + 0.5, dtype, table)
        parts = [hashed, frequency_encoding(half, self.position_octaves).to(dtype)]
        if self.mirror:
            parts.append(torch.tanh(SIDE * points[:, 1:2]).to(dtype))
        return torch.cat(parts, dim=1)

    def _moved(self, points: Tensor, deform: tuple[Affine, ...], dtype: torch.dtype) -> Tensor:
        if self.entangled:
            return points
        if self._native(points, dtype):
            space = self._space(self.deform_octaves)
            return native.deform(points, deform, space, self._plainly_moved)
        return self._plainly_moved(points, deform, dtype)

    def _plainly_moved(
        self, points: Tensor, deform: Sequence[Affine], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        half = self._half(points)
        waves = frequency_encoding(half, self.deform_octaves)
        shift = self.deform_limit * torch.tanh(plain_mlp(waves.to(dtype), deform).to(points.dtype))
        if not self.mirror:
            return points + shift
        # the displacement's y turns with the side, and is 0 on the plane
        (x, y, z), side = shift.unbind(-1), points[..., 1] / half[..., 1]
        return points + torch.stack((x, side * y, z), dim=-1)

    def _half(self, points: Tensor) -> Tensor:
        """The point itself, or its image on the left of the mirror's plane."""
        if not self.mirror:
            return points
        x, y, z = points.unbind(-1)
        return torch.stack((x, (y.square() + ROUNDING**2).sqrt(), z), dim=-1)

    def _mlp(self, x: Tensor, layers: Sequence[Affine]) -> Tensor:
        if not self._native(x):
            return plain_mlp(x, layers)
        return native.network(x, layers, native.NOTHING, plain_mlp)

    def _rgb(self, seen: Tensor, layers: Sequence[Affine]) -> Tensor:
        if not self._native(seen):
            return plain_rgb(seen, layers)
        return native.network(seen, layers, native.SIGMOID, plain_rgb)

    def _sigma(self, x: Tensor, layers: Sequence[Affine] = ()) -> Float[Tensor, "batch points"]:
        """The density at the end of some layers; without any, of a raw density."""
        if not self._native(x):
            return self._plain_sigma(x, layers).squeeze(-1)
        end = native.softplus(self.density_bias, self.density_scale)
        return native.network(x, layers, end, self._plain_sigma).squeeze(-1)

    def _plain_sigma(self, x: Tensor, layers: Sequence[Affine]) -> Tensor:
        raw = wide(plain_mlp(x, layers))
        return self.density_scale * F.softplus(raw + self.density_bias)

    def _native(self, x: Tensor, dtype: torch.dtype = torch.float32) -> bool:
        """Whether the library for CPUs serves points or features. It computes in float32, faster
        than the plain path does in bfloat16."""
        kinds = (torch.float32, torch.bfloat16)
        return (
            self.grid.choice.name == "native"
            and x.dtype == self.grid.table.dtype == torch.float32
            and dtype in kinds
            and x.numel() > 0
        )

    def _space(self, octaves: int) -> native.Space:
        return native.space(
            self.grid.layout,
            octaves=octaves,
            mirror=self.mirror,
            extent=self.extent,
            limit=self.deform_limit,
            rounding=ROUNDING,
            side=SIDE,
        )
