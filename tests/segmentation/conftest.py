"""A tiny CLIP with a ResNet and one with a ViT, and discs and squares to be found."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipnerf.clip import compact
from clipnerf.clip.model import Clip, build, tokenizer_for
from clipnerf.config.segmentation import SegmenterConfig, TrainSegmenterConfig

WORDS = "the disc square left right a"


def clip_file(folder: Path, vision: dict) -> Path:
    """A compact CLIP with random weights that knows WORDS."""
    folder.mkdir(parents=True, exist_ok=True)
    model_cfg = {
        "embed_dim": 16,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, **vision},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": compact.VOCABULARY,
            "width": 32,
            "heads": 1,
            "layers": 1,
        },
    }
    preprocess_cfg = {
        "size": 32,
        "mode": "RGB",
        "mean": [0.7] * 3,
        "std": [0.3] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 255,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build(model_cfg, preprocess_cfg).state_dict()
        tokenizer = tokenizer_for(model_cfg)
        ids = torch.tensor(
            sorted({*tokenizer.encode(WORDS), tokenizer.sot_token_id, tokenizer.eot_token_id, 0})
        )
        return compact.save(
            folder / compact.FILE_NAME,
            state,
            token_ids=ids,
            rows=0.1 * torch.randn(len(ids), 32),
            unknown=torch.zeros(32),
            model_cfg=model_cfg,
            preprocess_cfg=preprocess_cfg,
        )


@pytest.fixture(scope="session")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.safetensors with a ResNet of four stages."""
    vision = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
    return clip_file(tmp_path_factory.mktemp("resnet"), vision)


@pytest.fixture(scope="session")
def resnet(resnet_file: Path) -> Clip:
    return Clip.load(resnet_file)


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    vision = {"layers": 3, "width": 16, "patch_size": 8, "head_width": 8}
    return Clip.load(clip_file(tmp_path_factory.mktemp("vit"), vision))


TINY = SegmenterConfig(input_size=32, width=16, decoder_layers=1, heads=2, feedforward=16)


def write_referring(folder: Path, count: int = 24) -> Path:
    """A red disc on the left or the right, a blue square on the other side; phrases and masks."""
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    y, x = np.mgrid[:32, :32]
    lines = []
    for index in range(count):
        left = bool(rng.randint(2))
        centre, radius = (9 if left else 23), rng.randint(4, 7)
        disc = np.hypot(x - centre, y - 16) < radius
        square = np.maximum(abs(x - (32 - centre)), abs(y - 16)) < radius
        picture = np.full((32, 32, 3), 255, np.uint8)
        picture[disc], picture[square] = (220, 30, 30), (30, 60, 220)
        labels = disc + 2 * square.astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{index:03d}.png")
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"labels-{index:03d}.png")
        side, other = ("left", "right") if left else ("right", "left")
        mask = f"labels-{index:03d}.png"
        regions = [
            {"text": "the disc", "mask": mask, "values": [1]},
            {"text": "the square", "mask": mask, "values": [2]},
            {"text": f"the {side} disc", "mask": mask, "values": [1]},
            {"text": f"the {other} disc", "mask": None},
            {"text": "the armchair", "mask": None},
        ]
        lines.append({"file_name": f"{index:03d}.png", "regions": regions})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="session")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_referring(tmp_path_factory.mktemp("referring") / "discs")


@pytest.fixture
def tiny(referring: Path, resnet_file: Path, tmp_path: Path):
    """tiny(steps, **changes): the smallest training."""

    def config(steps: int, **changes) -> TrainSegmenterConfig:
        settings = {
            "data": str(referring),
            "clip": str(resnet_file.parent),
            "out": str(tmp_path / "run"),
            "model": TINY,
            "size": 32,
            "batch": 4,
            "phrases": 2,
            "held_out": 4,
            "log_every": 1,
            "checkpoint_every": 2,
            "device": "cpu",
            **changes,
        }
        return TrainSegmenterConfig(steps=steps, **settings)

    return config
