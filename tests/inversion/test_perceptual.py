"""The perceptual term of inversion: a distance of features, by whichever network is at hand."""

from types import SimpleNamespace

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.clip.trunk import TrunkTower
from clipnerf.inversion import perceptual
from clipnerf.inversion.perceptual import FeatureDistance, named, perception
from tests.tiny_bundle import tiny_clip_file

CPU = torch.device("cpu")


def test_the_distance_is_that_of_unit_vectors_at_each_place():
    """Vectors at right angles differ by 2 at a place, whatever their lengths."""
    first, second = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    first[:, 0], second[:, 0] = 3.0, 5.0
    first[:, 0, 0, 0], first[:, 1, 0, 0] = 0.0, 7.0
    distance = FeatureDistance(lambda maps: [maps, maps[:, :, :1, :1]])
    assert distance(first, second).tolist() == pytest.approx([(2 / 4 + 2) / 2])
    assert distance(second, second).tolist() == [0]


def trunk_clip(tmp_path) -> Clip:
    clip = Clip.load(tiny_clip_file(tmp_path))
    tower = TrunkTower("tf_efficientnet_lite0", 32, clip.embed_dim)
    clip.model.visual = tower.eval().requires_grad_(False)
    return clip


def test_a_trunk_of_the_clip_comes_first_and_its_gradient_leads_to_the_picture(tmp_path):
    clip = trunk_clip(tmp_path)
    distance = perception(clip, CPU)
    assert named(distance) == "the trunk of the CLIP"
    wanted = torch.rand(2, 3, 40, 40)
    found = wanted.roll(3, 3).requires_grad_()
    before = distance(found, wanted)
    assert before.shape == (2,) and bool((before > 0).all())
    before.sum().backward()
    step = 1e-2 * found.grad / found.grad.abs().max()
    assert float(distance(found.detach() - step, wanted).sum()) < float(before.detach().sum())


def test_without_a_trunk_what_is_installed_serves_and_nothing_is_fetched(tmp_path, monkeypatch):
    clip = Clip.load(tiny_clip_file(tmp_path))
    network = SimpleNamespace(to=lambda device: network, pyramid=lambda p, size: [p])
    monkeypatch.setattr(perceptual, "FeatureNetwork", lambda name: network)
    monkeypatch.setattr(perceptual, "absence", lambda name: None)
    monkeypatch.setattr(perceptual, "lpips_absence", lambda: "absent")
    assert named(perception(clip, CPU)) == perceptual.NETWORK
    monkeypatch.setattr(perceptual, "absence", lambda name: "not installed")
    assert named(perception(clip, CPU)) == "none"
    monkeypatch.setattr(perceptual, "lpips_absence", lambda: None)
    monkeypatch.setattr(perceptual, "load_lpips", lambda device: lambda a, b, normalize: a)
    assert named(perception(clip, CPU)) == "LPIPS"
