"""Pictures of procedural objects: trimesh makes the primitives, embree casts the rays.

Light stands still in the world, so that a point keeps its color from every side: one key light,
ambient, and a little sky (Lambert, no cast shadows). Pure white background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore import EmbreeDevice
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, UInt8

from clipnerf.data.procedural.parts import Part

FOV_DEG = 30.0
RADIUS = 4.0
OVERSAMPLING = 3

_FINE = 16  # steps within one of 256 levels, before averaging

_KEY_LIGHT = np.array([0.55, 0.40, 0.73]) / np.linalg.norm([0.55, 0.40, 0.73])
_AMBIENT, _KEY, _SKY = 0.66, 0.30, 0.08


@dataclass(frozen=True)
class Picture:
    """rgb: [size, size, 3]; mask: [size, size], 0 is background, i + 1 is the i-th part name.

    regions: [size, size], the finer labels that were asked for, or None.
    """

    rgb: UInt8[np.ndarray, "size size 3"]
    mask: UInt8[np.ndarray, "size size"]
    regions: UInt8[np.ndarray, "size size"] | None = None


@cache
def _device() -> EmbreeDevice:
    return EmbreeDevice()


@cache
def _triangles(primitive: str) -> np.ndarray:
    """The unit primitive as [triangles, 3 corners, 3]."""
    if primitive == "box":
        mesh = trimesh.creation.box()
    elif primitive == "cylinder":
        mesh = trimesh.creation.cylinder(radius=0.5, height=1.0, sections=28)
    else:
        mesh = trimesh.creation.box().subdivide().subdivide().subdivide()
        core, rounding = 0.36, 0.14
        inner = np.clip(mesh.vertices, -core, core)
        outward = mesh.vertices - inner
        length = np.linalg.norm(outward, axis=1, keepdims=True)
        mesh.vertices = inner + outward * (rounding / np.maximum(length, 1e-9))
    return np.asarray(mesh.triangles, dtype=np.float64)


@lru_cache(maxsize=8)
def _screen(size: int, k: int, fov_deg: float) -> np.ndarray:
    """Directions of all sub-pixel rays in camera axes, [size * k, size * k, 3], OpenCV."""
    fine = size * k
    half = np.tan(np.radians(fov_deg) / 2)
    u = ((np.arange(fine) + 0.5) / fine * 2 - 1) * half
    x, y = np.meshgrid(u, u)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _camera(azimuth_deg: float, elevation_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Position and c2w rotation (columns: right, down, forward) of the orbit camera."""
    az, el = np.radians(azimuth_deg), np.radians(elevation_deg)
    outward = np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)])
    right = np.array([-np.sin(az), np.cos(az), 0.0])
    down = np.cross(-outward, right)
    return RADIUS * outward, np.stack([right, down, -outward], axis=1)


def render(
    parts: tuple[Part, ...],
    azimuth_deg: float,
    elevation_deg: float,
    size: int,
    part_names: tuple[str, ...],
    region_labels: Sequence[int] | None = None,
    *,
    fov_deg: float = FOV_DEG,
    oversampling: int = OVERSAMPLING,
) -> Picture:
    """One view of an object, `size` pixels square.

    The camera is the orbit camera of the project (radius 4, front at azimuth 0). A pixel's mask is
    the part, or the background, that most of its rays met.

    region_labels: a label, 1 to 255, of each part, for a second label map.
    fov_deg: field of view of the picture, degrees.
    oversampling: rays along each side of a pixel, whose mean it is. With 1, a pixel is what the ray
        through its centre meets, as in the patches that a generator renders in training.
    """
    meshes = [
        (_triangles(part.primitive) if part.mesh is None else part.mesh) @ part.linear.T
        + part.offset
        for part in parts
    ]
    owner = np.repeat(np.arange(len(parts)), [len(mesh) for mesh in meshes])
    triangles = np.concatenate(meshes)
    position, c2w = _camera(azimuth_deg, elevation_deg)

    window = _window(triangles, position, c2w, fov_deg, size)
    left, top, right, bottom = window
    rows, columns, k = bottom - top, right - left, oversampling
    hit = _cast(triangles, position, c2w, _screen(size, k, fov_deg), [k * edge for edge in window])

    albedo = np.array([part.color for part in parts])[owner]
    colors = np.minimum(albedo * _shade(triangles)[:, None], 1.0)
    # Whole numbers, so that the box filter's sums are the same in any order and on any machine.
    # The last row stands for "no triangle": embreex gives -1 there.
    levels = np.full((len(colors) + 1, 3), 255 * _FINE, np.int32)
    levels[:-1] = np.round(colors * 255 * _FINE)

    def blocks(values: np.ndarray) -> np.ndarray:
        shape = (rows, k, columns, k, -1)
        return values.reshape(shape).swapaxes(1, 2).reshape(rows, columns, k * k, -1)

    rgb = np.full((size, size, 3), 255, np.uint8)
    whole = k * k * _FINE
    rgb[top:bottom, left:right] = (blocks(levels[hit]).sum(axis=2) + whole // 2) // whole

    def label_map(labels: Sequence[int]) -> np.ndarray:
        label = np.array([*labels, 0])[np.append(owner, len(parts))]
        votes = blocks(np.eye(max(labels) + 1, dtype=np.uint8)[label[hit]]).sum(axis=2)
        drawn = np.zeros((size, size), np.uint8)
        drawn[top:bottom, left:right] = votes.argmax(axis=-1)
        return drawn

    mask = label_map([part_names.index(part.name) + 1 for part in parts])
    return Picture(rgb, mask, None if region_labels is None else label_map(region_labels))


def _window(
    triangles: np.ndarray, position: np.ndarray, c2w: np.ndarray, fov_deg: float, size: int
) -> list[int]:
    """Left, top, right and bottom of the pixels that an object can cover: only they need rays."""
    seen = (triangles.reshape(-1, 3) - position) @ c2w
    half = np.tan(np.radians(fov_deg) / 2)
    pixels = (seen[:, :2] / seen[:, 2:] / half + 1) / 2 * size
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, size)
    return [*low.tolist(), *high.tolist()]


def _cast(
    triangles: np.ndarray,
    position: np.ndarray,
    c2w: np.ndarray,
    screen: np.ndarray,
    window: Sequence[int],
) -> np.ndarray:
    """The triangle that each ray of a window of the screen meets; -1 for none."""
    left, top, right, bottom = window
    rays = screen[top:bottom, left:right].reshape(-1, 3)
    directions = np.ascontiguousarray(rays @ c2w.T, dtype=np.float32)
    origins = np.broadcast_to(position.astype(np.float32), directions.shape).copy()
    scene = EmbreeScene(_device())
    TriangleMesh(scene, triangles.astype(np.float32))
    return scene.run(origins, directions, query="INTERSECT")


def _shade(triangles: np.ndarray) -> Float[np.ndarray, " triangles"]:
    """Brightness of each triangle, about 0.66 to 1.03."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return _AMBIENT + _KEY * np.maximum(normals @ _KEY_LIGHT, 0) + _SKY * (1 + normals[:, 2]) / 2
