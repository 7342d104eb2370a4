"""Where a mapper's training finds its frozen models, and where it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import load_library
from clipnerf.config.mapper import TrainMapperConfig, Which
from clipnerf.errors import UsageError
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.mappers.library import embed_library
from clipnerf.mappers.objective import Objective
from clipnerf.training import distributed


def load_objective(config: TrainMapperConfig, device: torch.device) -> Objective:
    """The frozen models and the embedded library, for this rank's share of the objects."""
    own = replace(config, objects=distributed.share(config.objects, "objects"))
    library = load_library(config.library)
    generator = Generator.load(generator_path(config))
    path = discriminator_path(config)
    discriminator = None
    if config.loss.discriminator > 0:
        if path is None:
            raise UsageError(
                f"no discriminator.safetensors beside '{config.generator}'; give --discriminator, "
                "or train without it by --loss.discriminator 0"
            )
        discriminator = Discriminator.load(path, generator.hash)
    clip = Clip.load(config.clip)
    prompts = embed_library(clip, library, config.which)
    for model in (generator, discriminator):
        if model is not None:
            model.to(device).eval().requires_grad_(False)
    return Objective(own, generator, discriminator, clip.to(device), prompts.to(device), device)


def load_objectives(config: TrainMapperConfig, device: torch.device) -> dict[Which, Objective]:
    """The objectives of both codes, over models loaded once."""
    if config.universal.rendered_steps == 0:  # nothing asks the discriminator
        config = replace(config, loss=replace(config.loss, discriminator=0.0))
    first = load_objective(replace(config, which="shape"), device)
    own = replace(first.config, which="appearance")
    prompts = embed_library(first.clip, load_library(config.library), "appearance").to(device)
    second = Objective(own, first.generator, first.discriminator, first.clip, prompts, device)
    return {"shape": first, "appearance": second}


def generator_path(config: TrainMapperConfig) -> Path:
    """The generator's file, also where its folder was given."""
    path = Path(config.generator)
    return path / "generator.safetensors" if path.is_dir() else path


def discriminator_path(config: TrainMapperConfig) -> Path | None:
    """The discriminator's file: as given, or beside the generator; None where there is none."""
    if config.discriminator is not None:
        return Path(config.discriminator)
    beside = generator_path(config).with_name("discriminator.safetensors")
    return beside if beside.exists() else None


def mapper_path(config: TrainMapperConfig) -> Path:
    """The file that the training writes."""
    name = "universal" if config.mapper.kind == "universal" else config.which
    return Path(config.out) / f"mapper_{name}.safetensors"
