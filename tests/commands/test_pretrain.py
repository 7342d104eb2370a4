"""What ``clipnerf pretrain`` adds to the training: something that measures at every preview."""

import json
from pathlib import Path

import pytest

from clipnerf.commands.pretrain import pretrain
from clipnerf.config.generator import DiscriminatorConfig
from clipnerf.config.pretrain import DataConfig, PretrainConfig
from clipnerf.errors import UsageError
from clipnerf.gan import train
from tests.commands.test_evaluate import write_recognizer
from tests.gan.conftest import small_config
from tests.vision.conftest import write_shapes


def test_the_variety_is_measured_at_previews_and_never_left_out_silently(tmp_path: Path):
    config = PretrainConfig(
        data=DataConfig(path=str(write_shapes(tmp_path / "pictures", 12, 0)), size=16),
        generator=small_config(),
        discriminator=DiscriminatorConfig(patch=8, width=8, max_width=8),
        out=str(tmp_path / "run"),
        steps=2,
        batch=4,
        preview_every=1,
        preview_size=16,
        metrics_recognizer=str(write_recognizer(tmp_path / "recognizer.safetensors")),
        metrics_samples=10,
        threads=1,
        device="cpu",
    )
    with pytest.raises(UsageError, match=r"clipnerf\.commands\.pretrain"):
        train.pretrain(config)
    lines = (pretrain(config) / "stats.jsonl").read_text().splitlines()
    assert [line["step"] for line in map(json.loads, lines) if "share_gap" in line] == [1, 2]
