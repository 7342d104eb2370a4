"""Which way each object faces, read off its pictures."""

import math

import pytest
import torch

from clipnerf.config.inversion import EncoderConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.evaluation.inversion import front_reader as module
from clipnerf.evaluation.inversion.front_reader import (
    estimate_front_azimuth,
    facing,
    read_azimuth,
    train_front_reader,
)
from clipnerf.gan.codes import Codes
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.pose import Pose, pose_error_deg
from tests.tiny_bundle import CODE_DIM, tiny_generator


def test_the_front_is_how_far_readings_lag_behind_the_cameras(monkeypatch):
    generator = tiny_generator()
    turned = torch.tensor([0.0, 90.0, -40.0])
    asked = []

    def reading(reader, pictures):
        # objects that stand turned are seen from so much less
        angle = 360 * len(asked) / module.SIDES
        asked.append(pictures.shape)
        return torch.deg2rad((angle - turned) % 360)

    monkeypatch.setattr(module, "read_azimuth", reading)
    codes = Codes.from_seeds([0, 1, 2], CODE_DIM)
    reader = Encoder(EncoderConfig(size=16, width=2, hidden=2), CODE_DIM)
    found = estimate_front_azimuth(reader, generator, codes, 8)
    torch.testing.assert_close(torch.rad2deg(found), turned, atol=1e-3, rtol=0)
    assert asked == [torch.Size([3, 3, 8, 8])] * module.SIDES


def test_turning_a_pose_moves_its_azimuth_alone():
    pose = Pose.from_angles(torch.tensor([0.3]), torch.tensor([0.5]), torch.tensor([0.1]))
    azimuth, elevation, roll = pose.turned(torch.tensor([0.4])).angles()[0].tolist()
    assert (azimuth, elevation, roll) == pytest.approx((0.7, 0.5, 0.1), abs=1e-5)
    back = pose.turned(torch.tensor([0.4])).turned(torch.tensor([-0.4]))
    assert float(pose_error_deg(back, pose)) < 0.01


def test_a_reader_learns_azimuths_from_posed_pictures(tmp_path, monkeypatch):
    data = PictureDataset(synthesize("chairs", 120, 16, 0, tmp_path / "data"), 16)
    true = torch.deg2rad(torch.tensor([record.azimuth_deg for record in data.records]))

    def error(reader) -> float:
        found = read_azimuth(reader, data.batch(torch.arange(20, 120)))
        away = torch.remainder(found - true[20:] + math.pi, 2 * math.pi) - math.pi
        return float(away.abs().median())

    monkeypatch.setattr(module, "STEPS", 1)
    before = error(train_front_reader(data, 20, 16))
    monkeypatch.setattr(module, "STEPS", 120)
    reader = train_front_reader(data, 20, 16)
    assert error(reader) < 0.5 * before
    again = train_front_reader(data, 20, 16)
    assert torch.equal(again.pose.weight, reader.pose.weight)


def test_objects_agree_on_a_front_however_a_minority_stands():
    draw = torch.Generator().manual_seed(0)
    most = torch.deg2rad(170 + 5 * torch.randn(95, generator=draw))
    rest = torch.deg2rad(torch.tensor([260.0, 260, 265, 80, 80]))
    found = facing(torch.cat((most, rest)))
    # across the seam at 180 degrees
    assert abs(found.front_deg - 170) < 1.5
    assert 0.9 < found.within_15 <= 0.95 and found.within_30 == pytest.approx(0.95)
    assert found.median_deg < 6
    everywhere = facing(torch.rand(4000, generator=draw) * 2 * math.pi)
    assert everywhere.within_15 < 0.15
