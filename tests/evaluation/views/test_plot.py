import matplotlib
import numpy as np
import pytest
import torch

from clipnerf.evaluation.views.consistency import view_consistency, view_directions, view_pairs
from clipnerf.evaluation.views.plot import HEIGHT, WIDTH, view_plot


def plot_of(features) -> np.ndarray:
    """Two objects from 0, 40 and 170 degrees."""
    directions = view_directions(torch.tensor([0.0, 40.0, 170.0]), torch.zeros(3)).repeat(2, 1)
    pairs = view_pairs(features, torch.tensor([0, 0, 0, 1, 1, 1]), directions)
    return view_plot(pairs.near, pairs.far, view_consistency(pairs, resamples=5))


def place(picture, sign, half) -> np.ndarray:
    """Rows and columns, inside the axes of a half (0 left, 1 right), where a line is drawn: blue
    (one object) for sign 1, orange (one view) for -1."""
    left = 75 + half * 597
    area = picture[78:416, left : left + 495].astype(int)
    return np.argwhere(sign * (area[..., 2] - area[..., 0]) > 80)


def test_near_is_drawn_left_of_far():
    picture = plot_of(torch.eye(2)[[0, 0, 0, 1, 1, 1]])
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.dtype == np.uint8
    # above the line that both histograms draw where they are empty
    near, far = (
        each[each[:, 0] < 320][:, 1] for each in (place(picture, sign, 0) for sign in (1, -1))
    )
    assert near.max() < 20 and far.min() > 475


@pytest.mark.parametrize(
    ("features", "below"), [([0, 0, 0, 1, 1, 1], True), ([0, 1, 2, 0, 1, 2], False)]
)
def test_the_curve_is_below_the_line_of_one_view_where_clip_is_consistent(features, below):
    picture = plot_of(torch.eye(3)[features])
    near, far = (np.median(place(picture, sign, 1)[:, 0]) for sign in (1, -1))
    assert near > far if below else near < far


def test_equal_pictures_can_be_plotted():
    picture = plot_of(torch.tensor([[1.0, 0.0]]).expand(6, 2))
    assert len(place(picture, -1, 0)) and len(place(picture, 1, 1))


def test_the_users_matplotlibrc_changes_nothing():
    plain = plot_of(torch.eye(3)[[0, 1, 2, 0, 1, 2]])
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert (plot_of(torch.eye(3)[[0, 1, 2, 0, 1, 2]]) == plain).all()
        assert matplotlib.rcParams["font.size"] == 30
