"""A picture tower on a pretrained network: frozen, whole in its file, and open to the segmenter."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipnerf.clip.compact import FILE_NAME, load
from clipnerf.clip.model import Clip, build
from clipnerf.clip.train import plan, train_clip
from clipnerf.clip.trunk import TrunkTower
from clipnerf.config.clip import CompactClipConfig
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_weights
from clipnerf.segmentation.backbone import Backbone
from clipnerf.vision.feature_network import FeatureNetwork

NAME = "tf_efficientnet_lite0"
MODEL = CompactClipConfig(
    image_size=32,
    trunk=NAME,
    trunk_weights="random",
    embed_dim=32,
    text_width=32,
    text_layers=1,
    context_length=12,
)


@pytest.fixture(scope="module")
def tower() -> TrunkTower:
    torch.manual_seed(0)
    tower = TrunkTower(NAME, 32, 16)
    tower.fill("random")
    return tower.train()


def test_the_trunk_is_the_networks_lower_stages_and_stands_still(tower):
    pictures = torch.rand(2, 3, 32, 32)
    maps = tower.maps(pictures * 2 - 1)
    assert [m.shape[1:] for m in maps] == [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2)]
    for found, wanted in zip(
        maps, FeatureNetwork(NAME, "random").pyramid(pictures, 32), strict=True
    ):
        assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))
    assert not tower.trunk.training and tower.mix.training
    assert not any(p.requires_grad for p in tower.trunk.parameters())
    assert sum(p.numel() for p in tower.trunk.parameters()) < 800_000  # not the 4.6 million


def test_gradients_reach_pictures_and_head(tower):
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    embeddings = tower(pictures)
    assert embeddings.shape == (2, 16)
    embeddings.square().sum().backward()
    assert pictures.grad is not None and float(pictures.grad.abs().max()) > 0
    for name, parameter in tower.named_parameters():
        assert (parameter.grad is None) == name.startswith("trunk."), name


@pytest.fixture(scope="module")
def run(tiny, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trunk") / "run"
    return train_clip(tiny(pictures, out, steps=2, model=MODEL))


def test_its_file_holds_all_of_it(run, monkeypatch):
    monkeypatch.setattr(FeatureNetwork, "__init__", None)  # nothing is looked up when it is read
    clip = Clip.load(run)
    assert isinstance(clip.model.visual, TrunkTower)
    assert clip.preprocess.size == (32, 32) and clip.preprocess.mean == pytest.approx((0.5,) * 3)
    found = clip.encode_image(torch.rand(3, 3, 32, 32))
    assert found.shape == (3, 32) and torch.allclose(found.norm(dim=1), torch.ones(3))
    assert clip.hash == Clip.load(run / FILE_NAME).hash


def test_training_moves_the_head_alone(run):
    tensors = load(run / FILE_NAME).state_dict
    torch.manual_seed(0)
    fresh = build(MODEL.model_cfg(60), MODEL.preprocess_cfg()).visual
    fresh.fill("random")
    for name, value in fresh.state_dict().items():
        now = tensors[f"visual.{name}"]
        if name.startswith("trunk."):
            assert torch.equal(now, value.half().float() if value.ndim > 1 else value), name
    assert float(tensors["visual.mix.0.running_mean"].abs().max()) > 0


def test_a_segmenter_reads_its_maps(run):
    clip = Clip.load(run)
    backbone = Backbone(clip, [1, 2, 3], 64)
    assert backbone.channels == [24, 40, 112]
    assert [m.shape[-1] for m in backbone.maps(torch.rand(1, 3, 32, 32))] == [16, 8, 4]
    with pytest.raises(UsageError, match=r"levels \[1, 2, 9\] of 64 pixels"):
        Backbone(clip, [1, 2, 9], 64)


def test_an_unknown_network_is_a_line(tiny, pictures, tmp_path, run):
    model = CompactClipConfig(image_size=32, trunk="efficientnet_lite")
    with pytest.raises(UsageError, match="feature network is 'efficientnet_lite'; allowed"):
        train_clip(tiny(pictures, tmp_path / "out", steps=1, model=model))
    model = CompactClipConfig(image_size=32, trunk="vit_tiny_patch16_224")
    with pytest.raises(UsageError, match=r"of stages at strides \[16\]; allowed"):
        train_clip(tiny(pictures, tmp_path / "out", steps=1, model=model))
    assert not (tmp_path / "out").exists()
    config = load_weights(run / FILE_NAME, "clip").config["model_cfg"]
    config["vision_cfg"]["trunk"] = ["x"]
    with pytest.raises(UsageError, match="vision_cfg.trunk is"):
        build(config, MODEL.preprocess_cfg())


def test_a_plan_says_that_the_trunks_weights_are_missing(tiny, pictures, tmp_path, monkeypatch):
    model = replace(MODEL, trunk_weights="auto")
    config = tiny(pictures, tmp_path / "out", steps=1, model=model)
    monkeypatch.setattr("clipnerf.clip.train.absence", lambda name, weights: f"{name} is not here")
    assert plan(config)["trunk"] == f"{NAME}, frozen; {NAME} is not here"
    monkeypatch.setattr("clipnerf.clip.train.absence", lambda name, weights: None)
    assert plan(config)["trunk"] == f"{NAME}, frozen"
