"""The generator: codes and a camera in, a picture out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.generator import GeneratorConfig
from clipnerf.errors import UsageError
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.build import build_field, generator_config
from clipnerf.gan.codes import Codes
from clipnerf.gan.inference import CachedRenderer, finished_cells
from clipnerf.gan.local_edits import with_layers
from clipnerf.gan.patches import Patches
from clipnerf.gan.step_inputs import CPU_STEP, sample_cameras
from clipnerf.gan.tracing import trace, trace_sparingly
from clipnerf.io.weights import load_weights, rebuilding, rebuilt, save_weights, weights_hash
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import DensityGrid, grid_cells
from clipnerf.rendering.rays import Rays, pixel_grid, rays_through
from clipnerf.rendering.volume import RenderOutput
from clipnerf.training.precision import network_dtype

MAX_POINTS = 2**19


class Generator(nn.Module):
    """A conditional NeRF of one category.

    Args:
        config: sizes, camera prior and sampling; travels with the weights.
    """

    box: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        config.validate("generator.")
        self.config = config
        self.field = build_field(config)
        self.register_buffer("box", torch.tensor(config.box, dtype=torch.float32))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.box.device

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over weights: what a mapper is bound to."""
        return weights_hash(dict(self.state_dict()))

    def styles(self, codes: Codes) -> tuple[ShapeStyle, AppearanceStyle]:
        """Fold codes into weights. Only the entangled baseline lets both codes reach both."""
        detail = codes.detail
        shape, appearance = (None, None) if detail is None else (detail.shape, detail.appearance)
        z_s, z_a = codes.shape, codes.appearance
        if z_s.shape[-1] != self.config.field.code_dim:
            raise UsageError(
                f"codes are {z_s.shape[-1]} numbers wide, this generator's "
                f"{self.config.field.code_dim}; give codes of its own"
            )
        if self.field.entangled:
            if codes.layers:
                raise UsageError(
                    "this generator is entangled: its objects have no parts to be edited alone; "
                    "use a disentangled one"
                )
            return (
                self.field.shape_style(z_s, z_a, shape),
                self.field.appearance_style(z_a, z_s, appearance),
            )
        geometry = self.field.shape_style(z_s, detail=shape)
        look = self.field.appearance_style(z_a, detail=appearance)
        return with_layers(self.field, codes, geometry, look)

    def camera(
        self,
        azimuth_deg: float | Float[Tensor, " batch"],
        elevation_deg: float | Float[Tensor, " batch"],
        size: int,
    ) -> Camera:
        """Cameras on this generator's sphere; azimuth 0 sees its objects' front, degrees."""
        prior = self.config.camera
        azimuth = torch.as_tensor(azimuth_deg, dtype=torch.float32, device=self.device)
        azimuth = torch.atleast_1d(azimuth)
        return Camera.orbit(
            azimuth + self.config.front_azimuth_deg,
            elevation_deg,
            fov_deg=prior.fov_deg,
            radius=prior.radius,
            size=size,
            device=self.device,
        )

    def sample_cameras(self, batch: int, size: int, generator: torch.Generator) -> Camera:
        """Cameras from the prior."""
        return sample_cameras(self.config.camera, batch, size, generator).to(self.device)

    def density_grid(
        self,
        shape: ShapeStyle,
        places: Float[Tensor, "batch x y z 3"] | None = None,
        dtype: torch.dtype = torch.float32,
        max_points: int | None = None,
    ) -> DensityGrid:
        """The first pass over the objects of a style: what says where on a ray samples lie.

        Args:
            shape: geometry of B objects; nothing else reaches it.
            places: of the points in their cells, [0, 1) (training); the middle where None.
            dtype: of the networks.
            max_points: points evaluated at a time; ``MAX_POINTS`` where None.
        """
        batch = len(shape.density[0].weight)
        # one by one on a CPU: no slower, and where samples lie does not depend on the batch, whose
        # products round otherwise
        step = 1 if self.device.type == "cpu" else batch
        parts = []
        for start in range(0, batch, step):
            rows = torch.arange(start, start + step, device=self.device)
            some = shape if step == batch else shape.rows(rows)
            own = None if places is None else places[start : start + step]
            parts.append(self._density_grid(some, own, dtype, (max_points or MAX_POINTS) // step))
        return DensityGrid(torch.cat(parts), self.box)

    def _density_grid(
        self, shape: ShapeStyle, places: Tensor | None, dtype: torch.dtype, max_points: int
    ) -> Tensor:
        batch = len(shape.density[0].weight)

        def density(points: Tensor) -> Tensor:
            return self.field.geometry(points.expand(batch, -1, -1), shape, dtype)[1]

        cells = self.first_pass_cells if places is None else places.shape[1:4]
        limit = max(max_points, 1)
        return DensityGrid.build(density, self.box, cells, places=places, max_points=limit).sigma

    @property
    def first_pass_cells(self) -> list[int]:
        """Cells along x, y, z of the first pass in training."""
        return grid_cells(self.config.box, self.config.grid_cells)

    def trace(
        self,
        rays: Rays,
        shape: ShapeStyle,
        appearance: AppearanceStyle,
        grid: DensityGrid,
        *,
        samples: int,
        background: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[
        Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays"], Float[Tensor, "batch rays"]
    ]:
        """Color, opacity and depth of rays, all at once; see ``gan/tracing.py``."""
        return trace(
            self.field,
            rays,
            shape,
            appearance,
            grid,
            samples=samples,
            background=background,
            dtype=dtype,
        )

    def render_rays(
        self,
        pixels: Float[Tensor, "batch rays 2"],
        camera: Camera,
        trace: Callable[[Rays], tuple[Tensor, Tensor, Tensor]],
        *,
        samples: int,
        background: float = 1.0,
        max_points: int = MAX_POINTS,
    ) -> Float[Tensor, "batch rays 5"]:
        """rgb, opacity, depth of rays through ``pixels``; rays that miss the box cost nothing.

        ``trace`` gets no more rays at a time than ``max_points`` samples allow, a batch's worth at
        least.
        """
        rays = rays_through(camera, pixels, self.box)
        batch, total = rays.near.shape
        kept = rays.most_hits(CPU_STEP)
        rays, order = rays.hits_first(kept)
        step = max(max_points // (samples * batch), 1)
        parts = []
        for start in range(0, kept, step):
            piece = slice(start, start + step)
            color, opacity, depth = trace(rays.piece(piece))
            parts.append(torch.cat((color, opacity[..., None], depth[..., None]), dim=-1))
        return put_back(torch.cat(parts, dim=1), order, total, background)

    def render(
        self,
        codes: Codes,
        camera: Camera,
        *,
        samples: int | None = None,
        background: float = 1.0,
        max_points: int | None = None,
        precision: str = "float32",
    ) -> RenderOutput:
        """Whole pictures of B objects from B cameras, or from one camera for all.

        Differentiable; under ``torch.no_grad`` empty space is skipped (``gan/inference.py``), which
        is several times faster. Skipping alone changes no picture by more than 1/255 (tested on one
        grid), but for crumbs smaller than the grid's cells, which it leaves out; pictures of more
        than 2,048 pixels also have a finer grid of the first pass then, so that edges may differ in
        single pixels.

        Args:
            samples: samples a ray; ``config.render_samples`` where None.
            background: gray level in [0, 1].
            max_points: bound on the samples evaluated at a time, and so on memory; by the device
                where None.
            precision: of the networks: 'float32', 'bfloat16' or 'auto'.
        """
        codes, camera = codes.to(self.device), camera.to(self.device).expand(len(codes))
        styles = self.styles(codes)
        samples = samples or self.config.render_samples
        dtype = network_dtype(precision, self.device)
        pixels = pixel_grid(camera.width, camera.height, self.device)
        if torch.is_grad_enabled():
            grid = self.density_grid(styles[0], dtype=dtype, max_points=max_points)
            out = self.render_rays(
                pixels.expand(len(codes), -1, -1),
                camera,
                lambda rays: self.trace(
                    rays, *styles, grid, samples=samples, background=background, dtype=dtype
                ),
                samples=samples,
                background=background,
                max_points=max_points or MAX_POINTS,
            )
            return as_output(out, camera.height, camera.width)
        cells = finished_cells(self.box, camera.width * camera.height)
        objects = CachedRenderer(self.field, self.box, codes, *styles, cells, dtype)
        return objects.render(camera, samples=samples, background=background, max_points=max_points)

    def render_patch(
        self,
        codes: Codes,
        camera: Camera,
        patches: Patches,
        size: int,
        *,
        samples: int | None = None,
        background: float = 1.0,
        jitter: Float[Tensor, "batch rays samples"] | None = None,
        density_noise: Float[Tensor, "batch rays samples"] | None = None,
        places: Float[Tensor, "batch x y z 3"] | None = None,
        lattice: int | None = None,
        kept: int | None = None,
        precision: str | None = None,
    ) -> RenderOutput:
        """Patches of ``size`` by ``size`` rays, as training sees them.

        Args:
            patches: where each picture is sampled.
            samples: samples a ray; ``config.samples`` where None.
            jitter: places of the samples in their intervals, for as many rays as a patch has (those
                that meet the box take the first of them); the middle where None.
            density_noise: added to the density, relative to 1 / length of the interval; likewise.
            places: see :meth:`density_grid`.
            lattice: rays go through the pixels' centers of pictures of so many pixels
                (:meth:`Patches.points`).
            kept: rays of a picture to trace, where the host knows how many may meet the box; asked
                of the device where None.
            precision: of the networks; the configuration's where None.
        """
        camera = camera.to(self.device).expand(len(codes))
        points = patches.to(self.device).points(size, lattice)
        pixels = torch.stack((points[..., 0] * camera.width, points[..., 1] * camera.height), -1)
        rays = rays_through(camera, pixels, self.box)
        if kept is None:
            kept = rays.most_hits(CPU_STEP)
        rays, order = rays.hits_first(kept)
        shape, appearance = self.styles(codes)
        dtype = network_dtype(precision or self.config.precision, self.device)
        # Not where nothing is random: there an object's picture is its own, whatever the batch.
        # And how many rays are empty, a GPU would have to wait for.
        sparing = jitter is not None and self.device.type == "cpu"
        way = trace_sparingly if sparing else trace
        color, opacity, depth = way(
            self.field,
            rays,
            shape,
            appearance,
            self.density_grid(shape, places, dtype),
            samples=samples or self.config.samples,
            background=background,
            jitter=None if jitter is None else jitter[:, :kept],
            density_noise=None if density_noise is None else density_noise[:, :kept],
            dtype=dtype,
        )
        out = torch.cat((color, opacity[..., None], depth[..., None]), dim=-1)
        return as_output(put_back(out, order, size * size, background), size, size)

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> None:
        """Write weights and configuration as one safetensors file."""
        save_weights(
            path,
            dict(self.state_dict()),
            kind="generator",
            config=dataclasses.asdict(self.config),
            extra=extra,
        )

    @staticmethod
    def load(path: str | Path) -> Generator:
        """Read a generator; UsageError names a file that is missing, foreign or truncated."""
        weights = load_weights(path, "generator")
        with rebuilding(path):
            config = generator_config(weights.config)
            generator = rebuilt(lambda: Generator(config), weights.tensors)
            # a file belongs to no backend: it is read where another one runs
            generator.field.grid.backend = "auto"
        return generator.requires_grad_(False).eval()


def put_back(
    values: Float[Tensor, "batch kept 5"], order: Tensor, total: int, background: float
) -> Float[Tensor, "batch rays 5"]:
    """Values of rays in the place of all rays; the others show the background."""
    out = values.new_zeros(len(values), total, 5)
    out[..., :3] = background
    return out.scatter(1, order[..., None].expand(-1, -1, 5), values)


def as_output(values: Float[Tensor, "batch rays 5"], height: int, width: int) -> RenderOutput:
    """Rows of (rgb, opacity, depth) as pictures."""
    maps = values.mT.reshape(len(values), 5, height, width)
    return RenderOutput(maps[:, :3], maps[:, 3:4], maps[:, 4:5])
