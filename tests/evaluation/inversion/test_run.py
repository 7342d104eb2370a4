"""The table of inversions: what is measured, and that it is told apart."""

import json
from dataclasses import replace

import pytest
import torch

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.config.inversion import InversionConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import UsageError
from clipnerf.evaluation.inversion import protocol
from clipnerf.evaluation.inversion.protocol import (
    generated_photos,
    lines,
    measure_inversion,
    methods,
    real_photos,
)
from clipnerf.evaluation.inversion.run import evaluate_inversion
from clipnerf.inversion.pose import Pose
from clipnerf.inversion.result import Inversion
from tests.tiny_bundle import tiny_bundle, tiny_generator

QUICK = InversionConfig(size=16, samples=4, starts=1, rough_steps=2, steps=2, paper_steps=1)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


def test_every_method_leaves_out_what_it_says():
    found = methods(QUICK, encoder=True)
    assert list(found) == [
        "encoder alone",
        "ours",
        "ours without CLIP",
        "ours without detail",
        "ours without encoder",
        "paper",
        "paper without CLIP",
        "paper without noise",
    ]
    assert found["encoder alone"].steps == found["encoder alone"].rough_steps == 0
    assert found["ours without CLIP"].loss.clip == 0 and found["ours"].loss.clip > 0
    assert not found["ours without detail"].detail
    assert not found["ours without encoder"].use_encoder
    assert found["paper"].method == "paper" and found["paper without noise"].paper_noise == 0
    assert "encoder alone" not in methods(QUICK, encoder=False)


def test_a_perfect_answer_is_measured_as_perfect(generator, monkeypatch):
    photos = generated_photos(generator, 3, 100, 16)

    def perfect(generator, pictures, config, **_):
        pose = Pose.of_camera(photos.camera, generator.config.camera)
        one = torch.ones(len(pictures))
        return Inversion(photos.codes, pose, photos.camera, 50 * one, one)

    monkeypatch.setattr(protocol, "invert_pictures", perfect)
    (row,), views = measure_inversion(
        generator, photos, {"ours": QUICK}, encoder=None, clip=None, eyes={}
    )
    assert row.ssim == pytest.approx(1, abs=1e-3) and row.poor == 0 and row.count == 3
    assert row.pose_deg == pytest.approx(0, abs=1e-3) and row.near == 1 and row.sides > 90
    assert views["ours"].shape == (3, 3, 16, 16)


def test_a_wrong_object_from_a_wrong_side_is_seen(generator, monkeypatch):
    photos = generated_photos(generator, 3, 100, 16)
    wrong = photos.codes[[1, 2, 0]]
    turned = generator.camera(torch.tensor([0.0, 0.0, 0.0]), 80.0, 16)

    def answer(generator, pictures, config, **_):
        one = torch.ones(len(pictures))
        pose = Pose.of_camera(turned, generator.config.camera)
        return Inversion(wrong, pose, turned, 10 * one, 0.2 * one)

    monkeypatch.setattr(protocol, "invert_pictures", answer)
    (row,), _ = measure_inversion(generator, photos, {"x": QUICK}, encoder=None, clip=None, eyes={})
    assert row.pose_deg > 20 and row.near < 1 and row.sides < 30 and row.poor == 1


def test_real_pictures_have_cameras_where_all_have_angles(generator, tmp_path):
    data = PictureDataset(synthesize("chairs", 3, 16, 0, tmp_path / "data"), 16)
    photos = real_photos(generator, data, 2, 16)
    assert len(photos.pictures) == 2 and photos.codes is None and photos.camera is not None
    assert photos.labels == ("00000.png", "00001.png")
    data.records[1] = replace(data.records[1], azimuth_deg=None)
    assert real_photos(generator, data, 2, 16).camera is None


def test_the_verb_writes_table_json_and_sheets(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("clipnerf.evaluation.inversion.run.InversionConfig", lambda size: QUICK)
    data = synthesize("chairs", 4, 16, 0, tmp_path / "data")
    config = EvaluateConfig(
        bundle=str(bundle),
        out=str(tmp_path / "out"),
        data=str(data),
        objects=2,
        size=16,
        inversion=True,
        methods=["ours", "paper"],
        device="cpu",
    )
    report = evaluate_inversion(config)
    rows = [(row.pictures, row.method) for row in report.rows]
    assert rows == [(kind, m) for kind in ("generated", "held-out") for m in ("ours", "paper")]
    content = json.loads((tmp_path / "out" / "inversion.json").read_text())
    assert content["rows"][0]["pictures"] == "generated" and "LPIPS" in content["protocol"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["inversion-generated.png", "inversion-held-out.png", "inversion.json"]
    said = "\n".join(report.lines())
    assert "held-out, paper" in said and "guide" in said
    assert "generated, ours" in capsys.readouterr().err


def test_generated_pictures_can_be_left_out(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("clipnerf.evaluation.inversion.run.InversionConfig", lambda size: QUICK)
    data = synthesize("chairs", 4, 16, 0, tmp_path / "data")
    config = EvaluateConfig(
        bundle=str(bundle),
        out=str(tmp_path / "out"),
        data=str(data),
        objects=2,
        size=16,
        inversion=True,
        methods=["ours"],
        generated=False,
        device="cpu",
    )
    report = evaluate_inversion(config)
    assert [row.pictures for row in report.rows] == ["held-out"]
    assert "left out" in report.protocol["generated"]
    with pytest.raises(UsageError, match="generated is False, and there are no real pictures"):
        evaluate_inversion(replace(config, data=""))


def test_a_method_that_is_none_is_named(bundle, tmp_path):
    config = EvaluateConfig(bundle=str(bundle), out=str(tmp_path), methods=["best"], device="cpu")
    with pytest.raises(UsageError, match="methods has 'best'; allowed: ours,"):
        evaluate_inversion(config)


def test_without_rows_there_is_no_table():
    assert lines(()) == []
