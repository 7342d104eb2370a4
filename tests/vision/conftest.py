"""A tiny world: wide and tall boxes in three colors, whose attributes are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipnerf.config.evaluation import TrainRecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.vision.recognizer import Recognizer
from clipnerf.vision.recognizer_train import train_recognizer

COLORS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 220)}


def draw(color: str, form: str, rng: np.random.RandomState, size: int = 32) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    cx, cy = size / 2 + rng.uniform(-3, 3, 2)
    long, short = rng.uniform(0.30, 0.40) * size, rng.uniform(0.12, 0.18) * size
    half_x, half_y = (long, short) if form == "wide" else (short, long)
    inside = (abs(x - cx) < half_x) & (abs(y - cy) < half_y)
    picture = np.full((size, size, 3), 255, np.uint8)
    picture[inside] = COLORS[color]
    return picture


def write_shapes(folder: Path, count: int, seed: int, colors=tuple(COLORS)) -> Path:
    rng = np.random.RandomState(seed)
    folder.mkdir(parents=True)
    rows = []
    for i in range(count):
        color, form = str(rng.choice(colors)), str(rng.choice(["wide", "tall"]))
        Image.fromarray(draw(color, form, rng)).save(folder / f"{i:03}.png")
        attributes = {"color": color, "form": form, "number": str(i), "always": "same"}
        rows.append(json.dumps({"file_name": f"{i:03}.png", "attributes": attributes}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> PictureDataset:
    """240 pictures of 32 pixels."""
    return PictureDataset(write_shapes(tmp_path_factory.mktemp("world") / "shapes", 240, 0), 32)


@pytest.fixture()
def world(tmp_path: Path):
    """world(count, seed, colors=...) writes a folder of shapes."""
    return lambda count, seed, **more: write_shapes(tmp_path / f"s{seed}", count, seed, **more)


@pytest.fixture(scope="session")
def recognizer(shapes: PictureDataset) -> Recognizer:
    """Trained on the shapes for some seconds."""
    return train_recognizer(shapes, TrainRecognizerConfig(steps=50, batch=32, width=8))
