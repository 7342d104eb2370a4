"""Pictures in pieces: the same as the editor's, of the right size, coarse before fine."""

import gc
import weakref

import numpy as np
import pytest
import torch

from clipnerf.io.sheet import to_uint8
from clipnerf.viewer.drawing import SMALLEST, Eye, Pace, Scene, View


@pytest.fixture
def codes(editor):
    return editor.sample([0]), editor.sample([1])


def view_of(editor, azimuth=30.0, elevation=20.0, aspect=1.0) -> View:
    camera = editor.generator.camera(azimuth, elevation, 8)
    return View(camera.c2w[0], editor.generator.config.camera.fov_deg, aspect)


def last(pictures) -> np.ndarray:
    return [picture for picture in pictures if picture is not None][-1]


def drawn(editor, scene, size=64) -> np.ndarray:
    eye = Eye(editor.generator, Pace(size, size))
    return last(eye.picture(scene, size, editor.generator.config.render_samples))


def test_pieces_together_are_the_editors_picture(editor, codes):
    before, after = codes
    eye, pace = Eye(editor.generator, Pace(64)), 5
    eye.pace.rows = lambda height, samples: pace
    picture = last(eye.picture(Scene(before, after, view_of(editor)), 64, 6))
    wanted = to_uint8(editor.render(after, 30, 20, 64, samples=6).rgb)[0]
    difference = np.abs(picture.astype(int) - wanted)
    assert difference.mean() < 1
    assert (difference > 24).mean() < 0.02  # of one grid and another, at edges


def test_side_by_side_shows_before_and_after_in_halves(editor, codes):
    before, after = codes
    view = view_of(editor, aspect=2.0)
    picture = drawn(editor, Scene(before, after, view, "side by side"))
    half = view_of(editor)
    left = drawn(editor, Scene(before, after, half, "before"))
    right = drawn(editor, Scene(before, after, half, "after"))
    assert picture.shape == (64, 128, 3)
    assert np.array_equal(picture[:, :63], left[:, :63])
    assert np.array_equal(picture[:, 64:], right)
    assert not np.array_equal(left, right)


@pytest.mark.parametrize("at", [0.0, 0.3, 1.0])
def test_a_slider_parts_one_view(editor, codes, at):
    before, after = codes
    view = view_of(editor)
    picture = drawn(editor, Scene(before, after, view, "slider", at))
    cut = min(max(round(at * 64), 1), 63)
    left, right = (drawn(editor, Scene(before, after, view, one)) for one in ("before", "after"))
    assert np.abs(picture[:, : cut - 1].astype(int) - left[:, : cut - 1]).max(initial=0) <= 1
    assert np.abs(picture[:, cut:].astype(int) - right[:, cut:]).max(initial=0) <= 1


@pytest.mark.parametrize("aspect", [0.4, 1.0, 2.3])
def test_pictures_have_the_views_aspect(editor, codes, aspect):
    picture = drawn(editor, Scene(*codes, view_of(editor, aspect=aspect)))
    assert picture.shape[:2] == (64, round(64 * aspect))


def test_a_narrow_picture_cuts_nothing_off(editor, codes):
    """It shows as much to left and right as a square one."""
    square, narrow = (view_of(editor, aspect=aspect).camera(64) for aspect in (1.0, 0.5))
    assert narrow.K[0, 0, 0] / narrow.width == square.K[0, 0, 0] / square.width


def test_coarse_comes_first_in_one_piece_then_finer(editor, codes):
    eye = Eye(editor.generator, Pace(96, 32))
    made = list(eye.draw(Scene(*codes, view_of(editor))))
    assert made[0] is not None and made[0].shape[0] == 32
    heights = [picture.shape[0] for picture in made if picture is not None]
    assert heights == sorted(heights) and heights[-1] == 96
    assert any(picture is None for picture in made)


def test_a_slow_machine_draws_smaller_pictures():
    fast, slow = Pace(512), Pace(512)
    for _ in range(40):
        fast.took(0.001, 64, 12)
        slow.took(2.0, 64, 12)
    assert slow.coarse == SMALLEST and slow.fine < fast.fine == 512
    assert slow.rows(512, 48) < fast.rows(512, 48)


def test_view_says_where_it_looks_from(editor):
    azimuth, elevation = view_of(editor, 200.0, -15.0).angles_deg(
        editor.generator.config.front_azimuth_deg
    )
    assert azimuth == pytest.approx(200.0, abs=1e-3)
    assert elevation == pytest.approx(-15.0, abs=1e-3)


def test_an_eye_keeps_few_objects_and_forgets_them(editor):
    eye = Eye(editor.generator, Pace(64))
    gone = []
    for seed in range(6):
        codes = editor.sample([seed])
        gone.append(weakref.ref(codes))
        last(eye.picture(Scene(codes, codes, view_of(editor)), 32, 4))
    del codes
    assert len(eye._objects) <= 4
    eye.forget()
    gc.collect()
    assert all(ref() is None for ref in gone)
    assert torch.is_grad_enabled()
