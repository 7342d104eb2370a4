"""Real pictures given back: readings, the search for a camera, what a training does with them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.config.parse import parse
from clipnerf.config.pretrain import AutoencoderConfig, DataConfig, LossConfig
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import UsageError
from clipnerf.gan import train
from clipnerf.gan.autoencoder import Autoencoder, angles_of
from clipnerf.gan.codes import Codes
from clipnerf.gan.picture_encoder import BINS, FILE_NAME, SIZE, PictureEncoder, Reading
from clipnerf.gan.train import pretrain
from clipnerf.gan.trainer import Trainer
from clipnerf.io.weights import load_weights
from clipnerf.rendering.cameras import Camera
from clipnerf.training.checkpoints import load_state
from tests.gan.conftest import small_config

ROOT = Path(__file__).parents[2]
PRIOR = CameraPriorConfig()
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def quick_previews(monkeypatch):
    """Previews have tests of their own, and take longer than all the steps here together."""
    black = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(train, "preview_sheet", lambda generator, size: black)


def reading(**parts) -> Reading:
    """Of two pictures, standard normal codes of two numbers each, azimuth 7.5, elevation 25."""
    whole = dict(
        mean=torch.zeros(2, 4),
        log_variance=torch.zeros(2, 4),
        logits=torch.zeros(2, BINS).index_fill(1, torch.tensor([0]), 9.0),
        offset=torch.zeros(2, BINS),
        elevation=torch.full((2,), 25.0),
    )
    return Reading(**{**whole, **parts})


def test_divergence_is_that_of_two_normal_distributions():
    assert reading().divergence() == 0
    other = reading(mean=torch.full((2, 4), 0.5), log_variance=torch.full((2, 4), -1.0))
    own = torch.distributions.Normal(0.5, math.exp(-0.5))
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = 4 * torch.distributions.kl_divergence(own, standard)
    assert other.divergence() == pytest.approx(expected.item(), rel=1e-6)


def test_codes_of_all_pictures_have_the_mean_and_covariance_of_what_is_drawn_from_them():
    noise = torch.Generator().manual_seed(0)
    mean = torch.randn(20000, 4, generator=noise) * torch.tensor([1.0, 2.0, 0.5, 0.0]) + 1
    many = reading(
        mean=mean,
        log_variance=torch.full((20000, 4), math.log(0.25)),
        logits=torch.zeros(20000, BINS),
        offset=torch.zeros(20000, BINS),
        elevation=torch.zeros(20000),
    )
    drawn = many.codes(torch.randn(20000, 4, generator=noise))
    both = torch.cat((drawn.shape, drawn.appearance), dim=1)
    center, covariance = many.aggregate()
    assert torch.allclose(center, both.mean(0), atol=0.02)
    assert torch.allclose(covariance, torch.cov(both.T), atol=0.08)


def test_true_codes_surprise_less_than_others_and_codes_follow_their_noise():
    codes = Codes(torch.tensor([[1.0, 2.0]] * 2), torch.tensor([[3.0, -4.0]] * 2))
    mean = torch.tensor([[1.0, 2.0, 3.0, -4.0]] * 2)
    right = reading(mean=mean, log_variance=torch.full((2, 4), -2.0))
    assert right.surprise(codes) < reading(mean=mean).surprise(codes) < reading().surprise(codes)
    drawn = right.codes(torch.ones(2, 4))
    assert torch.allclose(drawn.shape, codes.shape + math.exp(-1))
    assert torch.allclose(drawn.appearance, codes.appearance + math.exp(-1))


@pytest.mark.parametrize("azimuth", [-6.0, 7.5, 352.0, 728.0])
def test_a_camera_is_right_whichever_way_its_azimuth_is_written(azimuth):
    place = (azimuth % 360) / 15
    at = int(place)
    right = reading(
        logits=torch.zeros(2, BINS).index_fill(1, torch.tensor([at]), 9.0),
        offset=torch.full((2, BINS), place - at - 0.5),
    )
    true = torch.tensor([[azimuth, 25.0]] * 2)
    best = right.wrong_camera(true, PRIOR)
    for turned in (15.0, 90.0, -90.0, 180.0):
        assert right.wrong_camera(true + torch.tensor([turned, 0.0]), PRIOR) > best + 0.5
    assert right.wrong_camera(true + torch.tensor([0.0, 10.0]), PRIOR) > best + 0.1


def test_proposals_are_the_likeliest_another_far_from_it_and_a_moved_one():
    logits = torch.zeros(2, BINS)
    logits[:, 0], logits[:, 1], logits[:, 12] = 9.0, 8.0, 5.0
    noise, even = torch.tensor([[1.0, -1.0]] * 2), torch.ones(BINS)
    first, second, moved = reading(logits=logits).proposals(noise, even)
    assert first.tolist() == [[7.5, 25.0]] * 2
    assert second.tolist() == [[187.5, 25.0]] * 2
    assert moved.tolist() == [[13.5, 22.0]] * 2


def test_a_direction_that_is_read_too_often_is_proposed_less(pretrain_config):
    trainer = Trainer(pretrain_config(autoencoder=at_once()), CPU)
    assert trainer.autoencoder is not None
    logits = torch.zeros(2, BINS)
    logits[:, 0], logits[:, 6] = 6.0, 5.9
    doubtful, noise = reading(logits=logits), torch.zeros(2, 2)
    assert doubtful.proposals(noise, torch.ones(BINS))[0, :, 0].tolist() == [7.5, 7.5]
    for _ in range(100):
        surplus = trainer.autoencoder.count_directions(reading())  # the first, always
    assert surplus[0] > 2 and surplus[6] < 1
    assert doubtful.proposals(noise, surplus)[0, :, 0].tolist() == [97.5, 97.5]
    # as often as the prior has it, nothing is changed
    flat = reading(logits=torch.zeros(2, BINS))
    fresh = Trainer(pretrain_config(autoencoder=at_once()), CPU).autoencoder
    assert fresh is not None
    assert torch.allclose(fresh.count_directions(flat), torch.ones(BINS), atol=1e-3)


def test_angles_of_cameras_are_those_that_they_were_made_of():
    camera = Camera.orbit(torch.tensor([10.0, -170.0]), torch.tensor([0.0, 49.0]), radius=3.0)
    found = angles_of(camera.c2w[:, :3, 3])
    assert torch.allclose(found, torch.tensor([[10.0, 0.0], [-170.0, 49.0]]), atol=1e-3)


def test_the_angles_from_which_a_picture_was_taken_are_the_best(make_generator):
    generator = make_generator(field={"density_bias": 1.0})
    autoencoder = Autoencoder(AutoencoderConfig(weight=1.0), generator.config, CPU)
    codes = Codes.sample(3, 8, torch.Generator().manual_seed(0))
    true = torch.tensor([[20.0, 10.0], [140.0, 30.0], [250.0, 45.0]])
    pictures = generator.render(codes, autoencoder.camera(true, 32)).rgb
    assert pictures.std() > 0.05  # there is something to see
    away = torch.tensor([90.0, 0.0])
    proposals = torch.stack((true - away, true, true + away))
    assert torch.equal(autoencoder.best_angles(generator, pictures, codes, proposals), true)


def test_the_weight_waits_for_the_encoder_grows_and_falls_with_full_pictures():
    config = AutoencoderConfig(
        weight=20.0, weight_end=4.0, end_kimg=10.0, warmup_kimg=8.0, fade_kimg=4.0
    )
    autoencoder = Autoencoder(config, small_config(), CPU)
    found = []
    moments = (
        (0.0, 0.0),
        (7.9, 0.0),
        (8.0, 0.0),
        (10.0, 0.0),
        (12.0, 0.0),
        (50.0, 5.0),
        (50.0, 10.0),
    )
    for learned, after_soft in moments:
        autoencoder.encoder.kimg.fill_(learned)
        found.append(autoencoder.weight(after_soft))
    assert found[:2] == [0, 0] and 0 < found[2] < 0.1
    assert found[3:] == pytest.approx([10, 20, 12, 4], abs=0.01)
    autoencoder.config = replace(config, end_kimg=0.0)
    assert autoencoder.weight(99.0) == 20


def at_once(**options) -> AutoencoderConfig:
    return AutoencoderConfig(
        **{"weight": 20.0, "warmup_kimg": 0.0, "fade_kimg": 0.0, "fakes": 2, **options}
    )


def test_both_networks_learn_from_what_is_given_back(pretrain_config):
    trainer = Trainer(pretrain_config(autoencoder=at_once()), CPU)
    assert trainer.autoencoder is not None
    reals = torch.rand(4, 3, 16, 16)
    drawn = trainer.draw(4)
    real, _, _ = trainer.sample_real_and_fake(reals, drawn)
    loss, seen = trainer.autoencoder.loss(
        trainer.generator,
        reals,
        real,
        drawn,
        lambda again: trainer.sample_real_and_fake(reals, again)[2],
        kimg_after_soft=0.0,
        noise=torch.Generator().manual_seed(0),
    )
    loss.backward()
    assert 0 < seen["given_back"] < 1 and seen["divergence"] >= 0
    gradients = [trainer.generator.field.grid.table.grad]
    gradients += [p.grad for p in trainer.autoencoder.encoder.parameters()]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)


def test_codes_of_all_reals_are_pulled_to_where_codes_are_drawn(pretrain_config):
    autoencoder = Trainer(pretrain_config(autoencoder=at_once()), CPU).autoencoder
    assert autoencoder is not None
    noise = torch.Generator().manual_seed(0)
    width = len(autoencoder.encoder.moments)
    scale = torch.ones(width)
    scale[0], scale[1] = 3.0, 0.5

    def batch(shift: float = 0.0) -> torch.Tensor:
        return torch.randn(64, width, generator=noise) * scale + shift * torch.eye(width)[2]

    for _ in range(2000):
        both = batch(2.0).requires_grad_()
        loss, nats = autoencoder.unlike_prior(Codes(*both.chunk(2, dim=1)))
    loss.backward()
    # a step against the gradient: too wide and too far get closer, too narrow gets wider
    pull = (both.grad * both.detach()).mean(0) * len(both)
    assert pull[0] > 1 and pull[2] > 1 and pull[1] < -0.5
    assert pull[3:].abs().max() < 0.5
    own = torch.distributions.MultivariateNormal(
        torch.zeros(width), autoencoder.encoder.moments.float()
    )
    standard = torch.distributions.MultivariateNormal(torch.zeros(width), torch.eye(width))
    expected = torch.distributions.kl_divergence(own, standard)
    assert float(nats) == pytest.approx(float(expected), rel=1e-3)


def test_codes_that_are_as_those_drawn_are_left_alone(pretrain_config):
    autoencoder = Trainer(pretrain_config(autoencoder=at_once()), CPU).autoencoder
    assert autoencoder is not None
    noise = torch.Generator().manual_seed(0)
    both = torch.randn(4, len(autoencoder.encoder.moments), generator=noise).requires_grad_()
    loss, nats = autoencoder.unlike_prior(Codes(*both.chunk(2, dim=1)))
    loss.backward()
    assert both.grad is not None and both.grad.abs().max() < 0.05 and float(nats) < 0.01


def test_moments_that_are_not_finite_are_left_to_the_loop_to_name(pretrain_config):
    autoencoder = Trainer(pretrain_config(autoencoder=at_once()), CPU).autoencoder
    assert autoencoder is not None
    both = torch.full((4, len(autoencoder.encoder.moments)), math.nan)
    loss, nats = autoencoder.unlike_prior(Codes(*both.chunk(2, dim=1)))
    assert loss.isnan() and nats.isnan()


def test_fakes_teach_the_encoder_and_not_the_generator(pretrain_config):
    trainer = Trainer(pretrain_config(autoencoder=at_once()), CPU)
    assert trainer.autoencoder is not None
    noise = torch.Generator().manual_seed(0)
    trainer.autoencoder.learn_from_fakes(trainer.generator, noise).backward()
    assert trainer.generator.field.grid.table.grad is None
    assert all(p.grad is not None for p in trainer.autoencoder.encoder.parameters())


def test_an_encoder_learns_cameras_and_codes_of_fakes(make_generator):
    generator = make_generator(field={"density_bias": 1.0})
    torch.manual_seed(0)
    config = AutoencoderConfig(weight=1.0, fakes=4, lr=1e-3)
    autoencoder = Autoencoder(config, generator.config, CPU)
    losses = []
    for _ in range(40):  # the same fakes every time
        noise = torch.Generator().manual_seed(1)
        loss = autoencoder.learn_from_fakes(generator, noise)
        autoencoder.optimizer.zero_grad()
        loss.backward()
        autoencoder.optimizer.step()
        losses.append(loss.item())
    assert min(losses[-10:]) < losses[0] - 0.8


def test_a_resumed_training_equals_an_undisturbed_one(pretrain_config, tmp_path):
    options = dict(autoencoder=at_once(warmup_kimg=0.004), steps=4)
    whole = pretrain(pretrain_config(out=str(tmp_path / "whole"), **options))
    config = pretrain_config(out=str(tmp_path / "parts"), **options)
    pretrain(replace(config, steps=2))
    states = []
    for run in (whole, pretrain(config)):
        found = load_state(run / "checkpoints")
        assert found is not None
        states.append(found[1])
    for part in ("generator", "encoder"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), key
    assert states[0]["encoder"]["kimg"] == pytest.approx(0.016)
    lines = [json.loads(line) for line in (whole / "stats.jsonl").read_text().splitlines()]
    # nothing is given back in the first step: the encoder warms up
    assert [line["given_back"] > 0 for line in lines] == [False, True, True, True]


def test_another_training_begins_with_the_encoder_of_the_first(pretrain_config, tmp_path):
    options = dict(autoencoder=at_once(), steps=2)
    first = pretrain(pretrain_config(out=str(tmp_path / "first"), **options))
    trainer = Trainer(pretrain_config(out=str(tmp_path / "next"), **options), CPU)
    trainer.start_from(first)
    assert trainer.autoencoder is not None
    found = load_weights(first / FILE_NAME, "picture_encoder").tensors
    for key, value in trainer.autoencoder.encoder.state_dict().items():
        assert torch.equal(value, found[key].float()), key
    assert trainer.autoencoder.encoder.kimg == pytest.approx(0.008, rel=1e-3)
    # of a generator that is not the one beside it, it is refused
    stranger = pretrain(pretrain_config(out=str(tmp_path / "other"), seed=1, **options))
    (first / FILE_NAME).write_bytes((stranger / FILE_NAME).read_bytes())
    with pytest.raises(UsageError, match="was trained with the generator"):
        trainer.start_from(first)


def test_known_cameras_are_used_as_they_are(pretrain_config, monkeypatch):
    trainer = Trainer(pretrain_config(autoencoder=at_once(), loss=LossConfig(pose=0.5)), CPU)
    assert trainer.autoencoder is not None
    monkeypatch.setattr(trainer.autoencoder, "best_angles", None)  # nothing is searched
    seen = []
    inner = trainer.autoencoder.camera
    monkeypatch.setattr(
        trainer.autoencoder, "camera", lambda a, size: seen.append(a) or inner(a, size)
    )
    directions = Camera.orbit(torch.tensor([10.0, 80, 200, 300]), 20.0).c2w[:, :3, 3]
    trainer.train_step(torch.rand(4, 3, 16, 16), directions=directions)
    expected = torch.tensor([[10.0, 20], [80, 20], [-160, 20], [-60, 20]])
    assert torch.allclose(seen[0], expected, atol=1e-3)


def test_without_it_nothing_is_there(pretrain_config):
    trainer = Trainer(pretrain_config(), CPU)
    assert trainer.autoencoder is None and "encoder" not in trainer.state()
    assert "given_back" not in trainer.train_step(torch.rand(4, 3, 16, 16))


def test_graphs_do_not_record_it_and_say_so(pretrain_config):
    config = pretrain_config(autoencoder=at_once(), cuda_graphs=True)
    with pytest.raises(UsageError, match="cuda_graphs .* false with autoencoder.weight above 0"):
        config.validate()


def test_a_weight_that_would_grow_is_refused():
    with pytest.raises(UsageError, match=r"weight_end .* 0 to autoencoder.weight \(5\)"):
        AutoencoderConfig(weight=5.0).validate("autoencoder.")
    AutoencoderConfig(weight=5.0, weight_end=5.0).validate("autoencoder.")
    AutoencoderConfig().validate("autoencoder.")


def test_pictures_of_any_size_are_read():
    encoder = PictureEncoder(8, PRIOR)
    for size in (16, SIZE, 100):
        found = encoder(torch.rand(2, 3, size, size))
        assert found.mean.shape == (2, 16) and found.logits.shape == (2, BINS)


def test_poses_of_a_data_set_reach_it(tmp_path, pretrain_config):
    data = synthesize("chairs", 4, 16, out=tmp_path / "data", oversampling=1)
    run = pretrain(
        pretrain_config(
            data=DataConfig(path=str(data), size=16, poses=True),
            loss=LossConfig(pose=0.5),
            autoencoder=at_once(),
            steps=1,
        )
    )
    line = json.loads((run / "stats.jsonl").read_text())
    assert line["given_back"] > 0


def test_the_chairs_in_training_can_be_gone_on_with():
    pytest.importorskip("timm")
    words = "--autoencoder.weight 20 --features.weights random --data.path pictures".split()
    config = parse(["pretrain", "--config", str(ROOT / "configs/pretrain-chairs.yaml"), *words])
    trainer = Trainer(config.config, CPU)
    trainer.start_from(ROOT / "data/in_training/chairs")
    assert trainer.kimg == 64
    assert trainer.autoencoder is not None and trainer.autoencoder.encoder.kimg == 64
