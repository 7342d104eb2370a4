"""`clipnerf segment`, and the measures of `clipnerf evaluate --segmentation`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.cli import main
from clipnerf.editor import regions
from clipnerf.evaluation.segmentation.protocol import leak, shows, summed, without_specks
from clipnerf.io.sheet import overlay
from clipnerf.segmentation.segmenter import Segmenter
from tests.test_readme import draw_photo
from tests.tiny_bundle import tiny_bundle, tiny_parts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_parts(tiny_bundle(tmp_path_factory.mktemp("bundle"), 3))


def test_a_mask_and_an_overlay_of_each_phrase(bundle, tmp_path, monkeypatch, capsys):
    draw_photo(tmp_path / "photo.png")

    def half(self, pictures, texts):
        """The first phrase is on the left, others nowhere."""
        chance = torch.zeros(len(texts), 1, *pictures.shape[-2:])
        chance[0, ..., : pictures.shape[-1] // 2] = 0.9
        return chance

    monkeypatch.setattr(Segmenter, "segment", half)
    command = ["segment", str(tmp_path / "photo.png"), "--bundle", str(bundle)]
    command += ["--text", "a chair", "--text", "the moon", "--out", str(tmp_path / "mask.png")]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "no such part: 'the moon'" in said.err and "never met" in said.err
    made = [f"mask-{n}{kind}.png" for n in (1, 2) for kind in ("", "-overlay")]
    assert said.out.split() == [str(tmp_path / name) for name in made]
    masks = [np.asarray(Image.open(tmp_path / f"mask-{n}.png")) for n in (1, 2)]
    assert masks[0].shape == (24, 24, 3)
    assert (masks[0][:, :12] == 255).all() and not masks[0][:, 12:].any() and not masks[1].any()
    over, plain = (
        np.asarray(Image.open(tmp_path / name).convert("RGB"))
        for name in ("mask-1-overlay.png", "photo.png")
    )
    assert (over[:, 12:] == plain[:, 12:]).all() and (over[:, :12] != plain[:, :12]).any(2).all()


def test_an_oblong_photo_keeps_its_shape(bundle, tmp_path):
    Image.new("RGB", (40, 20), (200, 30, 30)).save(tmp_path / "wide.png")
    out = tmp_path / "mask.png"
    command = ["segment", str(tmp_path / "wide.png"), "--bundle", str(bundle), "--text", "a chair"]
    assert main([*command, "--out", str(out)]) == 0
    assert Image.open(out).size == (40, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--text", " "], "text is []"),
        (["--text", "the seat", "--threshold", "1"], "threshold is 1.0"),
        (["--text", "the seat", "--out", "mask.jpg"], "ends in .png"),
        ([], "text is []"),
        (["--text", "the seat", "--bundle", "{bare}"], "holds no segmenter.safetensors"),
    ],
)
def test_bad_input_is_one_line(bundle, tmp_path, capsys, change, message):
    draw_photo(tmp_path / "photo.png")
    bare = tmp_path / "bare"
    bare.mkdir()
    change = [word.format(bare=bare) for word in change]
    command = ["segment", str(tmp_path / "photo.png"), "--bundle", str(bundle), *change]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert main(["segment", str(tmp_path / "none.png"), "--text", "the seat"]) == 2


def test_overlay_leaves_what_is_outside_alone():
    picture, mask = torch.full((3, 4, 4), 0.3), torch.zeros(1, 4, 4)
    mask[..., :2] = 1
    over = overlay(picture, mask)
    assert torch.equal(over[..., 2:], picture[..., 2:])
    assert bool(((over - picture)[..., :2].abs().amax(0) > 0.01).all())


def test_leak_is_the_change_outside_the_part_and_one_pixel_around_it():
    before, part = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    part[..., 2:4, 2:4] = True
    after = before.clone()
    after[..., 3, 3] = 1.0  # inside
    after[..., 4, 4] = 0.5  # beside it
    after[..., 7, 7] = 0.25  # elsewhere
    out, total = leak(before, after, part)
    assert (out, total) == (0.75, 5.25)


def test_a_pixel_shows_a_region_by_the_share_of_what_it_shows():
    region = torch.tensor([0.3, 0.3, 0.1, 0.6]).view(1, 1, 1, 4)
    opacity = torch.tensor([0.5, 0.9, 0.15, 1.0]).view(1, 1, 1, 4)
    assert shows(region, opacity).flatten().tolist() == [True, False, False, True]


def test_specks_count_as_nothing():
    masks = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    masks[0, 0, 0], masks[1, 0, 1] = True, True
    masks[1, 0, 2, 0] = True
    assert without_specks(masks).flatten(1).sum(1).tolist() == [0, 9]


def test_phrases_with_an_empty_mask_count_as_absent():
    true = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    true[:2, 0, :4] = True
    masks = true.clone()
    masks[1, 0, :2], masks[2, 0, 0] = False, True
    row = summed("segmenter", "x", masks, true, ["the seat", "the back", "the arms"], 0.001)
    assert row.by_text == {"the back": (0.5, 1), "the seat": (1.0, 1)}
    assert row.part_iou == 0.75 and row.figures.wrongly_found == 1.0
    assert "part mIoU 0.750" in row.line() and "1 ms" in row.line()


def test_evaluation_runs_on_a_bundle_and_writes_what_it_says(bundle, tmp_path, capsys, monkeypatch):
    from clipnerf.config.inversion import InversionConfig
    from clipnerf.evaluation.segmentation import run

    quick = InversionConfig(size=16, starts=1, rough_steps=1, steps=1)  # not of --size
    invert = run.Editor.invert
    monkeypatch.setattr(run.Editor, "invert", lambda self, some: invert(self, some, quick))
    monkeypatch.setattr(regions, "_SIZE", 8)
    command = ["evaluate", str(bundle), "--segmentation", "--category", "chairs"]
    command += ["--objects", "2", "--samples", "16", "--size", "32", "--out", str(tmp_path / "out")]
    assert main([*command, "--dry-run"]) == 0
    assert "16 drawn, 2 inverted" in capsys.readouterr().out
    assert main(command) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "out/segmentation.json").read_text())
    assert [row["what"] for row in found["parts"]] == [
        "segmenter",
        "segmenter",
        "region field",
        "voting",
        "region field",
        "voting",
    ]
    assert found["parts"][0]["by_text"].keys() <= {
        "the seat",
        "the back",
        "the legs",
        "the armrests",
    }
    assert found["edits"] == []  # no recognizer in this bundle
    assert main(["evaluate", str(bundle), "--segmentation", "--inversion"]) == 2
