"""Crispness of drawings whose figures are known in closed form."""

import math

import pytest
import torch

from clipnerf.evaluation.generation.views_with_opacity import estimated_coverage
from clipnerf.evaluation.metrics.crispness import (
    Crispness,
    Views,
    crispness,
    deep_inside,
    edge_widths,
    has_smoke,
)

SIZE, RADIUS = 96, 30.0


def disc(points: int = 1, radius: float = RADIUS, x: float = 47.3, y: float = 48.1) -> torch.Tensor:
    """Coverage of a disc, from points x points in every pixel."""
    place = (torch.arange(SIZE * points) + 0.5) / points
    inside = ((place[None] - x) ** 2 + (place[:, None] - y) ** 2 < radius**2).float()
    return inside.view(1, 1, SIZE, points, SIZE, points).mean((3, 5))


def straight(points: int, shift: float) -> torch.Tensor:
    """Coverage of a bar with two upright edges that ends in no picture's edge."""
    place = (torch.arange(SIZE * points) + 0.5) / points
    row = ((place > 20 + shift) & (place < 70 + shift)).float()
    row = row.view(SIZE, points).mean(1)
    picture = row.expand(1, 1, SIZE, SIZE).clone()
    picture[..., :10, :] = picture[..., -10:, :] = 0
    return picture


def upright(opacity: torch.Tensor) -> float:
    """Mean width of the edges in the rows that are far from the ends of a bar."""
    return float(edge_widths(opacity[..., 20:-20, :])[0].mean())


def painted(opacity: torch.Tensor, color: torch.Tensor | float = 0.3) -> Views:
    """A color on white, as opaque as said."""
    color = torch.as_tensor(color).expand(1, 3, SIZE, SIZE)
    return Views(1 - opacity * (1 - color), opacity)


def test_a_hard_disc_is_as_crisp_as_can_be():
    found = crispness(painted(disc()))
    assert found.half_transparent == 0 and found.smoke == 0 and found.see_through == 0
    assert found.edge_width == pytest.approx(0.8) and found.whole_edges == 1
    assert found.detail == pytest.approx(0, abs=1e-9)


def test_widths_of_straight_edges():
    assert upright(straight(1, 0.0)) == pytest.approx(0.8)
    # a third and two thirds of a pixel: 0.1 lies at 0.3, 0.9 at 1 + (0.9 - 1/3) / (2/3)
    assert upright(straight(3, 0.0)) == pytest.approx(0.8)
    assert upright(straight(3, 1 / 3)) == pytest.approx(1.55)
    shifts = [k / 3 for k in range(3)]
    assert sum(upright(straight(3, each)) for each in shifts) / 3 == pytest.approx(1.3)
    ramp = (torch.arange(SIZE) - 20).clamp(0, 10) / 10
    ramp = torch.minimum(ramp, ramp.flip(0)).expand(1, 1, SIZE, SIZE)
    assert float(edge_widths(ramp)[0].mean()) == pytest.approx(8, abs=1e-4)


def test_a_box_filtered_disc():
    opacity = disc(3)
    found = crispness(painted(opacity))
    # all directions are in it, and a slanted edge is wider along a row than across
    assert found.edge_width == pytest.approx(1.4, abs=0.05) and found.whole_edges == 1
    # the rim is one to two pixels wide
    rim, area = 2 * math.pi * RADIUS, math.pi * RADIUS**2
    assert 0.7 * rim / area < found.half_transparent < 1.5 * rim / area
    assert found.smoke == 0 and found.see_through == 0


def test_widths_do_not_depend_on_the_side():
    bar = straight(3, 1 / 3)
    for turned in (bar.mT, bar.flip(-1), bar.flip(-2)):
        widths, count = edge_widths(turned)
        assert count == edge_widths(bar)[1]
        assert torch.allclose(widths.sort().values, edge_widths(bar)[0].sort().values)


def test_what_never_gets_solid_has_no_width():
    faint = 0.8 * disc(3)
    widths, crossings = edge_widths(faint)
    assert len(widths) == 0 and crossings > 0
    found = crispness(painted(faint))
    assert found.edge_width is None and found.whole_edges == 0 and found.see_through == 1
    # a step before solid matter is reached: the line falls again at 0.7
    dent = disc()
    dent[..., 48, 16:22] = torch.tensor([0.0, 0.7, 0.6, 1, 1, 1])
    assert edge_widths(dent)[1] - len(edge_widths(dent)[0]) >= 1


def test_smoke_is_thick_and_large():
    def smoky(rows: int, columns: int, value: float = 0.3) -> torch.Tensor:
        opacity = disc(3)
        opacity[..., 2 : 2 + rows, 2 : 2 + columns] = value
        return opacity

    # 2 % of 2,830 pixels are 57, and the smoke counts among the object's
    assert bool(has_smoke(smoky(8, 8))) and not bool(has_smoke(smoky(7, 7)))
    assert not bool(has_smoke(smoky(1, 90)))
    assert not bool(has_smoke(smoky(8, 8, 0.05))) and not bool(has_smoke(smoky(8, 8, 0.6)))
    apart = smoky(4, 8)
    apart[..., 7:11, 2:10] = 0.3
    assert not bool(has_smoke(apart))
    apart[..., 6, 2:4] = 0.3  # a bridge
    assert bool(has_smoke(apart))
    both = Views(torch.ones(2, 3, SIZE, SIZE), torch.cat([smoky(8, 8), disc(3)]))
    assert crispness(both).smoke == 0.5


def test_a_winding_region_is_one_region():
    winding = torch.zeros(1, 1, SIZE, SIZE)
    for row in range(4, 40, 4):
        winding[..., row : row + 2, 4:90] = 0.3
        at = 88 if row % 8 else 4
        winding[..., row + 2 : row + 4, at : at + 2] = 0.3
    solid = winding.clone()
    solid[..., 50:95, 4:90] = 1
    assert bool(has_smoke(solid))


def test_detail_is_counted_inside_alone():
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    board = 0.5 + 0.1 * (1 - 2 * ((rows + columns) % 2).float())
    plain, checked = crispness(painted(disc(3))), crispness(painted(disc(3), board))
    assert plain.detail == pytest.approx(0, abs=1e-9)
    # a pixel and its four neighbors differ by 0.2 each
    assert checked.detail == pytest.approx(0.8**2, rel=1e-4)
    fine = crispness(painted(disc(3), 0.5 + (board - 0.5) / 2))
    assert fine.over(checked)["detail"] == pytest.approx(0.25, rel=1e-4)


def test_a_body_that_lets_light_through():
    opacity = disc(3)
    opacity[..., 40:50, 40:50] = 0.7
    found = crispness(painted(opacity))
    deep = int(deep_inside(opacity, 3).sum())
    assert found.see_through == pytest.approx(100 / deep)
    opacity[..., 40:50, 40:50] = 0  # a true hole
    assert crispness(painted(opacity)).see_through == 0


def test_nothing_to_be_seen():
    none = crispness(painted(torch.zeros(1, 1, SIZE, SIZE)))
    assert none == Crispness(None, None, None, None, None, None)
    assert set(none.over(crispness(painted(disc()))).values()) == {None}


def test_ratios():
    reals = crispness(painted(disc(3)))
    assert reals.over(reals)["edge_width"] == 1
    assert reals.over(reals)["see_through"] is None  # nothing over nothing


def test_coverage_is_guessed_from_white():
    opacity = disc(3)
    guessed = estimated_coverage(painted(opacity).rgb)
    assert float((guessed - opacity).abs().max()) < 1e-4
    black = crispness(Views(painted(opacity).rgb, guessed))
    assert black.edge_width == pytest.approx(crispness(painted(opacity)).edge_width, abs=1e-3)
