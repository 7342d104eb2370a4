"""Inception and LPIPS, the published networks: used where they are installed and their weights lie
on this machine, never downloaded.

Both packages fetch their weights through torch.hub; the files are looked for where it keeps them.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import UsageError

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity keeps: the network of the original FID."""
ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
"""What lpips keeps through torchvision; its own linear weights come with the package."""
BATCH = 64


@dataclass(frozen=True)
class Absence:
    """Something that is not at hand: what is not measured without it, and how to get it."""

    name: str
    lost: str
    give: str

    def line(self) -> str:
        """For a terminal."""
        return f"{self.name}: absent; not measured: {self.lost}; {self.give}"


def checkpoints() -> Path:
    """Where torch.hub keeps what it once downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def inception_absence() -> Absence | None:
    """Why there is no Inception; None where there is one."""
    return _absence(
        "Inception",
        "torch_fidelity",
        "pip install torch-fidelity",
        INCEPTION_FILE,
        "the FID, comparable with published ones",
    )


def lpips_absence() -> Absence | None:
    """Why there is no LPIPS; None where there is one."""
    return _absence(
        "LPIPS", "lpips", "pip install lpips", ALEXNET_FILE, "the perceptual size of an edit"
    )


@torch.no_grad()
def inception_features(
    pictures: Float[Tensor, "pictures 3 height width"], device: torch.device | str = "cpu"
) -> Float[Tensor, "pictures 2048"]:
    """Features of the original FID, on the CPU; only where ``inception_absence`` is None.

    Args:
        pictures: in [0, 1].
    """
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    file = checkpoints() / INCEPTION_FILE
    _check_tensors(file)
    network = module.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(file)
    ).to(device)
    levels = pictures.mul(255).round().byte()
    return torch.cat([network(part.to(device))[0].float().cpu() for part in levels.split(BATCH)])


def load_lpips(device: torch.device | str = "cpu") -> Any:
    """The distance network (AlexNet); only where ``lpips_absence`` is None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torchvision tells lpips' developers
        return importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval().to(device)


@torch.no_grad()
def lpips_distances(
    network: Any,
    first: Float[Tensor, "pictures 3 height width"],
    second: Float[Tensor, "pictures 3 height width"],
    device: torch.device | str = "cpu",
) -> Float[Tensor, " pictures"]:
    """Distance of each pair of pictures in [0, 1], on the CPU."""
    pairs = zip(first.split(BATCH), second.split(BATCH), strict=True)
    return torch.cat(
        [
            network(a.to(device), b.to(device), normalize=True).flatten().float().cpu()
            for a, b in pairs
        ]
    )


def _absence(name: str, package: str, install: str, file: str, lost: str) -> Absence | None:
    folder = "torch.hub's folder of checkpoints"
    if importlib.util.find_spec(package) is None:
        return Absence(name, lost, f"{install}, and put {file} into {folder}")
    if not (checkpoints() / file).is_file():
        return Absence(name, lost, f"put {file} into {folder} ({checkpoints()})")
    try:
        importlib.import_module(package)
    except Exception as error:  # whatever its own packages do
        reason = " ".join(str(error).split())[:120]
        return Absence(name, lost, f"{install} again, as it cannot be imported ({reason})")
    return None


def _check_tensors(file: Path) -> None:
    """UsageError unless the file holds tensors alone: torch-fidelity would unpickle anything."""
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"'{file}' cannot be read as tensors ({reason}); copy it again, or remove it"
        ) from error
