"""A tiny captioned data set, and a compact model trained on it for a few steps."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipnerf.config.clip import CompactClipConfig, TrainClipConfig

COLORS = {"red": (220, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 220)}


def write_pictures(folder: Path, count: int = 48) -> Path:
    """Discs and squares of three colors on white, with captions, objects and attributes."""
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    y, x = np.mgrid[:32, :32]
    lines = []
    for index in range(count):
        color = list(COLORS)[index % 3]
        shape = ("disc", "square")[index // 3 % 2]
        cx, cy, radius = rng.randint(12, 21), rng.randint(12, 21), rng.randint(6, 11)
        distance = (
            np.hypot(x - cx, y - cy) if shape == "disc" else np.maximum(abs(x - cx), abs(y - cy))
        )
        picture = np.full((32, 32, 3), 255, np.uint8)
        picture[distance < radius] = COLORS[color]
        Image.fromarray(picture).save(folder / f"{index:03d}.png")
        lines.append(
            {
                "file_name": f"{index:03d}.png",
                "texts": [f"a {color} {shape}", f"a {shape}", f"something {color}"],
                "object_id": f"object {index // 2}",
                "attributes": {"color": color, "shape": shape},
            }
        )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny data set."""
    return write_pictures(tmp_path_factory.mktemp("captioned") / "discs")


def tiny_config(data: Path, out: Path, steps: int, **changes) -> TrainClipConfig:
    """The smallest model and shortest training."""
    settings = {
        "model": CompactClipConfig(
            image_size=32,
            embed_dim=32,
            vision_width=8,
            text_width=32,
            text_layers=1,
            context_length=12,
        ),
        "batch": 16,
        "captions": 3,
        "themed_captions": 1,
        "decay_steps": 40,
        "warmup_steps": 2,
        "text_delay_steps": 4,
        "held_out": 0.25,
        "log_every": 1,
        "checkpoint_every": 2,
        "device": "cpu",
        **changes,
    }
    return TrainClipConfig(data=str(data), out=str(out), steps=steps, **settings)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainClipConfig]:
    """tiny(data, out, steps, **changes): the configuration of the smallest training."""
    return tiny_config


@pytest.fixture(scope="session")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a short training."""
    from clipnerf.clip.train import train_clip

    out = tmp_path_factory.mktemp("runs") / "clip"
    return train_clip(tiny_config(pictures, out, steps=40, checkpoint_every=40, lr=5e-3))
