"""What an object of a procedural category is made of: affine images of unit primitives.

A primitive fills the cube [-0.5, 0.5]^3 ("cylinder" has its axis along z). A part is a primitive
moved by `x = linear @ u + offset`, so that a leg that splays or a back that leans is a shear and
needs no geometry of its own. What is no such image brings its own triangles ("mesh").
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True)
class Part:
    """One primitive of an object.

    primitive: "box", "cylinder", "cushion" or "mesh".
    name: the part it belongs to, as in the masks ("seat"); several primitives may share a name.
    color: RGB in [0, 1].
    mesh: the triangles of the primitive "mesh", corners counter-clockwise seen from outside.
    piece: what it is where `name` is too coarse to tell ("mirror" of the body); else empty.
    """

    primitive: str
    linear: Float[np.ndarray, "3 3"]
    offset: Float[np.ndarray, "3"]
    name: str
    color: tuple[float, float, float]
    mesh: Float[np.ndarray, "triangles 3 3"] | None = None
    piece: str = ""


@dataclass(frozen=True)
class Object:
    """An object in the cube [-1, 1]^3, +Z up, its front towards +X.

    attributes: what is true of it in words; the values are names ("red", "yes").
    jitter: the numbers in [0, 1) behind what the attributes leave open. The same attributes and
    the same jitter give the same object, which is how one attribute is changed alone.
    """

    parts: tuple[Part, ...]
    attributes: dict[str, str]
    jitter: dict[str, float]


def block(primitive: str, center, size, name: str, color, lean: float = 0.0) -> Part:
    """An upright block of `size` (x, y, z) around `center`.

    lean: how far x falls back for every unit of z within the block.
    """
    linear = np.diag(np.asarray(size, dtype=float))
    linear[0, 2] = -lean * size[2]
    return Part(primitive, linear, np.asarray(center, dtype=float), name, color)


def beam(primitive: str, start, end, thickness: float, name: str, color) -> Part:
    """A rod between two heights whose horizontal section is `thickness` wide all along."""
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    linear = np.diag([thickness, thickness, 0.0])
    linear[:, 2] = end - start
    return Part(primitive, linear, (start + end) / 2, name, color)


def spoke(center, angle: float, length: float, width: float, height: float, name, color) -> Part:
    """A flat bar that leaves `center` horizontally at `angle` (radians about +Z, 0 is +X)."""
    along = np.array([np.cos(angle), np.sin(angle), 0.0])
    across = np.array([-np.sin(angle), np.cos(angle), 0.0])
    linear = np.stack([along * length, across * width, [0.0, 0.0, height]], axis=1)
    return Part("box", linear, np.asarray(center, dtype=float) + along * length / 2, name, color)


def pieces(parts: Iterable[Part], piece: str) -> list[Part]:
    """The parts, each called `piece`."""
    return [replace(part, piece=piece) for part in parts]


def middle(part: Part) -> Float[np.ndarray, "3"]:
    """The middle of the box around a part: where the part is, seen from the object."""
    low, high = bounds((part,))
    return (low + high) / 2


def bounds(parts: tuple[Part, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner of the box around `parts`."""
    corners = np.concatenate([_extremes(part) @ part.linear.T + part.offset for part in parts])
    return corners.min(axis=0), corners.max(axis=0)


def _extremes(part: Part) -> Float[np.ndarray, "corners 3"]:
    return _CORNERS if part.mesh is None else part.mesh.reshape(-1, 3)


def centered(parts: tuple[Part, ...], scale: float = 1.0) -> tuple[Part, ...]:
    """The parts scaled, and moved so that the centre of their bounding box is the origin."""
    low, high = bounds(parts)
    # Rounded, so that an edit that leaves the box alone moves nothing by a last bit.
    middle = np.round((low + high) / 2, 9)
    return placed(parts, middle, scale)


def placed(
    parts: tuple[Part, ...], middle: Float[np.ndarray, "3"], scale: float
) -> tuple[Part, ...]:
    """The parts scaled, and moved so that the point `middle` of theirs is the origin."""
    return tuple(
        replace(p, linear=p.linear * scale, offset=(p.offset - middle) * scale) for p in parts
    )
