"""One kind of mapper, measured on the tiny bundle: obedience, leaks, and what cannot be made."""

import dataclasses

import pytest
import torch

from clipnerf.editor import Editor
from clipnerf.evaluation.edits.baseline import Eyes, compare_with_reals, look_at_subjects
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.clip_scores import Words
from clipnerf.evaluation.edits.measure import ROUTED, SWEPT, measure_kind
from clipnerf.evaluation.edits.strength import STRENGTHS
from clipnerf.evaluation.report.results import plain
from clipnerf.evaluation.views_of_objects import VIEWS, shoot, shoot_all
from clipnerf.gan.codes import Codes
from clipnerf.vision.recognizer import Recognizer
from tests.commands.test_evaluate import entangled_generator, write_recognizer
from tests.evaluation.conftest import FakeClip
from tests.tiny_bundle import tiny_bundle

SIZE, SEEDS = 16, range(9)
WISHES = (
    Wish("red", {"color": "red"}, shape=0),
    Wish("blue", {"color": "blue"}, shape=0),
    Wish("green", {"width": "wide"}, appearance=0),
)


@pytest.fixture(scope="module")
def editor(tmp_path_factory) -> Editor:
    return Editor.load(tiny_bundle(tmp_path_factory.mktemp("bundle")), "cpu")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory) -> Eyes:
    path = write_recognizer(tmp_path_factory.mktemp("reader") / "recognizer.safetensors")
    clip = FakeClip()
    texts = clip.encode_text([wish.prompt for wish in WISHES])
    return Eyes({"guide": clip}, {"guide": Words(texts, texts.mean(0))}, Recognizer.load(path))


class Moves:
    """Adds one number to a code, whatever the words."""

    def __init__(self, by: float = 1.0, leak: bool = False) -> None:
        self.by, self.leak = by, leak

    def edit(self, codes, text, shape=1.0, appearance=1.0):
        shape = appearance if self.leak else shape
        return Codes(codes.shape + self.by * shape, codes.appearance + self.by * appearance)


def measured(edits, generator, eyes, data=None):
    subjects = look_at_subjects(generator, SEEDS, eyes, WISHES, data, SIZE, lambda n: None)
    reals, told = None, []
    if data is not None:
        reals = compare_with_reals(generator, data, eyes, 16, SIZE, lambda n: None)
    found, pictures = measure_kind(edits, subjects, WISHES, eyes, reals, told.append)
    return found, pictures, sum(told)


def test_an_edit_that_changes_nothing(editor, eyes):
    found, pictures, _ = measured(Moves(0.0), editor.generator, eyes)
    assert found.silhouette_iou == 1 and found.opacity_equal and found.palette_distance == 0
    assert all(r.kept.share == 1 and r.before == r.after for r in found.results)
    assert set(found.words["guide"].direction.values()) == {0.0}
    assert all(each.objects == 0 for each in found.strength["guide"].values())
    for each in pictures.after.values():  # drawn in batches of two sizes
        torch.testing.assert_close(pictures.after["red"], each, atol=1.01 / 255, rtol=0)
    routing = plain(found.routing)  # figures that are not there are equal to one another
    assert routing["by_default"] == routing["explicit"] and found.distances == {}


def test_a_leak_into_geometry_is_seen(editor, eyes):
    honest, _, _ = measured(Moves(), editor.generator, eyes)
    leaks, _, _ = measured(Moves(leak=True), editor.generator, eyes)
    assert honest.silhouette_iou == 1 and honest.opacity_equal is True
    assert leaks.silhouette_iou < 1 and leaks.opacity_equal is False
    entangled, _, _ = measured(Moves(), entangled_generator(), eyes)
    assert entangled.silhouette_iou < 1
    assert entangled.palette_distance > honest.palette_distance > 0


def test_bits_are_compared_with_those_of_the_same_place(editor, eyes, monkeypatch):
    """Where a matrix product rounds by its size and by the row, as it may on any processor."""
    monkeypatch.setattr(editor.generator.field.grid, "backend", "torch")  # not the field in C
    exact = torch.baddbmm

    def rough(bias, x, weight):
        rows, step = torch.arange(x.shape[1]), torch.finfo(x.dtype).eps
        error = 1 + 4 * step * torch.sin(12.9898 * rows + 78.233 * x.shape[1])
        return exact(bias, x, weight) * error[:, None].to(x.dtype)

    monkeypatch.setattr(torch, "baddbmm", rough)
    codes = Codes.from_seeds(SEEDS, 16)
    alone, pair = shoot(editor.generator, codes), shoot_all(editor.generator, [codes, codes])
    assert not torch.equal(alone.opacity, pair[0].opacity)
    assert not torch.equal(pair[0].opacity, pair[1].opacity)
    found, _, _ = measured(Moves(), editor.generator, eyes)
    assert found.silhouette_iou == 1 and found.opacity_equal is True


@pytest.mark.parametrize("size", [16, 32])
def test_a_picture_is_the_same_however_many_are_drawn_with_it(editor, size):
    codes = Codes.from_seeds([0], 16)
    alone, view = shoot(editor.generator, codes, size=size), VIEWS[:1]
    many = shoot_all(editor.generator, [codes] * 4, size=size)[3]
    other = shoot(editor.generator, codes, view, size)
    for rgb, opacity in ((many.rgb, many.opacity), (other.rgb, other.opacity)):
        views = rgb.shape[1]
        torch.testing.assert_close(rgb, alone.rgb[:, :views], atol=1.01 / 255, rtol=0)
        torch.testing.assert_close(opacity, alone.opacity[:, :views], atol=1 / 255, rtol=0)


def test_counts_groups_and_distances(editor, eyes, shapes):
    found, pictures, told = measured(Moves(), editor.generator, eyes, shapes)
    assert set(found.groups) == {"appearance", "shape"} and len(found.results) == 3
    assert set(found.distances["guide"]) == {"appearance", "shape"}
    distance = found.distances["guide"]["shape"]
    assert (distance.pictures, distance.reals) == (8, 16)
    assert distance.ratio == pytest.approx(distance.after / distance.before)
    assert pictures.sweeps["red"].shape == (len(STRENGTHS), 3, SIZE, SIZE)
    # Moves' own strengths are 1 and 1: other edits than the wishes', so drawn anew
    edited, swept = 3 * len(SEEDS) * len(VIEWS), 3 * SWEPT * (len(STRENGTHS) - 2)
    unedited = 2 * len(SEEDS) * len(VIEWS)  # as often as the two colors that are drawn at once
    assert told == unedited + edited + swept + 3 * ROUTED * len(VIEWS) + 2 * 8
    assert found.routing.objects == ROUTED and found.routing.by_default != found.routing.explicit


def test_the_first_view_is_what_is_shown(editor, eyes):
    _, pictures, _ = measured(Moves(), editor.generator, eyes)
    codes = Codes.from_seeds(SEEDS, 16)
    red = Moves().edit(codes, "red", 0.0, 1.0)
    again = shoot_all(editor.generator, [red, red], size=SIZE)[0]  # in the place of "red"
    assert torch.equal(pictures.after["red"], again.rgb[:, 0])
    assert torch.equal(pictures.sweeps["red"][STRENGTHS.index(1.0)], again.rgb[0, 0])


@pytest.mark.filterwarnings("ignore:CLIP model .* has never seen")
def test_an_editor_without_a_mapper_makes_what_it_can(editor, eyes):
    poor = Editor(editor.generator, editor.clip, [editor.mappers["shape"]])
    subjects = look_at_subjects(editor.generator, SEEDS, eyes, WISHES, None, SIZE, lambda n: None)
    found, pictures = measure_kind(poor, subjects, WISHES[:2], eyes, None, lambda n: None)
    assert set(found.left_out) == {"red", "blue"} and "mapper" in found.left_out["red"]
    assert found.results == () and found.groups == {} and pictures.after == {}


def test_attributes_that_cannot_be_read_do_not_count(editor, eyes, shapes, recognizer):
    # the random reader reads colors rightly as often as not; the trained one always
    trained = dataclasses.replace(eyes, recognizer=recognizer)
    wishes = [Wish("red", {"color": "red"}, shape=0)]
    sure = look_at_subjects(editor.generator, SEEDS, trained, wishes, shapes, SIZE, lambda n: None)
    assert sure.ignored == () and min(sure.accuracy.values()) > 0.9
    unsaid = look_at_subjects(editor.generator, SEEDS, trained, wishes, None, SIZE, lambda n: None)
    assert unsaid.accuracy == {} and unsaid.ignored == ()

    subjects = look_at_subjects(editor.generator, SEEDS, eyes, WISHES, shapes, SIZE, lambda n: None)
    assert subjects.ignored == ("armrests", "color", "width") and subjects.colors == ("color",)
    assert subjects.accuracy["color"] < 0.75
    blind = dataclasses.replace(eyes, recognizer=None)
    none = look_at_subjects(editor.generator, SEEDS, blind, WISHES, shapes, SIZE, lambda n: None)
    assert none.readings is None and none.floor is None
