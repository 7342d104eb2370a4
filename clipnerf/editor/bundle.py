"""Bundles: a folder of a generator, its CLIP and its mappers, and how to read one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from clipnerf.config.paths import bundle_names, bundle_path
from clipnerf.config.ranges import Text, check
from clipnerf.editor.regions import PhraseGrounding, RegionFinder
from clipnerf.errors import UsageError, warn
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.invert import load_encoder
from clipnerf.io.weights import SUMS, listed_files
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import FILE_NAME, WHICH, Universal
from clipnerf.training.precision import pick_device

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip


def load_bundle(
    path: str | Path, device: str | torch.device | None = None, mapper: str | None = None
) -> tuple[Generator, Clip | None, Sequence[Mapper] | Universal, Encoder | None, RegionFinder]:
    """What an Editor is made of; `Editor.load` says the rest."""
    check("path", path, str)
    folder = bundle_folder(str(path))
    kinds = mapper_kinds(folder)
    check("mapper", mapper, Text | None)
    if mapper is not None and mapper not in kinds:
        raise UsageError(
            f"mapper is '{mapper}'; '{folder}' has: {', '.join(kinds) or 'none'}; train it with "
            f"clipnerf train-mapper --mapper.kind {mapper}"
        )
    _warn_of_lost(folder, mapper)
    device = pick_device(device)
    generator = Generator.load(folder / "generator.safetensors").to(device)
    clip_path = folder / "clip.safetensors"
    clip = None
    if clip_path.exists():
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(str(clip_path)).to(device)
    hashes = {"generator_hash": generator.hash, "clip_hash": clip.hash if clip else None}
    mappers: Sequence[Mapper] | Universal
    if (mapper or (kinds or ["paper"])[-1]) == "universal":
        mappers = Universal.load(folder / FILE_NAME, **hashes).to(device)
    else:
        mappers = [Mapper.load(file, **hashes).to(device) for file in _paper_files(folder)]
    parts = RegionFinder(generator, partial(PhraseGrounding.load, folder, generator, clip))
    return generator, clip, mappers, load_encoder(folder, generator), parts


def bundle_folder(name: str) -> Path:
    """The folder of a bundle, by its path or its name; UsageError where there is no generator."""
    folder = bundle_path(name)
    if not (folder / "generator.safetensors").is_file():
        raise UsageError(
            f"'{folder}' holds no generator.safetensors; give a bundle's folder, or the name of "
            f"one that comes with the project: {', '.join(bundle_names())}"
        )
    return folder


def mapper_kinds(folder: str | Path) -> list[str]:
    """The kinds of mapper that a bundle holds, of 'paper' and 'universal'; the best stands last."""
    folder = Path(folder)
    kinds = ["paper"] if _paper_files(folder) else []
    return [*kinds, "universal"] if (folder / FILE_NAME).exists() else kinds


def _warn_of_lost(folder: Path, mapper: str | None) -> None:
    """Warns of files that the bundle came with, by its SHA256SUMS, and that are gone."""
    kept = {f"{name}.safetensors" for name in ("discriminator", "features")}  # for training alone
    kept |= {FILE_NAME} if mapper == "paper" else set()
    lost = [name for name in listed_files(folder) if not (folder / name).exists()]
    lost = [name for name in lost if name not in kept]
    if lost:
        instead = "; words are followed by the paper's mappers" if FILE_NAME in lost else ""
        warn(
            f"'{folder}' has lost {', '.join(lost)}, which {SUMS} lists: what needs it is done "
            f"otherwise, or not at all{instead}; copy it again, or take it off that list"
        )


def _paper_files(folder: Path) -> list[Path]:
    files = [folder / f"mapper_{which}.safetensors" for which in WHICH]
    return [file for file in files if file.exists()]
