"""The first pass: densities of an object on a coarse grid, which say where a ray is worth a sample.

Made from densities alone, so that no appearance can reach geometry through it. It serves twice:

**Where samples go.** A ray walks through the grid in small steps; samples then lie where light is
stopped (importance sampling by the inverse distribution function; NeRF, section 5.2). All rays of
an object share the grid, so what one ray alone would miss, such as a thin leg between two samples,
is found for it by its neighbors. A share of the samples stays even, for what the grid has missed.

**Which are left out** where no gradient is wanted, as nothing is there. What that costs is bounded.
A photon that crosses fog of density sigma over a path s is stopped by it with probability
1 - exp(-sigma s) <= sigma s, and a pixel is the mean over photons; leaving the fog out thus changes
a color in [0, 1], or the opacity, by at most sigma s. No path inside the box is longer than its
diagonal, so cells whose density is below ``share / diagonal`` change a pixel by at most ``share``,
all of them together, wherever they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from clipnerf.rendering.rays import Rays
from clipnerf.rendering.volume import render_weights

EMPTY_SHARE = 0.25 / 255
"""Largest change of a pixel by all that counts as empty: a quarter of one of 255 levels."""
EVEN_SHARE = 0.25
"""Share of a ray's samples that is spread evenly, whatever the grid says."""
STEPS = 48
"""Steps in which a ray walks through the grid."""
SATURATED = 2.0
"""Optical depth of a cell beyond which more makes no difference: the surface of a solid may lie
anywhere between two cells, and samples have to be left for behind the first of them."""


@dataclass(frozen=True)
class DensityGrid:
    """Densities of B objects at points of one grid.

    Attributes:
        sigma: at the cells' centers (or at one point in each cell), 1 / world unit.
        box: half the extent along x, y, z, world units.
    """

    sigma: Float[Tensor, "batch x y z"]
    box: Float[Tensor, " 3"]

    @staticmethod
    @torch.no_grad()
    def build(
        density: Callable[[Float[Tensor, "#batch points 3"]], Float[Tensor, "batch points"]],
        box: Float[Tensor, " 3"],
        cells: Sequence[int],
        *,
        places: Float[Tensor, "batch x y z 3"] | None = None,
        max_points: int = 2**16,
    ) -> DensityGrid:
        """Evaluate an object's density once a cell.

        Args:
            density: densities of B objects at points of each, 1 / world unit; where ``places`` is
                None, the points are the same for all, and come as a batch of one.
            box: half the extent along x, y, z.
            cells: along x, y, z.
            places: of the points inside their cells, [0, 1): training moves them, so that nothing
                hides between them for ever; the middle where None.
            max_points: points of an object evaluated at a time.
        """
        axes = [torch.arange(n, device=box.device, dtype=box.dtype) / n for n in cells]
        corner = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        inside = 0.5 if places is None else places
        points = ((corner + inside * _per_axis([1 / n for n in cells], box)) * 2 - 1) * box
        points = points.view(1 if places is None else len(places), -1, 3)
        parts = [density(part) for part in points.split(max_points, dim=1)]
        return DensityGrid(torch.cat(parts, dim=1).unflatten(1, tuple(cells)), box)

    def occupied(self, share: float = EMPTY_SHARE) -> Bool[Tensor, "batch x y z"]:
        """Cells whose own density, or a neighbor's, is above ``share / diagonal``.

        What is nowhere thinner than a cell is kept whole. What is thinner is found by the fog
        around it, which the low threshold sees, and by the neighbors.
        """
        full = (self.sigma > share / (2 * self.box.norm())).to(self.box.dtype)
        return F.max_pool3d(full[:, None], 3, stride=1, padding=1)[:, 0] > 0

    @torch.no_grad()
    def along(self, rays: Rays, steps: int = STEPS) -> Float[Tensor, "batch rays steps"]:
        """Share of a ray's light that each of its steps stops, by the grid's word.

        Between centers the density is interpolated; where a cell is all but opaque, it counts as
        ``SATURATED``.
        """
        side = 2 * self.box * _per_axis([1 / n for n in self.sigma.shape[1:]], self.box)
        limit = SATURATED / side.max()
        delta = (rays.far - rays.near) / steps
        middle = torch.arange(steps, device=delta.device, dtype=delta.dtype) + 0.5
        t = rays.near[..., None] + middle * delta[..., None]
        points = rays.origins[:, :, None] + t[..., None] * rays.directions[:, :, None]
        # grid_sample counts axes from the last: x of the coordinates runs along z of the volume
        found = F.grid_sample(
            torch.minimum(self.sigma, limit)[:, None],
            (points / self.box).flip(-1)[:, :, :, None],
            padding_mode="border",
            align_corners=False,
        )
        return render_weights(found[:, 0, :, :, 0], delta)


@torch.no_grad()
def place_samples(
    weights: Float[Tensor, "batch rays steps"],
    rays: Rays,
    samples: int,
    jitter: Float[Tensor, "batch rays samples"] | None = None,
) -> tuple[Float[Tensor, "batch rays samples"], Float[Tensor, "batch rays samples"]]:
    """Distances t in [near, far], and the length of the interval that each sample stands for.

    The intervals cut a ray into parts of equal probability, where ``EVEN_SHARE`` of the probability
    is spread evenly and the rest lies where light is stopped, or next to it. Together they cover
    the ray, so any density that is constant along it is integrated exactly.

    Args:
        weights: of :meth:`DensityGrid.along`.
        rays: the rays.
        samples: intervals a ray.
        jitter: places inside the intervals, [0, 1) (training); the middle where None.
    """
    steps = weights.shape[-1]
    # a surface is found to a step's width, so its neighbors have to be looked at as well
    near_by = F.max_pool1d(weights, 3, stride=1, padding=1)
    likely = torch.maximum(weights, 0.5 * near_by)
    total = likely.sum(-1, keepdim=True)
    # where nothing is known to be, samples are even
    share = (1 - EVEN_SHARE) * (total > 1e-6) / total.clamp(min=1e-6)
    chance = likely * share
    chance = chance + (1 - chance.sum(-1, keepdim=True)) / steps
    upto = chance.cumsum(-1)
    wanted = torch.arange(1, samples, device=upto.device, dtype=upto.dtype) / samples
    wanted = wanted.expand(*upto.shape[:-1], -1).contiguous()
    step = torch.searchsorted(upto, wanted).clamp(max=steps - 1)
    own = chance.gather(-1, step)
    within = (wanted - (upto.gather(-1, step) - own)) / own
    inner = (step + within.clamp(0, 1)) / steps
    start, end = torch.zeros_like(inner[..., :1]), torch.ones_like(inner[..., :1])
    edges = torch.cat((start, inner, end), dim=-1)
    length = (rays.far - rays.near)[..., None]
    delta = edges.diff(dim=-1) * length
    inside = 0.5 if jitter is None else jitter
    return rays.near[..., None] + edges[..., :-1] * length + inside * delta, delta


def grid_cells(box: Sequence[float], longest: int) -> list[int]:
    """Cells along x, y, z that are about cubes, ``longest`` of them along the longest axis."""
    return [max(round(longest * side / max(box)), 2) for side in box]


def cell_values(
    cells: Bool[Tensor, "x y z"],
    box: Float[Tensor, " 3"],
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    t: Float[Tensor, "rays samples"],
) -> Bool[Tensor, "rays samples"]:
    """What ``cells`` say at the points at distances ``t``; outside the box its border counts."""
    # in units of cells, axis by axis: no coordinates of all points are ever stored
    sizes = _per_axis(cells.shape, box)
    start, pace = (origins / box + 1) * (sizes / 2), directions / box * (sizes / 2)
    cell = torch.zeros_like(t, dtype=torch.long)
    for axis, count in enumerate(cells.shape):
        place = torch.addcmul(start[:, axis, None], pace[:, axis, None], t)
        cell = cell.mul_(count).add_(place.clamp_(0, count - 1).long())
    return cells.flatten()[cell]


def _per_axis(numbers: Sequence[float | int], like: Tensor) -> Float[Tensor, " 3"]:
    """Three numbers on a device, filled in there: a copy from the host would make it wait."""
    return torch.stack([like.new_full((), number) for number in numbers])
