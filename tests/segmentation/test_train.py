"""Training: it learns, it resumes bit for bit, and says what is wrong."""

import json
from pathlib import Path

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.data.referring import ReferringDataset
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_weights
from clipnerf.segmentation.auxiliary import PictureHead
from clipnerf.segmentation.measure import measure
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.segmentation.train import SegmenterTraining, plan, train_segmenter


def test_learns_to_find_what_is_named_and_nothing_where_nothing_is(tiny, referring):
    config = tiny(150, batch=8, phrases=5, lr=3e-3, checkpoint_every=150)
    path = train_segmenter(config)
    data = ReferringDataset.open(referring, 32)
    found = measure(Segmenter.load(path, Clip.load(config.clip)), data, range(20, 24))
    assert found.figures.iou > 0.7 and found.figures.precision[0.5] > 0.9
    assert found.figures.wrongly_found < 0.3
    assert found.figures.present == 12 and found.figures.absent == 8
    assert min(found.by_text[part][0] for part in ("the disc", "the square")) > 0.6
    assert "the armchair" not in found.by_text  # it names nothing in any picture


@pytest.mark.parametrize("frozen", [False, True])
def test_two_and_two_steps_are_four(tiny, tmp_path, frozen):
    rate = {"backbone_lr": 0.0} if frozen else {}
    whole = train_segmenter(tiny(4, out=str(tmp_path / "whole"), **rate))

    class Killed(Exception):
        pass

    def stop(self, step, state, save=None):
        kept(self, step, state)
        if step == 2:
            raise Killed

    from clipnerf.training.run_folder import RunFolder

    kept = RunFolder.save_state
    RunFolder.save_state = stop
    try:
        with pytest.raises(Killed):
            train_segmenter(tiny(4, out=str(tmp_path / "parts"), **rate))
    finally:
        RunFolder.save_state = kept
    parts = train_segmenter(tiny(4, out=str(tmp_path / "parts"), **rate))
    a, b = (load_weights(path, "segmenter").tensors for path in (whole, parts))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    changed = [name for name in a if name.startswith("backbone.")]
    assert bool(changed) != frozen


def test_logs_figures_of_held_out_pictures(tiny):
    config = tiny(2)
    train_segmenter(config)
    lines = [json.loads(line) for line in Path(config.out, "stats.jsonl").read_text().splitlines()]
    assert {"loss", "iou", "pr_50", "pr_90", "absent_found"} <= lines[-1].keys()


def test_plan_counts(tiny):
    said = plan(tiny(4))
    assert "24 pictures, 120 phrases, 48 of them name nothing" in said["data"]


def test_more_held_out_than_there_are(tiny):
    with pytest.raises(UsageError, match="held_out is 22 of 24 pictures"):
        train_segmenter(tiny(2, held_out=22))


def test_fewer_steps_than_done(tiny):
    train_segmenter(tiny(3))
    with pytest.raises(UsageError, match="steps"):
        train_segmenter(tiny(2))


def test_the_second_head_is_of_the_training_alone(tiny, tmp_path):
    with_it = load_weights(train_segmenter(tiny(2)), "segmenter").tensors
    alone = tiny(2, out=str(tmp_path / "alone"), auxiliary=0.0)
    without = load_weights(train_segmenter(alone), "segmenter").tensors
    assert with_it.keys() == without.keys()
    lines = Path(tiny(2).out, "stats.jsonl").read_text().splitlines()
    assert "auxiliary" in json.loads(lines[0])
    lines = Path(alone.out, "stats.jsonl").read_text().splitlines()
    assert "auxiliary" not in json.loads(lines[0])


def test_the_second_head_sees_more_phrases_than_the_decoder(tiny, monkeypatch):
    seen = {}

    def note(self, pictures, maps, words, of, facing=None):
        seen["decoder"] = of.tolist()
        return of_maps(self, pictures, maps, words, of, facing)

    def note_all(self, maps, sentence, of):
        seen["second"] = of.tolist()
        return forward(self, maps, sentence, of)

    of_maps, forward = Segmenter.of_maps, PictureHead.forward
    config = tiny(1, phrases=2, auxiliary_phrases=3)
    trainer = SegmenterTraining(
        config, ReferringDataset.open(config.data, 32), Clip.load(config.clip), torch.device("cpu")
    )
    monkeypatch.setattr(Segmenter, "of_maps", note)
    monkeypatch.setattr(PictureHead, "forward", note_all)
    trainer.advance("train", 0)
    assert seen["decoder"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seen["second"] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
