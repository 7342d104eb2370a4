"""Fits a compact CLIP to captioned pictures: ``clipnerf train-clip``."""

import math
import time
from pathlib import Path
from typing import Any

import torch

from clipnerf.clip import compact
from clipnerf.clip.trainer import Trainer
from clipnerf.clip.zero_shot import Answer, table
from clipnerf.config.clip import TrainClipConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.weights import weights_hash
from clipnerf.training import distributed
from clipnerf.training.loop import opened_on_main
from clipnerf.training.progress import Progress
from clipnerf.training.run_folder import RunFolder


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
        with opened_on_main(
            config.out,
            command="train-clip",
            config=config,
            seed=config.seed,
            dataset_fingerprint=data.fingerprint,
        ) as (run, found):
            _begin(trainer, config, found)
            answers = _train(config, trainer, run)
    if distributed.is_main():
        print(table(answers))
    return Path(config.out)


def plan(config: TrainClipConfig) -> dict[str, str]:
    """What ``train_clip`` would do; opens the data, trains nothing, writes nothing."""
    config.validate()
    data = PictureDataset(
        config.data, config.model.image_size, in_memory=False, skip_broken=config.skip_broken
    )
    trainer = Trainer(config, data, torch.device("cpu"))
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
        "steps": f"{config.steps} of {config.batch} pictures and "
        f"{trainer.sets} captions each ({config.steps * config.batch:,} pictures), shared by "
        f"{distributed.world_size()} process(es)",
        "precision": "bf16" if trainer.bf16 else "fp32",
        "memory": f"about {(pixels + activations + count * 16) / 1e9 + 0.6:.1f} GB a process",
        "out": str(config.out),
    }


def _train(config: TrainClipConfig, trainer: Trainer, run: RunFolder | None) -> list[Answer]:
    answers: list[Answer] = []
    total, batch = config.steps * config.batch, config.batch
    began, since = time.perf_counter(), trainer.step
    with Progress(total, trainer.step * batch, "train-clip", "img") as progress:
        while trainer.step < config.steps:
            logged = trainer.advance()
            if not math.isfinite(logged["loss"]):
                raise ClipNerfError(
                    f"the loss is {logged['loss']} at step {trainer.step}; lower lr ({config.lr})"
                )
            progress.update(batch, loss=logged["loss"])
            last = trainer.step == config.steps
            if run is None:
                continue
            if trainer.step % config.log_every == 0 or last:
                seconds = time.perf_counter() - began
                speed = (trainer.step - since) * batch / seconds
                run.log(trainer.step, images_per_s=speed, **logged)
            if trainer.step % config.checkpoint_every == 0 or last:
                run.save_state(trainer.step, trainer.state())
                answers = _measure(trainer, run)
                if answers:
                    mean = sum(answer.accuracy for answer in answers) / len(answers)
                    progress.write(f"step {trainer.step}: zero-shot accuracy {mean:.1%} on average")
    if run is not None and not answers:  # resumed when there was nothing left to do
        answers = _measure(trainer, run)
    return answers


def _begin(
    trainer: Trainer, config: TrainClipConfig, found: tuple[int, dict[str, Any]] | None
) -> None:
    """Takes up a checkpoint, or rank 0's fresh weights; the same on every rank."""
    distributed.check_same("pictures", trainer.data.fingerprint)
    if found is not None:
        trainer.load(*found)
    elif distributed.world_size() > 1:
        # Fresh weights are fitted to some pictures, in which cards of other kinds may differ.
        trainer.load(0, distributed.broadcast(trainer.state()))
    distributed.check_same("weights of CLIP", weights_hash(trainer.model.state_dict()))
    if trainer.step > config.steps:
        raise UsageError(
            f"{config.out!r} is at step {trainer.step} already, and steps is {config.steps}; "
            "ask for more steps, or give another --out"
        )


def _measure(trainer: Trainer, run: RunFolder) -> list[Answer]:
    path = trainer.export(run.path / compact.FILE_NAME)
    answers = trainer.answers(path)
    run.log(trainer.step, **{f"zero_shot/{answer.name}": answer.accuracy for answer in answers})
    return answers
