"""Each object gets one of the prompts; distances are compared with the unedited ones."""

import pytest
import torch

from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.fid_after_edit import distance_after_edits, edit_each
from clipnerf.gan.codes import Codes


class Writer:
    """Writes the number of the prompt into the code."""

    def edit(self, codes, text, *, shape, appearance):
        return Codes(torch.full_like(codes.shape, float(text)), codes.appearance)


def test_every_object_is_edited_once_and_by_the_same_prompt_again():
    codes = Codes.from_seeds(range(40), 8)
    wishes = [Wish(str(number), {"a": "b"}) for number in (1, 2, 3)]
    found = edit_each(Writer(), codes, wishes)
    drawn = found.shape[:, 0].tolist()
    assert set(drawn) == {1, 2, 3} and torch.equal(found.appearance, codes.appearance)
    assert all(8 <= drawn.count(number) <= 19 for number in (1, 2, 3))
    assert edit_each(Writer(), codes[:20], wishes).shape[:, 0].tolist() == drawn[:20]
    assert float(codes.shape.std()) > 0.5  # what came in is as it was


def test_after_over_before():
    noise = torch.Generator().manual_seed(0)
    real, before = torch.randn(2, 400, 4, generator=noise)
    found = distance_after_edits(real, before + 1, before + 2)
    assert found.before == pytest.approx(4, rel=0.2) and found.after == pytest.approx(16, rel=0.2)
    assert found.ratio == pytest.approx(found.after / found.before)
    assert (found.pictures, found.reals) == (400, 400)
