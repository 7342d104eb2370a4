"""Parts with a surface of their own: skins drawn over rings, and panels laid on them."""

import numpy as np
from jaxtyping import Float

from clipnerf.data.procedural.parts import Part

Color = tuple[float, float, float]


def loft(rings: Float[np.ndarray, "rings corners 3"], name: str, color: Color) -> Part:
    """A closed skin over the rings, in their order, with flat ends.

    rings: closed convex polygons with the same number of corners in the same turn.
    """
    following = np.roll(rings, -1, axis=1)
    a, b, c, d = rings[:-1], following[:-1], following[1:], rings[1:]
    skin = np.concatenate(
        [np.stack(side, axis=2).reshape(-1, 3, 3) for side in ((a, b, c), (a, c, d))]
    )
    ends = []
    for ring, turn in ((rings[0], -1), (rings[-1], 1)):
        middle = np.broadcast_to(ring.mean(axis=0), ring.shape)
        fan = np.stack([middle, ring, np.roll(ring, -1, axis=0)], axis=1)
        ends.append(fan[:, ::turn])
    mesh = np.concatenate([skin, *ends])
    # The volume of a skin whose triangles turn the wrong way comes out negative.
    volume = np.einsum("ti,ti->", mesh[:, 0], np.cross(mesh[:, 1], mesh[:, 2]))
    return _part(mesh if volume > 0 else mesh[:, ::-1], name, color)


def panel(
    face: Float[np.ndarray, "4 3"],
    across: tuple[float, float],
    up: tuple[float, float],
    name: str,
    color: Color,
    lift: float = 0.006,
) -> Part:
    """A sheet that lies on a piece of a four-cornered face, `lift` above it.

    face: lower left, lower right, upper right, upper left, seen from outside.
    across, up: from where to where, 0 is the face's left or lower edge, 1 the opposite one.
    """
    (left, right), (low, high) = across, up
    u, v = np.array([[left], [right], [right], [left]]), np.array([[low], [low], [high], [high]])
    lower, upper = face[0] + u * (face[1] - face[0]), face[3] + u * (face[2] - face[3])
    corners = lower + v * (upper - lower)
    (ax, ay, az), (bx, by, bz) = corners[2] - corners[0], corners[3] - corners[1]
    # By hand: np.cross takes ten times as long for a single pair.
    normal = np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
    corners = corners + lift * normal / np.sqrt(normal @ normal)
    return _part(corners[[[0, 1, 2], [0, 2, 3]]], name, color)


def _part(mesh: np.ndarray, name: str, color: Color) -> Part:
    return Part("mesh", np.eye(3), np.zeros(3), name, color, np.ascontiguousarray(mesh))
