"""Fits a compact CLIP to captioned pictures: ``clipnerf train-clip``."""

from dataclasses import replace
from pathlib import Path

import torch

from clipnerf.clip import compact
from clipnerf.clip.trainer import Trainer
from clipnerf.clip.zero_shot import table
from clipnerf.config.clip import TrainClipConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.training import distributed
from clipnerf.training.loop import run_task
from clipnerf.vision.feature_network import absence


def train_clip(config: TrainClipConfig) -> Path:
    """Trains, or resumes, a compact CLIP; returns the run folder, which ``Clip.load`` reads.

    Writes clip.safetensors at every checkpoint, and prints the zero-shot accuracies on held-out
    objects at the end. The same call again resumes.

    Raises:
        UsageError: unusable data or configuration.
        ClipNerfError: the loss is no number any more, a disk is full, or another rank is lost.
    """
    with distributed.joined(config.device) as device:
        config.validate()
        if config.threads:
            torch.set_num_threads(config.threads)
        data = PictureDataset(config.data, config.model.image_size, skip_broken=config.skip_broken)
        trainer = Trainer(config, data, device)
        run_task(
            trainer,
            config,
            "train-clip",
            data.fingerprint,
            validate_every=config.checkpoint_every,
        )
        if distributed.is_main():
            print(table(trainer.answers(Path(config.out) / compact.FILE_NAME)))
    return Path(config.out)


def plan(config: TrainClipConfig) -> dict[str, str]:
    """What ``train_clip`` would do; opens the data, trains nothing, writes nothing."""
    config.validate()
    data = PictureDataset(
        config.data, config.model.image_size, in_memory=False, skip_broken=config.skip_broken
    )
    model = config.model
    if model.trunk and model.trunk_weights == "auto":  # a plan needs no download
        model = replace(model, trunk_weights="random")
    trainer = Trainer(replace(config, model=model), data, torch.device("cpu"))
    count = sum(p.numel() for p in trainer.model.parameters())
    texts = {text for captions in trainer.captions for text in captions}
    pixels = len(data) * 3 * data.size**2
    activations = trainer.share * config.model.image_size**2 * config.model.vision_width * 60
    return {
        "data": f"{config.data}: {len(data)} pictures, {len(texts)} different captions",
        "held out": f"{len(trainer.held_out)} pictures ({config.held_out:.0%} of the objects)",
        "words": f"{len(trainer.vocabulary)} tokens of {compact.VOCABULARY}",
        "model": f"{count:,} parameters, about {count * 2 / 1e6:.1f} MB, "
        f"pictures of {config.model.image_size} pixels",
        **_trunk(config),
        "steps": f"{config.steps} of {config.batch} pictures and "
        f"{trainer.sets} captions each ({config.steps * config.batch:,} pictures), shared by "
        f"{distributed.world_size()} process(es)",
        "precision": "bfloat16" if trainer.bf16 else "float32",
        "memory": f"about {(pixels + activations + count * 16) / 1e9 + 0.6:.1f} GB a process",
        "out": str(config.out),
    }


def _trunk(config: TrainClipConfig) -> dict[str, str]:
    name = config.model.trunk
    if not name:
        return {}
    missing = absence(name, config.model.trunk_weights)
    return {"trunk": f"{name}, frozen" + (f"; {missing}" if missing else "")}
