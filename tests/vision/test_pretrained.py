"""Inception and LPIPS: absent without package or weights, used with both, never downloaded."""

import sys
from types import ModuleType

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.vision import pretrained

NAMES = {
    "torch_fidelity": (pretrained.inception_absence, pretrained.INCEPTION_FILE),
    "lpips": (pretrained.lpips_absence, pretrained.ALEXNET_FILE),
}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty folder of torch.hub, and nothing that could be downloaded."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda *a, **k: pytest.fail("downloads")
    )
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def install(monkeypatch, name: str, **content) -> ModuleType:
    """A package of that name, as if it were installed."""
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    module.__spec__ = object()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize("package", NAMES)
def test_what_is_missing_is_named(package, hub, monkeypatch):
    absence, file = NAMES[package]
    monkeypatch.setitem(sys.modules, package, None)
    missing = absence()
    assert "pip install" in missing.give and file in missing.give
    install(monkeypatch, package)
    missing = absence()
    assert missing.give.startswith(f"put {file} into") and str(hub) in missing.give
    (hub / file).write_bytes(b"weights")
    assert absence() is None


def test_a_package_that_cannot_be_imported_is_absent(hub, monkeypatch):
    install(monkeypatch, "lpips")
    (hub / pretrained.ALEXNET_FILE).write_bytes(b"weights")

    def broken(name):
        raise ImportError("no module named scipy")

    monkeypatch.setattr(pretrained.importlib, "import_module", broken)
    assert "cannot be imported (no module named scipy)" in pretrained.lpips_absence().give


class Inception(torch.nn.Module):
    """Features are the mean level of each color; says what it was made of."""

    made: list = []

    def __init__(self, name, features, feature_extractor_weights_path):
        super().__init__()
        self.made.append((name, features, feature_extractor_weights_path))

    def forward(self, levels):
        assert levels.dtype == torch.uint8
        return (levels.float().mean((2, 3)).repeat(1, 2048 // 3 + 1)[:, :2048],)


def test_inception_is_fed_levels_and_its_weights_are_tensors(hub, monkeypatch):
    install(monkeypatch, "torch_fidelity")
    install(
        monkeypatch,
        "torch_fidelity.feature_extractor_inceptionv3",
        FeatureExtractorInceptionV3=Inception,
    )
    file = hub / pretrained.INCEPTION_FILE
    torch.save({"weight": torch.zeros(2)}, file)
    pictures = torch.full((70, 3, 8, 8), 0.5)
    pictures[:, 2] = 1
    found = pretrained.inception_features(pictures)
    assert found.shape == (70, 2048) and found[69, :3].tolist() == [128, 128, 255]
    assert Inception.made == [("inception-v3-compat", ["2048"], str(file))]
    torch.save(pretrained.Absence("a", "b", "c"), file)  # what unpickling would run
    with pytest.raises(UsageError, match="cannot be read as tensors"):
        pretrained.inception_features(pictures)


class Distance(torch.nn.Module):
    """Mean difference, in the shape in which lpips gives it."""

    def __init__(self, net, verbose):
        super().__init__()
        assert net == "alex" and not verbose

    def forward(self, first, second, normalize):
        assert normalize  # pictures are in [0, 1]
        return (first - second).abs().mean((1, 2, 3), keepdim=True)


def test_lpips_of_pairs(monkeypatch):
    install(monkeypatch, "lpips", LPIPS=Distance)
    first, second = torch.zeros(70, 3, 8, 8), torch.zeros(70, 3, 8, 8)
    second[69] = 0.5
    found = pretrained.lpips_distances(pretrained.load_lpips(), first, second)
    assert found.shape == (70,) and found[69] == 0.5 and float(found[:69].sum()) == 0
