"""The paper's failures as a standing test: colors that words give to parts stay on these parts."""

import warnings

import pytest
import torch

from clipnerf import Editor
from clipnerf.gan.codes import Codes

CARS, CHAIRS = "data/pretrained/cars", "data/pretrained/chairs"
SIDE_DEG = 90.0
"""From here a car's front is on the left of the picture."""


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some objects lack the part, which is said
        yield


def changed(editor: Editor, before: Codes, after: Codes, azimuth: float) -> torch.Tensor:
    """Change of color, [batch, 3, 32, 32]; of opacity there is none."""
    old, new = (editor.render(codes, azimuth, 20, 32) for codes in (before, after))
    assert torch.equal(old.opacity, new.opacity)
    return new.rgb - old.rgb


@pytest.fixture(scope="module")
def wheels() -> tuple[Editor, Codes, torch.Tensor]:
    """Cars, and the change by red front wheels and green rear wheels, seen from the side."""
    editor = Editor.load(CARS, "cpu")
    codes = editor.sample([0, 1, 2, 4, 5, 6, 7])  # seed 3: no rear wheels found, which is said
    edited = editor.edit_parts(codes, {"the front wheels": "red", "the rear wheels": "green"})
    return editor, codes, changed(editor, codes, edited, SIDE_DEG)


FRONT, REAR = slice(None, 16), slice(16, None)


def test_front_wheels_turn_red_and_the_body_stays(wheels):
    editor, codes, change = wheels
    reddened = (change[:, 0] - change[:, 1]).clamp(min=0)
    share_red = reddened[..., FRONT].sum((1, 2)) / reddened.sum((1, 2))
    assert float(share_red.median()) > 0.9, share_red
    # the body, most of what is seen, stays
    touched = (change.abs().amax(1) > 0.05).float().mean((1, 2))
    seen = (editor.render(codes, SIDE_DEG, 20, 32).opacity > 0.5).float().mean((1, 2, 3))
    assert float((touched / seen).max()) < 0.35, touched / seen


@pytest.mark.xfail(reason="green reaches torn front wheels: the median is 0.88", strict=True)
def test_rear_wheels_alone_turn_green(wheels):
    _, _, change = wheels
    greened = (change[:, 1] - change[:, 0]).clamp(min=0)
    share_green = greened[..., REAR].sum((1, 2)) / greened.sum((1, 2))
    assert float(share_green.median()) > 0.9, share_green


def test_a_red_and_blue_chair():
    editor = Editor.load(CHAIRS, "cpu")
    codes = editor.sample([0, 1, 2, 3, 4, 5, 7])  # those of the first eight that stand on legs
    edited = editor.edit_parts(codes, {"the seat": "red", "the legs": "blue"})
    change = changed(editor, codes, edited, 35.0)
    view = editor.render(edited, 35, 20, 32).rgb
    seat = editor.region_picture(codes, "the seat", 35, 20, 32)[:, 0] > 0.7
    legs = editor.region_picture(codes, "the legs", 35, 20, 32)[:, 0] > 0.7
    for row in range(len(codes)):
        red, blue = view[row][:, seat[row]].mean(1), view[row][:, legs[row]].mean(1)
        assert red[0] > red[1:].max() + 0.3, (row, red)
        assert blue[2] > blue[0] + 0.2, (row, blue)
    elsewhere = ~(seat | legs)
    moved = change.abs().sum(1)
    outside = (moved * elsewhere).sum((1, 2)) / moved.sum((1, 2))
    assert float(outside.median()) < 0.35, outside
