"""The page holds what was found, escaped, in no more bytes than it may have."""

import dataclasses
import inspect
import re

import pytest
import torch

from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.report.gallery import PICKED, picks, swap_grid
from clipnerf.evaluation.report.page import page
from clipnerf.evaluation.views_of_objects import VIEWS, shoot
from clipnerf.gan.codes import Codes
from clipnerf.io.html import LARGEST
from tests.evaluation.report.found import evaluation, gallery, result

KEYS = (
    "guide",
    "judge",
    "appearance",
    "shape",
    "command",
    "config",
    "versions",
    "commit",
    "device",
    "seconds",
)
"""What the page looks up by its name."""


def test_everything_is_there_and_escaped():
    found = evaluation()
    made = page(found, gallery(found))
    for name in (
        "figures",
        "edits",
        "failures-and-successes",
        "strength",
        "two-codes",
        "variety",
        "absent",
        "protocol",
    ):
        assert f'<section id="{name}">' in made and f'href="#{name}"' in made
    assert "<b>bundle" not in made and "&lt;b&gt;bundle" in made
    assert "this &lt;i&gt;" in made and "2 prompts &amp; &lt;more&gt;" in made
    assert "a &lt;b&gt;bold&lt;/b&gt; chair: no mapper" in made
    assert "clipnerf evaluate &lt;x&gt;" in made
    assert 'class="met"' in made and 'class="missed"' in made
    # two strips, two sweeps a kind, four picks a kind, one swap grid, real and generated
    assert made.count("<img ") == 2 + 2 * 2 + 2 * 4 + 1 + 2
    assert made.count('alt="') == made.count("<img ")
    assert not re.search(r'(?:src|href)="(?!data:image/|#)', made) and "<script" not in made
    assert "paper: true 25 % → 50 %, others stay 94 %" in made
    assert '<th scope="row">width</th><td>–</td><td>–</td><td>94 %</td><td>96 %</td>' in made


def test_no_text_is_taken_for_markup():
    """Every name, prompt, note and key of the evaluation says <script>."""

    def evil(value):
        if isinstance(value, str):
            return value if value in KEYS else f"<script>{value}"
        if isinstance(value, dict):
            return {evil(key): evil(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(evil, value))
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value) if field.init]
            return dataclasses.replace(value, **{n: evil(getattr(value, n)) for n in names})
        return value

    found = evil(evaluation())
    pictures = gallery(evaluation())
    made = page(found, evil(pictures))
    plain = page(evaluation(), pictures)
    assert "<script" not in made and made.count("&lt;script&gt;") > 80
    assert re.findall(r"</?[a-z0-9]+", made) == re.findall(r"</?[a-z0-9]+", plain)


def test_a_page_asks_for_nothing():
    made = page(evaluation(), gallery(evaluation()))
    assert made.startswith("<!doctype html>")
    assert "http" not in made and "@import" not in made and "url(" not in made
    assert "prefers-color-scheme:dark" in made and "width=device-width" in made


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_it_keeps_to_its_size(share):
    found = evaluation()
    pictures = gallery(found, size=48)
    limit = int(share * len(page(found, pictures).encode()))
    made = page(found, pictures, limit)
    assert len(made.encode()) <= limit and made.count("<img ") == 17


def test_the_bound_is_five_megabytes():
    assert inspect.signature(page).parameters["largest"].default == LARGEST == 5_000_000


def test_without_real_pictures_or_edits():
    found = evaluation(kinds={}, variety={}, absent=())
    some = dataclasses.replace(gallery(found), real=None, generated=None)
    made = page(found, some)
    assert 'id="edits"' not in made and 'href="#strength"' not in made
    assert "no real pictures" in made and "all that can be measured was" in made
    assert "no independent judgement" not in made
    assert "no independent judgement" in page(evaluation(same_judge=True), some)


def test_the_worst_and_the_best_once_a_prompt():
    results = tuple(
        result(f"p{number}", "shape", 1.0, 1.0, chances=(number / 20, 1 - number / 40))
        for number in range(12)
    )
    worst, best = picks(KindFigures(results=results))
    assert len(worst) == len(best) == PICKED
    assert [pick.prompt for pick in worst] == [f"p{number}" for number in range(8)]
    assert [pick.chance for pick in best] == [1 - number / 40 for number in range(8)]
    assert worst[1].row == 0 and best[1].row == 1 and not worst[1].has and best[1].has
    assert picks(KindFigures()) == ([], [])


def test_a_swap_grid_crosses_shapes_with_appearances(generator):
    grid = swap_grid(generator, 3, 16)
    assert grid.shape == (6, 6, 3, 16, 16)
    codes = Codes.from_seeds(range(3, 9), 8)
    crossed = Codes(codes.shape[[2]], codes.appearance[[4]])
    alone = shoot(generator, crossed, VIEWS[:1], 16)
    assert float((grid[2, 4] - alone.rgb[0, 0]).abs().max()) < 1.5 / 255
    assert float((grid[2] - grid[2, :1]).abs().max()) > 0.01
    assert not torch.equal(grid[2, 4], grid[4, 2])
