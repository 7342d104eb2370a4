"""Textures of meshes: the surface laid out flat, and its colors there. The only home of xatlas.

The layout knows the geometry alone: an edit of color changes the picture and no vertex.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from clipnerf.training.progress import Progress

PADDING = 2
"""Texels between two pieces of the surface, so that filters do not mix them."""
CANDIDATES = 2**19
"""Texels that are compared with triangles at once."""


def texture_absence() -> str:
    """What is missing for textures and how to get it; empty where nothing is."""
    if importlib.util.find_spec("xatlas") is not None:
        return ""
    return "textures need xatlas, which is not installed: pip install 'clipnerf[mesh]'"


def unwrap(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    normals: Float[np.ndarray, "vertices 3"],
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts a surface open and lays it out.

    Args:
        size: of the texture that the gaps between pieces are meant for, texels.

    Returns:
        origin: the vertex that each vertex of the cut surface was, [cut]; seams have several.
        faces: of the cut surface, in the order of the old ones.
        uv: where its vertices lie in the texture, [cut 2] in [0, 1] from the upper left corner;
            0 for those of slivers, which it puts nowhere (see :func:`place_slivers`).
    """
    xatlas: Any = importlib.import_module("xatlas")
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces, normals)
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = size, PADDING, True
    atlas.generate(xatlas.ChartOptions(), pack, False)
    origin, cut, uv = atlas[0]
    return origin.astype(np.int64), cut.astype(np.int32), uv.astype(np.float32)


def bake(
    uv: Float[np.ndarray, "vertices 2"],
    faces: Int[np.ndarray, "faces 3"],
    size: int,
    colors_at: Callable[[np.ndarray, np.ndarray], Float[np.ndarray, "texels 3"]],
) -> UInt8[np.ndarray, "size size 3"]:
    """The picture that is laid on the surface.

    Args:
        uv: of :func:`unwrap`.
        colors_at: colors in [0, 1] at places of the surface: the triangle of each, [texels], and
            the weights of its corners, [texels 3].
    """
    ndimage: Any = importlib.import_module("scipy.ndimage")
    picture = np.zeros((size * size, 3), np.uint8)
    bare = np.ones(size * size, bool)
    unseen = np.ones(len(faces), bool)

    def paint(texel: np.ndarray, triangle: np.ndarray, weights: np.ndarray) -> None:
        picture[texel] = np.rint(255 * colors_at(triangle, weights)).astype(np.uint8)
        bare[texel] = unseen[triangle] = False

    with Progress(len(faces), desc="texture", unit="face") as progress:
        for count, (texel, triangle, weights) in _covered(uv * size, faces, size):
            paint(texel, triangle, weights)
            progress.update(count)
    # What passes between the middles of texels has its own at its corners, and at its own middle.
    thin = np.flatnonzero(unseen & uv[faces].any((1, 2)))
    for weight in np.concatenate((np.eye(3), np.full((1, 3), 1 / 3))):
        at = (uv[faces[thin]] * weight[:, None]).sum(1) * size
        column, row = at.astype(np.int64).clip(0, size - 1).T
        texel = row * size + column
        free = bare[texel]
        paint(texel[free], thin[free], np.tile(weight, (int(free.sum()), 1)))
    # What no triangle covers is as the nearest texel that one does: filters look over the edge.
    near = ndimage.distance_transform_edt(
        bare.reshape(size, size), return_distances=False, return_indices=True
    )
    return picture.reshape(size, size, 3)[near[0], near[1]]


def place_slivers(
    vertices: Float[np.ndarray, "vertices 3"], uv: Float[np.ndarray, "vertices 2"]
) -> Float[np.ndarray, "vertices 2"]:
    """``uv`` of :func:`unwrap`, once a picture is baked, with what lay nowhere at its neighbors."""
    spatial: Any = importlib.import_module("scipy.spatial")
    lost = (uv == 0).all(1)
    near = spatial.cKDTree(vertices[~lost]).query(vertices[lost])[1]
    uv = uv.copy()
    uv[lost] = uv[~lost][near]
    return uv


def _covered(
    at: Float[np.ndarray, "vertices 2"], faces: Int[np.ndarray, "faces 3"], size: int
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """How many triangles are done, and the texels whose middle lies in one of them: their numbers,
    triangles, and weights of corners."""
    corners = at[faces].astype(np.float64)
    low = np.floor(corners.min(1)).astype(np.int64).clip(0, size - 1)
    extent = np.ceil(corners.max(1)).astype(np.int64).clip(1, size) - low
    counts = extent.clip(1).prod(1)
    full = counts.cumsum()
    marks = np.arange(CANDIDATES, int(full[-1]), CANDIDATES)
    for some in np.split(np.arange(len(faces)), np.searchsorted(full, marks)):
        triangle = some.repeat(counts[some])
        number = np.arange(len(triangle)) - (counts[some].cumsum() - counts[some]).repeat(
            counts[some]
        )
        wide = extent[triangle, 0].clip(1)
        x, y = low[triangle, 0] + number % wide, low[triangle, 1] + number // wide
        weights = _barycentric(corners[triangle], np.stack([x + 0.5, y + 0.5], 1))
        inside = (weights >= 0).all(1)
        yield len(some), ((y * size + x)[inside], triangle[inside], weights[inside])


def _barycentric(
    corners: Float[np.ndarray, "n 3 2"], at: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 3"]:
    """Weights of a triangle's corners that make a point; negative where it lies outside."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    across, down, to = b - a, c - a, at - a
    area = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    area = np.where(np.abs(area) > 1e-12, area, np.inf)  # a line covers nothing
    second = (to[:, 0] * down[:, 1] - to[:, 1] * down[:, 0]) / area
    third = (across[:, 0] * to[:, 1] - across[:, 1] * to[:, 0]) / area
    first = np.where(np.isfinite(area), 1 - second - third, -1)
    return np.stack([first, second, third], axis=1)
