"""What changes along a training, and configurations that would spoil it."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from clipnerf.config.pretrain import DataConfig, LossConfig, ScheduleConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import UsageError
from clipnerf.gan.losses import direction_loss
from clipnerf.gan.train import pretrain
from clipnerf.gan.trainer import Trainer
from clipnerf.rendering.cameras import Camera

CPU = torch.device("cpu")


def along(trainer: Trainer, name: str, kimgs: list[float]) -> list[float]:
    found = []
    for kimg in kimgs:
        trainer.step = round(kimg * 1000 / trainer.config.batch)
        found.append(getattr(trainer, name))
    return found


def test_r1_falls_as_half_a_cosine_and_stays(pretrain_config):
    loss = LossConfig(r1_gamma=1.5, r1_gamma_end=0.3, r1_kimg=40.0)
    found = along(Trainer(pretrain_config(loss=loss), CPU), "r1_gamma", [0, 20, 40, 90])
    assert found == pytest.approx([1.5, 0.9, 0.3, 0.3])
    constant = Trainer(pretrain_config(loss=LossConfig(r1_gamma=1.5)), CPU)
    assert along(constant, "r1_gamma", [0, 20, 90]) == [1.5] * 3


def test_smoothness_fades_out_where_it_is_asked_to(pretrain_config):
    loss = LossConfig(smoothness=0.1, smoothness_kimg=30.0)
    found = along(Trainer(pretrain_config(loss=loss), CPU), "smoothness", [0, 15, 30, 60])
    assert found == pytest.approx([0.1, 0.05, 0, 0])
    kept = Trainer(pretrain_config(loss=LossConfig(smoothness=0.1)), CPU)
    assert along(kept, "smoothness", [0, 60]) == [0.1, 0.1]


def test_the_first_patches_are_coarse_and_seen_at_the_full_size(pretrain_config):
    config = pretrain_config(schedule=ScheduleConfig(coarse_kimg=0.01, blur_kimg=0.0))
    trainer = Trainer(config, CPU)
    real = torch.rand(4, 3, 16, 16)
    for step, rays in ((0, 4), (2, 4), (3, 8), (9, 8)):
        trainer.step = step
        drawn = trainer.draw(4)
        assert drawn.size == rays
        seen, opacity, fake = trainer.sample_real_and_fake(real, drawn)
        assert seen.shape == fake.shape == (4, 3, 8, 8) and opacity.shape[-1] == rays


def test_pictures_coarser_than_the_finest_patch_are_refused_with_the_way_out(pretrain_config):
    config = pretrain_config(schedule=ScheduleConfig(smallest_scale=0.25))
    with pytest.raises(
        UsageError,
        match="smallest_scale is 0.25; allowed: 0.5 or more: patches of 8 pixels .*or raise it",
    ):
        config.validate()
    config.data = DataConfig(path=config.data.path, size=32)
    config.validate()


def test_the_guess_of_the_camera_is_a_bounded_angle():
    camera = Camera.orbit(torch.tensor([0.0, 90.0, 200.0]), 20.0, size=8)
    true = camera.c2w[:, :3, 3]
    assert float(direction_loss(true * 7, true)) == pytest.approx(0, abs=1e-6)
    assert float(direction_loss(-true, true)) == pytest.approx(2)
    assert float(direction_loss(1e6 * torch.randn(3, 3), true)) <= 2


def test_the_discriminator_guesses_only_where_it_is_asked_to(pretrain_config):
    asked = Trainer(pretrain_config(loss=LossConfig(pose=0.5)), CPU)
    not_asked = Trainer(pretrain_config(), CPU)
    assert asked.discriminator.direction is not None
    assert not_asked.discriminator.direction is None
    real = torch.rand(4, 3, 16, 16)
    assert float(asked.train_step(real)["pose"]) > 0
    assert float(not_asked.train_step(real)["pose"]) == 0
    # both players are taught by it
    assert bool(asked.discriminator.direction.weight.grad.abs().sum() > 0)


def test_with_poses_the_guess_is_learned_from_the_pictures_alone(pretrain_config):
    real, true = torch.rand(4, 3, 16, 16), F.normalize(torch.randn(4, 3), dim=1)
    learned = []
    for camera in ("its own", "another"):
        trainer = Trainer(pretrain_config(loss=LossConfig(pose=0.5)), CPU)
        drawn = trainer.draw(4)
        if camera == "another":  # what the fakes' cameras are called is not asked
            turned = dataclasses.replace(drawn.camera, c2w=drawn.camera.c2w.clone())
            turned.c2w[:, :3, 3] *= -1
            drawn = dataclasses.replace(drawn, camera=turned)
        fake = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        seen = drawn.patches.pick(real, 8)
        trainer.advance_schedules()
        trainer._discriminator_step(seen, fake, dataclasses.replace(drawn, directions=true))
        learned.append(trainer.discriminator.direction.weight.detach())
    before = Trainer(pretrain_config(loss=LossConfig(pose=0.5)), CPU).discriminator.direction.weight
    assert torch.equal(*learned) and not torch.equal(learned[0], before)


def test_poses_are_asked_of_the_pictures_and_missed_at_the_start(pretrain_config, tmp_path):
    posed = synthesize("chairs", 6, 16, 0, tmp_path / "posed")
    loss = LossConfig(pose=0.5)
    config = pretrain_config(loss=loss, data=DataConfig(path=str(posed), size=16, poses=True))
    found = PictureDataset(posed, 16)
    record, direction = found.records[2], found.directions()[2]
    camera = Camera.orbit(record.azimuth_deg, record.elevation_deg, radius=1.0)
    torch.testing.assert_close(direction, camera.c2w[0, :3, 3])
    pretrain(config)
    (posed / "metadata.jsonl").unlink()
    with pytest.raises(UsageError, match="6 of 6 pictures .* no pose.*leave data.poses out"):
        pretrain(dataclasses.replace(config, out=str(tmp_path / "other")))
    with pytest.raises(UsageError, match="loss.pose is 0.0; allowed: above 0 with data.poses"):
        pretrain_config(data=config.data).validate()


def test_soft_pictures_at_first_and_r1_and_smoothness_wait_for_their_end(pretrain_config):
    schedule = ScheduleConfig(soft_kimg=1.0, soft_size=8, smallest_scale=0.5, blur_kimg=0.0)
    loss = LossConfig(r1_gamma=1.5, r1_gamma_end=0.3, r1_kimg=2.0, smoothness_kimg=2.0)
    config = pretrain_config(schedule=schedule, loss=loss)
    trainer = Trainer(config, CPU)
    assert along(trainer, "r1_gamma", [0, 0.5, 1, 2, 3]) == pytest.approx([1.5, 1.5, 1.5, 0.9, 0.3])
    assert along(trainer, "smoothness", [0.5, 1, 3]) == pytest.approx([0.1, 0.1, 0])
    real = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    trainer.step = 0
    drawn = trainer.draw(4)
    assert drawn.camera.width == 8 and bool((drawn.patches.scale == 1).all())
    seen, _, _ = trainer.sample_real_and_fake(real, drawn)
    assert torch.equal(seen, F.avg_pool2d(real, 2))
    trainer.step = round(1000 / config.batch)
    drawn = trainer.draw(4)
    assert drawn.camera.width == 16
    seen, _, _ = trainer.sample_real_and_fake(real, drawn)
    assert bool(torch.isin(seen[0].flatten(), real[0].flatten()).all())  # pixels, unmixed


@pytest.mark.parametrize("size", [8, 32])
def test_soft_pictures_finer_than_the_data_or_coarser_than_a_patch_are_refused(
    pretrain_config, size
):
    config = pretrain_config(schedule=ScheduleConfig(soft_kimg=1.0, soft_size=size))
    wider = dataclasses.replace(config.discriminator, patch=16)
    config = dataclasses.replace(config, discriminator=wider)
    config = dataclasses.replace(
        config, schedule=dataclasses.replace(config.schedule, smallest_scale=1.0)
    )
    with pytest.raises(UsageError, match=f"soft_size is {size}.*16 .*to 16"):
        config.validate()
