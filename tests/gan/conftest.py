"""A small generator whose every weight is away from its start, and a few pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.config.generator import (
    CameraPriorConfig,
    DiscriminatorConfig,
    FieldConfig,
    GeneratorConfig,
)
from clipnerf.config.pretrain import DataConfig, PretrainConfig
from clipnerf.gan.generator import Generator


def small_field(**options) -> FieldConfig:
    sizes = dict(
        code_dim=8,
        style_dim=8,
        levels=3,
        log2_rows=8,
        base_resolution=4,
        finest_resolution=16,
        deform_width=8,
        density_width=8,
        color_width=8,
    )
    return FieldConfig(**{**sizes, **options})


def small_config(field: FieldConfig | None = None, **options) -> GeneratorConfig:
    rest = dict(box=[0.6, 0.6, 0.8], samples=4, render_samples=6)
    return GeneratorConfig(
        field=field or small_field(), camera=CameraPriorConfig(), **{**rest, **options}
    )


@pytest.fixture
def make_generator():
    """Builds a frozen generator; ``stir`` moves every weight, so that there is much to see."""

    def make(stir: float = 0.6, field: dict | None = None, **options) -> Generator:
        torch.manual_seed(1)
        generator = Generator(small_config(small_field(**(field or {})), **options))
        if stir:
            for parameter in generator.parameters():
                torch.nn.init.normal_(parameter, std=stir)
        return generator.requires_grad_(False).eval()

    return make


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory) -> Path:
    """Twelve pictures of 16 x 16: a colored rectangle on white."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.RandomState(0)
    for n in range(12):
        picture = np.full((16, 16, 3), 255, np.uint8)
        top, left = draw.randint(2, 7, 2)
        picture[top : top + 6, left : left + 5] = draw.randint(0, 200, 3)
        Image.fromarray(picture).save(folder / f"{n:02d}.png")
    return folder


@pytest.fixture
def pretrain_config(picture_folder, tmp_path):
    """Builds the configuration of a training of a few steps, a fraction of a second each."""

    def make(**options) -> PretrainConfig:
        rest = dict(
            out=str(tmp_path / "run"),
            steps=4,
            batch=4,
            log_every=1,
            preview_every=1000,
            checkpoint_every=2,
            threads=1,
            device="cpu",
        )
        data = DataConfig(path=str(picture_folder), size=16)
        return PretrainConfig(
            generator=small_config(),
            discriminator=DiscriminatorConfig(patch=8, width=8, max_width=8),
            **{"data": data, **rest, **options},
        )

    return make
