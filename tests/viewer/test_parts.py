"""Parts under the pointer, and what lights up."""

import numpy as np
import torch

from clipnerf.editor import Editor
from clipnerf.viewer import parts
from clipnerf.viewer.drawing import Scene
from tests.viewer.test_drawing import drawn, view_of


def test_what_is_under_the_pointer(editor):
    codes, view = editor.sample([0]), view_of(editor, aspect=1.5)
    opacity = editor.render(codes, 30, 20, 96).opacity[0, 0]
    row, column = (int(n) for n in (opacity == opacity.max()).nonzero()[0])
    place = ((column + 24) / 144, row / 96)
    assert parts.under(editor, codes, view, place, ("the seat", "the back")) == [
        "the seat",
        "the back",
    ]


def test_beside_the_object_there_is_no_part(editor):
    empty = view_of(editor, aspect=6.0)
    assert parts.under(editor, editor.sample([0]), empty, (0.01, 0.5), ("the seat",)) == []


def test_what_is_lit_is_tinted_and_its_geometry_stays(editor):
    codes = editor.sample([0])
    lit = parts.lit(editor, codes, "the seat")
    assert torch.equal(lit.geometry, codes.geometry)
    view = view_of(editor)
    plain, shown = (drawn(editor, Scene(codes, some, view)) for some in (codes, lit))
    changed = np.abs(shown.astype(int) - plain).max(-1)
    assert changed.max() > 40
    empty = editor.render(codes, 30, 20, 64).opacity[0, 0].numpy() == 0
    assert empty.any() and changed[empty].max() <= 1


def test_a_bundle_without_region_field_has_no_phrases(editor):
    assert parts.phrases(Editor(editor.generator, editor.clip), None) == ()


def test_phrases_are_those_of_the_category_where_the_file_names_none(editor, bundle):
    assert "the seat" in parts.phrases(editor, bundle)
    assert parts.phrases(editor, None) == parts.CHAIR_PARTS
