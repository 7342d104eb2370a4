"""Ways between objects and through edits: their ends, their pace, their videos."""

import numpy as np
import pytest
import torch

from clipnerf.editor import Editor
from clipnerf.editor.morph import along, between, interpolate
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.io.video import read_video
from tests.tiny_bundle import tiny_bundle


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return Editor.load(tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


def pair(dim: int = 64) -> tuple[Codes, Codes]:
    return Codes.from_seeds([0, 1, 2], dim), Codes.from_seeds([3, 4, 5], dim)


def test_the_ends_are_the_very_same_codes():
    before, after = pair()
    way = interpolate(before, after, 5)
    assert len(way) == 5 and way[0] is before and way[-1] is after


def test_directions_turn_at_an_even_pace_and_lengths_grow_evenly():
    before, after = pair()
    after = Codes(3 * after.shape, after.appearance)
    way = interpolate(before, after, 7)
    cosine = torch.nn.functional.cosine_similarity
    steps = torch.stack(
        [cosine(a.shape, b.shape).acos() for a, b in zip(way, way[1:], strict=False)]
    )
    assert torch.allclose(steps, steps.mean(0).expand_as(steps), atol=1e-3)
    assert torch.allclose(steps.sum(0), cosine(before.shape, after.shape).acos(), atol=1e-3)
    lengths = torch.stack([codes.shape.norm(dim=1) for codes in way])
    assert torch.allclose(lengths.diff(dim=0), lengths.diff(dim=0).mean(0), atol=1e-3)


def test_what_is_the_same_at_both_ends_keeps_its_bits():
    before, after = pair()
    middle = between(before, Codes(before.shape, after.appearance), 0.3)
    assert torch.equal(middle.shape, before.shape)
    assert not torch.allclose(middle.appearance, before.appearance, atol=0.1)


@pytest.mark.parametrize("factor", [1 + 1e-6, 2.0, -1.0])
def test_parallel_and_opposite_codes_give_numbers(factor):
    before, _ = pair()
    middle = between(before, Codes(factor * before.shape, before.appearance), 0.25)
    expected = (0.75 + 0.25 * factor) * before.shape
    assert torch.allclose(middle.shape, expected, atol=1e-4)


def test_a_loop_passes_through_its_stops_and_would_close():
    stops = [Codes.from_seeds([seed], 16) for seed in range(3)]
    way = along(stops, 12)
    assert len(way) == 12
    assert [way[frame] is stops[stop] for frame, stop in ((0, 0), (4, 1), (8, 2))] == [True] * 3
    assert torch.allclose(way[-1].shape, between(stops[2], stops[0], 0.75).shape, atol=1e-6)
    one_way = along(stops, 5, loop=False)
    assert one_way[0] is stops[0] and one_way[2] is stops[1] and one_way[-1] is stops[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: interpolate(a, b, 1), "steps is 1"),
        (lambda a, b: interpolate(a, b[0], 3), "hold 3, 1 objects"),
        (lambda a, b: along([a], 9), "1 stop"),
        (lambda a, b: along([a, b], 1), "frames is 1"),
        (lambda a, b: along([a, b[:0]], 4), "of 0 objects"),
    ],
)
def test_ways_that_cannot_be(call, message):
    with pytest.raises(UsageError, match=message):
        call(*pair())


def test_a_morph_is_a_video_of_the_stops_side_by_side(editor, tmp_path):
    codes = editor.sample([0, 1])
    edited = editor.edit(codes, "a red chair")
    frames = read_video(
        editor.morph([codes, edited], tmp_path / "m.mp4", frames=4, size=32, turns=0)
    )
    assert frames.shape == (4, 32, 64, 3)
    for frame, stop in ((0, codes), (2, edited)):
        view = editor.render(stop, 30, 20, 32).rgb
        expected = torch.cat(list(view), dim=2).permute(1, 2, 0).numpy() * 255
        assert np.abs(frames[frame] - expected).mean() < 12
    assert np.abs(frames[0].astype(int) - frames[2]).max() > 20


def test_the_camera_turns_while_objects_change_in_pieces_as_at_once(editor, tmp_path, monkeypatch):
    stops = [editor.sample([seed]) for seed in (0, 1, 2)]
    arguments = {"frames": 6, "size": 16, "turns": 1.0, "azimuth_deg": 0}
    whole = read_video(editor.morph(stops, tmp_path / "whole.mp4", **arguments))
    monkeypatch.setattr("clipnerf.editor.views.ORBIT_PIXELS", 2 * 16 * 16)
    pieces = read_video(editor.morph(stops, tmp_path / "pieces.mp4", **arguments))
    assert np.abs(pieces.astype(int) - whole).max() <= 1
    view = editor.render(stops[1], 120, 20, 16).rgb[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(whole[2] - view).mean() < 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 15}, "height is 15"),
        ({"turns": float("nan")}, "turns is nan"),
        ({"frames": 1}, "frames is 1"),
        ({"path": "a.gif"}, "only .mp4"),
    ],
)
def test_a_morph_that_cannot_be(editor, tmp_path, arguments, message):
    arguments = {"path": "a.mp4", "frames": 2, "size": 16, **arguments}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(UsageError, match=message):
        editor.morph([editor.sample([0]), editor.sample([1])], **arguments)
    assert not list(tmp_path.iterdir())
