"""Skins and panels: closed, turned outwards, where they belong."""

import numpy as np
import pytest

from clipnerf.data.procedural.parts import bounds, placed
from clipnerf.data.procedural.surfaces import loft, panel

RED = (0.8, 0.1, 0.1)
SQUARE = np.array([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)])


def volume(mesh):
    return np.linalg.det(mesh).sum() / 6


@pytest.mark.parametrize("turn", [1, -1])
def test_a_loft_over_two_squares_is_a_closed_box_turned_outwards(turn):
    rings = np.stack([SQUARE, SQUARE + [0, 0, 2.0]])[:, ::turn]
    part = loft(rings, "thing", RED)
    assert volume(part.mesh) == pytest.approx(2.0)
    # Closed: every edge is walked once in each direction.
    edges = [
        tuple(map(tuple, pair))
        for t in part.mesh.tolist()
        for pair in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))
    ]
    assert sorted(edges) == sorted((b, a) for a, b in edges)
    normals = np.cross(part.mesh[:, 1] - part.mesh[:, 0], part.mesh[:, 2] - part.mesh[:, 0])
    middles = part.mesh.mean(axis=1) - [0, 0, 1.0]
    assert (np.einsum("ti,ti->t", normals, middles) > 0).all()


def test_a_tapered_loft_has_the_volume_of_a_frustum():
    rings = np.stack([SQUARE, 0.5 * SQUARE + [0, 0, 3.0]])
    assert volume(loft(rings, "thing", RED).mesh) == pytest.approx(3 * (1 + 0.25 + 0.5) / 3)


def test_a_panel_lies_above_its_face_within_the_named_piece():
    low, high = bounds((panel(SQUARE, (0.1, 0.4), (0.5, 0.9), "window", RED, lift=0.01),))
    np.testing.assert_allclose(low, [-0.4, 0.0, 0.01], atol=1e-12)
    np.testing.assert_allclose(high, [-0.1, 0.4, 0.01], atol=1e-12)
    below, _ = bounds((panel(SQUARE[::-1], (0.0, 1.0), (0.0, 1.0), "window", RED, lift=0.01),))
    assert below[2] == pytest.approx(-0.01)


def test_bounds_and_places_of_a_mesh_are_those_of_its_corners():
    (moved,) = placed(
        (loft(np.stack([SQUARE, SQUARE + [0, 0, 2.0]]), "thing", RED),),
        np.array([0.5, 0.0, 1.0]),
        2.0,
    )
    low, high = bounds((moved,))
    np.testing.assert_allclose([low, high], [[-2, -1, -2], [0, 1, 2]], atol=1e-12)
