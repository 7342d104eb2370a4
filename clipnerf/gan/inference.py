"""Finished pictures: no gradients, so empty space and hidden colors are skipped.

All views of one object are one batch of rays: its empty space is found once, and a GPU gets few,
large launches. What skipping changes is bounded: by ``EMPTY_SHARE`` for fog that counts as empty
(``rendering/density_grid.py`` says why) and by ``HIDDEN_SHARE`` for colors that are not evaluated,
half of one of 255 levels together; the other half is left to parts between the grid's points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.codes import Codes
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import DensityGrid, cell_values, grid_cells, place_samples
from clipnerf.rendering.rays import Rays, pixel_grid, rays_through
from clipnerf.rendering.volume import RenderOutput, expected_depth, render_weights

HIDDEN_SHARE = 0.25 / 255
"""Largest change of a pixel by all samples of its ray whose colors are not evaluated."""

CPU_POINTS = 2**16
CUDA_POINTS = 2**22
"""Samples at a time, on a CPU for each thread: its cache holds what the networks make of them."""

SMALL_PIXELS, FINE_PIXELS = 2**11, 2**18
"""Of one object in all: up to, and from, where a coarse, or a fine, grid pays."""


def finished_cells(box: Float[Tensor, " 3"], pixels: int) -> list[int]:
    """Cells of the grid that suit ``pixels`` of one object in all, along x, y, z."""
    longest = 28 if pixels <= SMALL_PIXELS else 44 if pixels < FINE_PIXELS else 80
    return grid_cells(box.tolist(), longest)


class CachedRenderer:
    """Objects to be looked at from any number of sides; what is found once is kept.

    Args:
        field: the field of their category.
        box: half the extent along x, y, z, world units.
        codes: B objects.
        shape, appearance: the styles of ``codes``.
        cells: of the grids of the first pass, along x, y, z.
        dtype: of the networks; sampling and compositing are float32.
    """

    def __init__(
        self,
        field: ConditionalField,
        box: Float[Tensor, " 3"],
        codes: Codes,
        shape: ShapeStyle,
        appearance: AppearanceStyle,
        cells: Sequence[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.field, self.box, self.cells, self.dtype = field, box, cells, dtype
        self.on_cpu = box.device.type == "cpu"
        self.shape, self.appearance = shape, appearance
        if field.entangled:
            # both codes make both geometry and look of the baseline
            both = first_equal(torch.cat((codes.geometry, codes.look), dim=1))
            self.geometries, self.looks = both, both
        else:
            self.geometries = first_equal(codes.geometry)
            self.looks = first_equal(codes.look)
        self._grids: dict[int, tuple[DensityGrid, Bool[Tensor, "x y z"]]] = {}

    def first_pass(self, geometry: int) -> tuple[DensityGrid, Bool[Tensor, "x y z"]]:
        """Grid of the object in a row of the codes, and which of its cells are occupied."""
        if geometry not in self._grids:
            shape = self.shape.rows(self._row(geometry))

            def density(points: Tensor) -> Tensor:
                return self.field.geometry(points, shape, self.dtype)[1]

            grid = DensityGrid.build(
                density, self.box, self.cells, max_points=2**16 if self.on_cpu else 2**20
            )
            self._grids[geometry] = grid, grid.occupied()[0]
        return self._grids[geometry]

    @torch.no_grad()
    def render(
        self,
        camera: Camera,
        rows: list[int] | None = None,
        *,
        samples: int,
        background: float = 1.0,
        max_points: int | None = None,
    ) -> RenderOutput:
        """One picture a camera.

        Which rays are traced together depends on geometry alone: an appearance changes no bit of
        opacity or depth.

        Args:
            camera: V cameras.
            rows: the object that each sees, V rows of the codes; camera n sees row n where None.
            samples: samples a ray.
            background: gray level in [0, 1].
            max_points: samples at a time; by ``CPU_POINTS`` or ``CUDA_POINTS`` where None.
        """
        rows = list(range(len(camera))) if rows is None else rows
        views: dict[int, list[int]] = {}
        for view, row in enumerate(rows):
            views.setdefault(self.geometries[row], []).append(view)
        pixels = camera.width * camera.height
        out = torch.empty(len(camera), pixels, 5, device=self.box.device)
        for geometry, some in views.items():
            index = torch.tensor(some, device=self.box.device)
            looks = [self.looks[rows[view]] for view in some]
            out[index] = self._views(
                camera[index], geometry, looks, samples, background, max_points
            ).view(-1, pixels, 5)
        maps = out.mT.unflatten(2, (camera.height, camera.width))
        return RenderOutput(maps[:, :3], maps[:, 3:4], maps[:, 4:5])

    def _views(
        self,
        camera: Camera,
        geometry: int,
        looks: list[int],
        samples: int,
        background: float,
        max_points: int | None,
    ) -> Float[Tensor, "rays 5"]:
        """rgb, opacity, depth of all pixels of views of one object, one after the other."""
        device = self.box.device
        pixels = pixel_grid(camera.width, camera.height, device)
        rays = rays_through(camera, pixels, self.box)
        rays = Rays(
            rays.origins.reshape(1, -1, 3),
            rays.directions.reshape(1, -1, 3),
            rays.near.reshape(1, -1),
            rays.far.reshape(1, -1),
        )
        out = torch.zeros(rays.near.shape[1], 5, device=device)
        out[:, :3] = background
        if max_points is None:
            max_points = CPU_POINTS * torch.get_num_threads() if self.on_cpu else CUDA_POINTS
        (grid, occupied), shape = self.first_pass(geometry), self.shape.rows(self._row(geometry))
        styles = {look: self.appearance.rows(self._row(look)) for look in looks}
        of_view = torch.tensor(looks, device=device)
        # rays that miss the box are done
        hit = rays.hit[0].nonzero().squeeze(1)
        for some in hit.split(max(max_points // samples, 1)) if len(hit) else ():
            color, opacity, depth = self._trace(
                rays.gather(some[None]),
                grid,
                occupied,
                shape,
                styles,
                of_view[some // pixels.shape[1]],
                samples,
                background,
            )
            out[some] = torch.cat((color, opacity[:, None], depth[:, None]), dim=1)
        return out

    def _trace(
        self,
        rays: Rays,
        grid: DensityGrid,
        occupied: Bool[Tensor, "x y z"],
        shape: ShapeStyle,
        styles: dict[int, AppearanceStyle],
        look: Int64[Tensor, " rays"],
        samples: int,
        background: float,
    ) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """Color, opacity and depth of rays that hit the box; as ``Generator.trace``, noiseless.

        Densities are evaluated in occupied cells, colors where they are seen.

        Args:
            rays: a batch of one.
            styles, look: appearances, and which of them each ray sees.
        """
        origins, directions = rays.origins[0], rays.directions[0]
        t, delta = (values[0] for values in place_samples(grid.along(rays), rays, samples))
        where = cell_values(occupied, self.box, origins, directions, t).flatten().nonzero()
        where = where.squeeze(1)
        if not len(where):
            nothing = torch.zeros_like(rays.near[0])
            return torch.full_like(origins, background), nothing, rays.far[0]
        ray = where // samples
        points = origins[ray] + t.flatten()[where, None] * directions[ray]
        features, found = self.field.geometry(points[None], shape, self.dtype)
        sigma = torch.zeros_like(t)
        sigma.flatten()[where] = found[0]
        weights = render_weights(sigma, delta)
        sent = weights.flatten()[where]
        seen = sent > HIDDEN_SHARE / samples
        # a color that is not evaluated counts as background; on a GPU the sum has no fixed order,
        # and so no fixed last bit, unlike opacity and depth
        color = torch.full_like(origins, background)
        for number, style in styles.items():
            mine = seen if len(styles) == 1 else seen & (look[ray] == number)
            index = mine.nonzero().squeeze(1)
            if len(index):
                some = ray[index]
                towards = directions[some][None] if self.field.view_direction else None
                at = points[None, index]
                rgb = self.field.color(features[:, index], style, towards, at)[0]
                color.index_add_(0, some, sent[index, None] * (rgb - background))
        return color, weights.sum(-1), expected_depth(weights, t, rays.far[0])

    def _row(self, row: int) -> Tensor:
        return torch.tensor([row], device=self.box.device)


def first_equal(rows: Float[Tensor, "rows values"]) -> list[int]:
    """For each row the number of the first row that equals it."""
    first: dict[int, int] = {}
    groups = rows.unique(dim=0, return_inverse=True)[1].tolist()
    return [first.setdefault(group, number) for number, group in enumerate(groups)]
