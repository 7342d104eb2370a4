"""IoU, Pr@X and absent phrases, against sums done by hand."""

import math

import torch

from clipnerf.segmentation.metrics import figures, found, intersection_over_union


def test_iou():
    a = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    b = a.clone()
    a[0, 0, :2], b[0, 0, 1:3] = True, True  # 4 of 12 pixels in both
    a[1, 0, 0] = True
    torch.testing.assert_close(intersection_over_union(a, b), torch.tensor([4 / 12, 0.0, 1.0]))


def test_where_the_strongest_pixels_are_not_sure_nothing_is_found():
    chance = torch.zeros(3, 1, 64, 64)
    chance[0, 0, 0, :3], chance[1, 0, 0, :4] = 0.95, 0.95  # of the 4 strongest
    chance[2, 0, :8] = 0.45  # many, and none of them sure
    assert found(chance).flatten(1).sum(1).tolist() == [0, 4, 0]
    assert not found(chance, 0.96).any()


def test_figures():
    iou = torch.tensor([0.95, 0.75, 0.55, 0.1, 0.0, 1.0])
    anything = torch.tensor([True, True, True, True, True, False])
    summed = figures(iou, anything, [False, False, False, False, True, True])
    assert math.isclose(summed.iou, 0.5875, rel_tol=1e-6)
    assert summed.precision == {0.5: 0.75, 0.6: 0.5, 0.7: 0.5, 0.8: 0.25, 0.9: 0.25}
    assert summed.wrongly_found == 0.5 and (summed.present, summed.absent) == (4, 2)
    assert "Pr@90 0.250" in summed.line() and "absent found 0.500" in summed.line()
    assert "absent_found" not in figures(iou, anything, [False] * 6).scalars()
