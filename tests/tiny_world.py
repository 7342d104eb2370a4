"""All that the trainings and the other verbs read, small; and a command for each training."""

from pathlib import Path

import torch
import yaml

from clipnerf.config.evaluation import RecognizerConfig
from clipnerf.config.inversion import EncoderConfig
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.vision.recognizer import Recognizer
from tests.clip.conftest import write_pictures
from tests.segmentation.conftest import write_referring
from tests.tiny_bundle import CODE_DIM, tiny_bundle, tiny_parts

LIBRARY = """\
neutral: a chair
shape: [a chair with armrests, a wide chair]
appearance: [a red chair, a blue chair, a green chair]
"""
_OFTEN = {"log_every": 1, "checkpoint_every": 2, "device": "cpu"}
_FIELD = {
    "code_dim": 8,
    "style_dim": 8,
    "levels": 2,
    "log2_rows": 8,
    "finest_resolution": 16,
    "deform_width": 8,
    "density_width": 8,
    "color_width": 8,
}
_CLIP = {
    "image_size": 32,
    "embed_dim": 16,
    "vision_width": 2,
    "text_width": 32,
    "text_layers": 1,
    "context_length": 12,
}
_SEGMENTER = {
    "input_size": 32,
    "levels": [0, 1, 2],
    "width": 16,
    "decoder_layers": 1,
    "heads": 2,
    "feedforward": 16,
}
_UNIVERSAL = {
    "shapes": 50,
    "appearances": 2,
    "picture_size": 8,
    "distill_steps": 3,
    "distill_batch": 8,
    "distill_width": 16,
    "text_free_steps": 2,
    "fine_tune_steps": 1,
    "rendered_steps": 1,
    "batch": 4,
}


def _mapper(world: Path) -> dict:
    return {
        "generator": str(world / "bundle"),
        "clip": str(world / "bundle/clip.safetensors"),
        "library": str(world / "library.yaml"),
        "steps": 3,
        "objects": 2,
        "views": 1,
        "size": 8,
        "preview_every": 100,
        **_OFTEN,
    }


def _settings(world: Path) -> dict[str, tuple[str, dict]]:
    pictures = str(world / "pictures")
    return {
        "pretrain": (
            "pretrain",
            {
                "data": {"path": pictures, "size": 16},
                "generator": {
                    "box": [0.6, 0.6, 0.8],
                    "samples": 2,
                    "render_samples": 2,
                    "field": _FIELD,
                },
                "discriminator": {"patch": 8, "width": 4, "max_width": 4},
                "steps": 3,
                "batch": 2,
                "preview_every": 100,
                "preview_size": 8,
                **_OFTEN,
            },
        ),
        "train-clip": (
            "train-clip",
            {
                "data": pictures,
                "model": _CLIP,
                "steps": 3,
                "batch": 4,
                "captions": 2,
                "themed_captions": 1,
                "warmup_steps": 1,
                "text_delay_steps": 1,
                "precision": "float32",
                **_OFTEN,
            },
        ),
        "train-mapper, the paper's": (
            "train-mapper",
            {**_mapper(world), "which": "shape", "mapper": {"hidden": 8}},
        ),
        "train-mapper, universal": (
            "train-mapper",
            {
                **_mapper(world),
                "mapper": {"kind": "universal", "hidden": 8},
                "universal": _UNIVERSAL,
            },
        ),
        "train-encoder": (
            "train-encoder",
            {
                "generator": str(world / "bundle"),
                "data": pictures,
                "encoder": {"size": 16, "width": 4, "hidden": 8, "bins": 8},
                "shapes": 6,
                "appearances": 2,
                "steps": 3,
                "batch": 4,
                "data_steps": 1,
                "data_batch": 2,
                **_OFTEN,
            },
        ),
        "train-segmenter": (
            "train-segmenter",
            {
                "data": str(world / "referring"),
                "clip": str(world / "bundle"),
                "model": _SEGMENTER,
                "size": 32,
                "steps": 3,
                "batch": 2,
                "phrases": 2,
                "held_out": 4,
                "precision": "float32",
                **_OFTEN,
            },
        ),
        "train-region": (
            "train-region",
            {
                "bundle": str(world / "bundle"),
                "phrases": ["the seat", "the back"],
                "noun": "chair",
                "shapes": 6,
                "views": 1,
                "phrases_a_view": 1,
                "size": 16,
                "width": 8,
                "vector": 4,
                "steps": 3,
                "batch": 2,
                "points": 8,
                **_OFTEN,
            },
        ),
        "train-recognizer": (
            "train-recognizer",
            {"data": pictures, "size": 16, "width": 4, "steps": 4, "batch": 4, "device": "cpu"},
        ),
    }


def tiny_world(folder: Path) -> dict[str, list[str]]:
    """Writes bundle, pictures, referring, library.yaml and configurations into a new folder.

    Returns:
        Name of each training -> its command, but for ``--out``.
    """
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    tiny_parts(tiny_bundle(bundle, layers=3))
    generator = Generator.load(bundle / "generator.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(
            EncoderConfig(size=16, width=4, hidden=8, bins=8), CODE_DIM, generator.hash
        )
        attributes = {"color": ["blue", "green", "red"], "shape": ["disc", "square"]}
        recognizer = Recognizer(RecognizerConfig(attributes, size=16, width=4))
    encoder.save(bundle / "encoder.safetensors")
    recognizer.save(folder / "recognizer.safetensors")
    write_pictures(folder / "pictures", 24)
    write_referring(folder / "referring", 10)
    (folder / "library.yaml").write_text(LIBRARY)
    commands = {}
    for name, (verb, settings) in _settings(folder).items():
        file = folder / f"{name.replace(', ', '-').replace(' ', '-')}.yaml"
        file.write_text(yaml.safe_dump(settings))
        commands[name] = [verb, "--config", str(file)]
    return commands
