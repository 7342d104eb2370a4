"""The second discriminator: what it sees, what is trained, and that it comes in when it should."""

import dataclasses

import pytest
import torch

from clipnerf.config.pretrain import FeatureConfig
from clipnerf.errors import UsageError
from clipnerf.gan.feature_discriminator import FeatureDiscriminator, hinge_loss
from clipnerf.gan.patches import Patches
from clipnerf.gan.train import pretrain
from clipnerf.gan.trainer import Trainer
from clipnerf.io.weights import load_weights

UNTRAINED = FeatureConfig(weight=1.0, weights="random", mix_width=8, head_width=8, start_kimg=0.0)


@pytest.fixture(scope="module")
def discriminator() -> FeatureDiscriminator:
    torch.manual_seed(0)
    return FeatureDiscriminator(UNTRAINED)


def test_a_logit_a_scale_with_gradients_to_pictures_and_heads_alone(discriminator):
    pictures = torch.rand(3, 3, 32, 32, requires_grad=True)
    logits = discriminator(discriminator.features(pictures), Patches.whole(3))
    assert logits.shape == (3, 4)
    logits.sum().backward()
    assert bool(pictures.grad.abs().sum() > 0)
    trained = [name for name, p in discriminator.named_parameters() if p.grad is not None]
    assert {name.split(".")[0] for name in trained} == {"heads"}
    discriminator.zero_grad()


def test_the_frozen_network_is_no_part_of_its_state(discriminator):
    parts = {name.split(".")[0] for name in discriminator.state_dict()}
    assert parts == {"across", "down", "heads"}


def test_heads_are_told_where_the_patch_lies(discriminator):
    features = [f.detach() for f in discriminator.features(torch.rand(2, 3, 32, 32))]
    corner = Patches(torch.full((2,), 0.25), torch.tensor([[0.0, 0.0], [0.7, 0.7]]))
    whole = discriminator(features, Patches.whole(2))
    assert bool(((discriminator(features, corner) - whole).abs() > 1e-6).all())


def test_hinge_loss():
    sure, unsure = torch.full((2, 4), 3.0), torch.zeros(2, 4)
    assert float(hinge_loss(sure, -sure)) == 0
    assert float(hinge_loss(unsure, unsure)) == 2
    assert float(hinge_loss(-sure, sure)) == 8


def test_heads_learn_to_tell_what_can_be_told(discriminator):
    torch.manual_seed(0)
    real, fake = torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32).mean(1, keepdim=True)
    with torch.no_grad():
        seen = [discriminator.features(x.expand(-1, 3, -1, -1)) for x in (real, fake)]
    optimizer = torch.optim.Adam(discriminator.heads.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = hinge_loss(*(discriminator(x, Patches.whole(8)) for x in seen))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_it_comes_in_late_and_fades_in(pretrain_config):
    late = dataclasses.replace(UNTRAINED, start_kimg=0.02, fade_kimg=0.04)
    config = pretrain_config(batch=4, features=late)
    trainer = Trainer(config, torch.device("cpu"))
    weights = []
    for step in range(20):
        trainer.step = step
        weights.append(trainer.feature_weight)
    assert weights[:5] == [0] * 5 and 0 < weights[5] < weights[10] < 1
    assert weights[15:] == [1] * 5
    real = torch.rand(4, 3, 16, 16)
    trainer.step = 4
    assert "loss_f" not in trainer.train_step(real)
    assert "loss_f" in trainer.train_step(real)


def test_a_resumed_run_is_the_uninterrupted_one_and_its_files_name_the_network(
    pretrain_config, tmp_path
):
    options = {"features": UNTRAINED}
    whole, halves = pretrain_config(**options), pretrain_config(**options)
    whole.out, halves.out = str(tmp_path / "whole"), str(tmp_path / "halves")
    whole.loss.pose = halves.loss.pose = 0.5
    pretrain(whole)
    pretrain(dataclasses.replace(halves, steps=2))
    pretrain(halves)
    files = [
        load_weights(tmp_path / run / "generator.safetensors", "generator")
        for run in ("whole", "halves")
    ]
    for name, tensor in files[0].tensors.items():
        assert torch.equal(tensor, files[1].tensors[name]), name
    assert "tf_efficientnet_lite0" in files[0].metadata["feature_network"]


def test_a_run_begins_with_the_files_of_another(pretrain_config, tmp_path):
    config = pretrain_config(features=UNTRAINED, out=str(tmp_path / "first"))
    config.loss.pose = 0.5
    pretrain(config)
    again = dataclasses.replace(config, out=str(tmp_path / "second"), start_from=config.out)
    trainer = Trainer(again, torch.device("cpu"))
    trainer.start_from(tmp_path / "first")
    assert trainer.step == 4
    first = load_weights(tmp_path / "first" / "generator.safetensors", "generator").tensors
    for network in (trainer.generator, trainer.average):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, first[name]), name
    heads = load_weights(tmp_path / "first" / "features.safetensors", "feature_discriminator")
    for name, tensor in trainer.features.state_dict().items():
        torch.testing.assert_close(tensor, heads.tensors[name].float())
    pretrain(dataclasses.replace(again, steps=6))
    lines = (tmp_path / "second" / "stats.jsonl").read_text().splitlines()
    assert len(lines) == 2 and '"step": 6' in lines[-1]


def test_files_of_other_sizes_are_refused_in_one_line(pretrain_config, tmp_path):
    config = pretrain_config(features=UNTRAINED, out=str(tmp_path / "first"), steps=1)
    pretrain(config)
    wider = dataclasses.replace(config.discriminator, width=12, max_width=12)
    with pytest.raises(UsageError, match="start_from is .*other sizes") as caught:
        Trainer(dataclasses.replace(config, discriminator=wider), torch.device("cpu")).start_from(
            tmp_path / "first"
        )
    assert "\n" not in str(caught.value)
    other = dataclasses.replace(config, features=dataclasses.replace(UNTRAINED, head_width=16))
    with pytest.raises(UsageError, match="features.head_width is 16"):
        Trainer(other, torch.device("cpu")).start_from(tmp_path / "first")


@pytest.mark.parametrize("name", ["generator", "discriminator", "features"])
def test_files_that_do_not_belong_together_are_refused(pretrain_config, tmp_path, name):
    for seed, run in enumerate(("chairs", "cars")):
        pretrain(pretrain_config(features=UNTRAINED, out=str(tmp_path / run), steps=1, seed=seed))
    file = f"{name}.safetensors"
    (tmp_path / "chairs" / file).write_bytes((tmp_path / "cars" / file).read_bytes())
    trainer = Trainer(pretrain_config(features=UNTRAINED), torch.device("cpu"))
    with pytest.raises(UsageError, match="was trained with the generator") as caught:
        trainer.start_from(tmp_path / "chairs")
    assert "\n" not in str(caught.value)
    trainer.start_from(tmp_path / "cars")
