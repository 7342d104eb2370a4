"""Surfaces of objects: marching cubes on the field's density. The only home of scikit-image.

A field has no surface; a mesh draws one where the density crosses a level. Which level, an object's
silhouette says: of a number of views, the one whose matter covers the rays that are more than half
stopped, and no others (intersection over union; what soft matter loses, docs/editing.md tells).
Neither the level nor anything else of the geometry is told the appearance.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.export import CRUMBS, LEAST, MOST, RESOLUTION, Texture
from clipnerf.config.ranges import Range, Share, check
from clipnerf.editor.texture import bake, place_slivers, texture_absence, unwrap
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.io.mesh import Mesh, vertex_normals
from clipnerf.rendering.cameras import front_to_x
from clipnerf.rendering.density_grid import grid_cells, place_samples
from clipnerf.rendering.rays import Rays, pixel_grid, rays_through
from clipnerf.rendering.volume import render_weights
from clipnerf.training.progress import Progress

VIEWS = ((0.0, 5.0), (70.0, 20.0), (135.0, 35.0), (180.0, 10.0), (250.0, 45.0), (315.0, 25.0))
"""Azimuth and elevation, degrees, from which a level is judged, in pictures of ``VIEW_SIZE``."""
VIEW_SIZE, VIEW_SAMPLES = 64, 64
POINTS = 2**16
THINNEST = -20.0
"""Of raw densities: what is thinner is as good as empty, and interpolation wants no infinities."""
SKIN = (-1.0, 5.0)
"""Cells outside and inside of the surface between which a vertex's color is looked for."""
SKIN_SAMPLES = 8
CORNER_BYTES = 32
"""Memory for each corner of the cells, as measured (27), and some more."""


def mesh_absence(texture: bool = False) -> str:
    """What is missing for meshes and how to get it; empty where nothing is."""
    if importlib.util.find_spec("skimage") is None:
        return "meshes need scikit-image, which is not installed: pip install 'clipnerf[mesh]'"
    return texture_absence() if texture else ""


@torch.no_grad()
def surface(
    generator: Generator,
    codes: Codes,
    resolution: int = RESOLUTION,
    crumbs: float = CRUMBS,
    texture: int = 0,
) -> Mesh:
    """The surface of one object, closed, with its colors; local edits are applied.

    Args:
        codes: of one object.
        resolution: cells along the longest side of the box, 16 to 512.
        crumbs: pieces of less than this share of the object's volume are left out, 0 to 1; hollows
            that nobody can see from outside are filled.
        texture: width and height of a picture of the surface, 64 to 4096 texels; 0: colors at the
            vertices alone. The textured surface is cut at seams: it encloses the same space.
    Raises:
        UsageError: a value out of range, or scikit-image or xatlas is missing.
        ClipNerfError: there is nothing that stops half of the light, or crumbs alone.
    """
    check("resolution", resolution, Annotated[int, Range(LEAST, MOST, note=" cells")])
    check("crumbs", crumbs, Share)
    check("texture", texture, Texture)
    if missing := mesh_absence(bool(texture)):
        raise UsageError(missing)
    cells = grid_cells(generator.config.box, resolution)
    _check_memory(resolution, CORNER_BYTES * math.prod(n + 3 for n in cells))
    shape, appearance = generator.styles(codes.to(generator.device))
    level = _raw(generator, silhouette_level(generator, shape)).item()
    raw = _lattice(generator, shape, cells)
    side = 2 * generator.box.cpu().numpy() / cells
    vertices, faces = _march(raw, level, crumbs, side)
    normals = vertex_normals(vertices, faces)

    def colors_at(places: np.ndarray, towards: np.ndarray) -> np.ndarray:
        at, outwards = (torch.from_numpy(a).to(generator.device) for a in (places, towards))
        return _colors(generator, shape, appearance, at, outwards, float(side.max())).cpu().numpy()

    uv = picture = None
    if texture:
        origin, faces, uv = unwrap(vertices, faces, normals, texture)
        vertices, normals = vertices[origin], normals[origin]
        corners, outwards = vertices[faces], normals[faces]

        def texels_at(triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
            w = weights.astype(np.float32)[:, :, None]
            return colors_at(*((each[triangle] * w).sum(1) for each in (corners, outwards)))

        picture = bake(uv, faces, texture, texels_at)
        uv = place_slivers(vertices, uv)
    colors = colors_at(vertices, normals)
    turn = front_to_x(generator.config.front_azimuth_deg).numpy()
    return Mesh(vertices @ turn, faces, normals @ turn, colors, uv, picture)


@torch.no_grad()
def silhouette_level(generator: Generator, shape: ShapeStyle) -> Float[Tensor, ""]:
    """The density, 1 / world unit, whose level set has most nearly the silhouette of the opacity.

    A ray meets the level set if its densest sample is above the level, and belongs to the
    silhouette if more than half of its light is stopped.

    Args:
        shape: of one object.
    """
    azimuth, elevation = generator.box.new_tensor(VIEWS).T
    camera = generator.camera(azimuth, elevation, VIEW_SIZE)
    rays = rays_through(camera, pixel_grid(VIEW_SIZE, VIEW_SIZE, generator.device), generator.box)
    parts = (rays.origins, rays.directions, rays.near, rays.far)
    flat = Rays(*(part.flatten(0, 1)[rays.hit.flatten()][None] for part in parts))
    grid = generator.density_grid(shape)
    opaque, densest = [], []
    for start in range(0, flat.near.shape[1], POINTS // VIEW_SAMPLES):
        some = flat.piece(slice(start, start + POINTS // VIEW_SAMPLES))
        t, delta = place_samples(grid.along(some), some, VIEW_SAMPLES)
        points = some.origins[:, :, None] + t[..., None] * some.directions[:, :, None]
        sigma = generator.field.geometry(points.flatten(1, 2), shape)[1].view(t.shape)
        opaque.append(render_weights(sigma, delta).sum(-1)[0] > 0.5)
        densest.append(sigma.amax(-1)[0])
    inside = torch.cat(opaque)
    if not inside.any():
        raise ClipNerfError("the object stops half of no ray: there is nothing to make a mesh of")
    values, order = torch.cat(densest).sort(descending=True)
    both = inside[order].cumsum(0)
    either = torch.arange(1, len(values) + 1, device=values.device) + inside.sum() - both
    best = int((both / either).argmax())
    return (values[best] * values[min(best + 1, len(values) - 1)].clamp(min=1e-6)).sqrt()


def _check_memory(resolution: int, needed: int) -> None:
    """ClipNerfError, with the largest resolution that fits, where there is less memory (Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = (
            next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
        )
    except (OSError, StopIteration):
        return
    if needed > free:
        fits = int(resolution * (free / needed) ** (1 / 3))
        raise ClipNerfError(
            f"resolution {resolution} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} "
            f"are free; the largest that fits is {fits}"
        )


def _raw(generator: Generator, sigma: Tensor) -> Tensor:
    """The number that a density is the softplus of, on which a surface is sharp but not sudden."""
    x = sigma.double() / generator.field.density_scale
    return (x + torch.log(-torch.expm1(-x))).clamp(min=THINNEST).float()


def _lattice(
    generator: Generator, shape: ShapeStyle, cells: list[int]
) -> Float[np.ndarray, "x y z"]:
    """Raw densities at the corners of the cells."""
    box = generator.box
    axes = [torch.linspace(-1, 1, n + 1, device=box.device) for n in cells]
    corners = [n + 1 for n in cells]
    out = torch.empty(corners[0], corners[1] * corners[2])
    plane = torch.cartesian_prod(axes[1], axes[2])
    step = max(POINTS // len(plane), 1)
    with Progress(out.numel(), desc="mesh", unit="point") as progress:
        for start in range(0, corners[0], step):
            x = axes[0][start : start + step]
            points = torch.cat(
                (x.repeat_interleave(len(plane))[:, None], plane.repeat(len(x), 1)), dim=1
            )
            parts = [
                generator.field.geometry((part * box)[None], shape)[1][0]
                for part in points.split(POINTS)
            ]
            out[start : start + step] = _raw(generator, torch.cat(parts)).view(len(x), -1).cpu()
            progress.update(len(points))
    return out.view(corners).numpy()


def _march(
    raw: Float[np.ndarray, "x y z"], level: float, crumbs: float, side: Float[np.ndarray, " 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in the world and triangles of a closed surface, without crumbs and hollows."""
    measure: Any = importlib.import_module("skimage.measure")
    volume = np.pad(raw, 1, constant_values=THINNEST - 1)  # cut open at the box it were no solid
    full = volume > level
    pieces, count = measure.label(full, connectivity=3, return_num=True)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = sizes >= max(crumbs * sizes.sum(), 1)
    if not kept.any():
        raise ClipNerfError(
            f"all pieces are below {crumbs:g} of the object's volume; choose fewer --crumbs"
        )
    volume[full & ~kept[pieces]] = THINNEST - 1
    air = measure.label(volume <= level, connectivity=1)
    volume[(air > 0) & (air != air[0, 0, 0])] = volume.max()
    vertices, faces, _, _ = measure.marching_cubes(
        volume, level, gradient_direction="ascent", allow_degenerate=False
    )
    half = side * (np.array(raw.shape) - 1) / 2
    world = np.clip((vertices - 1) * side - half, -half, half)
    return world.astype(np.float32), faces.astype(np.int32)


def _colors(
    generator: Generator,
    shape: ShapeStyle,
    appearance: AppearanceStyle,
    vertices: Float[Tensor, "vertices 3"],
    normals: Float[Tensor, "vertices 3"],
    cell: float,
) -> Float[Tensor, "vertices 3"]:
    """What a ray sees that falls on to each vertex from straight outside."""
    delta = cell * (SKIN[1] - SKIN[0]) / SKIN_SAMPLES
    steps = torch.arange(SKIN_SAMPLES, device=vertices.device) + 0.5
    inwards = (SKIN[0] * cell + delta * steps)[:, None] * -normals[:, None]
    parts = []
    for at, normal in zip(
        (vertices[:, None] + inwards).split(POINTS // SKIN_SAMPLES),
        normals.split(POINTS // SKIN_SAMPLES),
        strict=True,
    ):
        points = at.flatten(0, 1)[None]
        features, sigma = generator.field.geometry(points, shape)
        sigma = sigma * (points.abs() <= generator.box).all(-1)  # rays see nothing beyond it
        towards = None
        if generator.field.view_direction:
            towards = -normal.repeat_interleave(SKIN_SAMPLES, 0)[None]
        rgb = generator.field.color(features, appearance, towards, points).view(at.shape)
        lengths = sigma.new_full((len(at),), delta)
        weights = render_weights(sigma.view(at.shape[:2]), lengths)
        weights[:, -1] += 1e-6  # where there is hardly anything, what is innermost
        parts.append((weights[..., None] * rgb).sum(1) / weights.sum(1, keepdim=True))
    return torch.cat(parts).clamp(0, 1)
