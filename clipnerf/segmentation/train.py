"""Training of the segmenter: `clipnerf train-segmenter`.

    pictures, phrases, masks ──► text-to-pixel loss + Dice ──► RUN/segmenter.safetensors

The same command again resumes; four steps equal two and two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.clip.augment import move, soften
from clipnerf.clip.model import Clip
from clipnerf.config.paths import bundle_path
from clipnerf.config.segmentation import TrainSegmenterConfig
from clipnerf.data.referring import ReferringDataset
from clipnerf.errors import UsageError
from clipnerf.segmentation.auxiliary import PictureHead
from clipnerf.segmentation.facing import facing_loss
from clipnerf.segmentation.losses import dice, presence, text_to_pixel
from clipnerf.segmentation.measure import measure
from clipnerf.segmentation.segmenter import FILE_NAME, Segmenter, as_large
from clipnerf.training.loop import Task, run_task, single_process
from clipnerf.training.precision import network_dtype
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.schedule import one_cycle
from clipnerf.training.seeds import seed_for, seeded, torch_generator


def train_segmenter(config: TrainSegmenterConfig) -> Path:
    """Trains, or resumes; returns the segmenter's file.

    Raises:
        UsageError: a value out of range, data without phrases, a CLIP that cannot be used, another
            run in `out`, or more than one process.
        ClipNerfError: the loss is no longer a number, or the disk failed.
    """
    config.validate()
    with single_process("train-segmenter", config.device, config.threads) as device:
        data, clip = _open(config)
        task = SegmenterTraining(config, data, clip, device)
        fingerprint = f"{data.fingerprint}+{clip.hash}"
        run_task(
            task, config, "train-segmenter", fingerprint, validate_every=config.checkpoint_every
        )
    return Path(config.out) / FILE_NAME


def plan(config: TrainSegmenterConfig) -> dict[str, str]:
    """What ``--dry-run`` prints; the data is opened, nothing is trained."""
    data, clip = _open(config)
    trainer = SegmenterTraining(config, data, clip, torch.device("cpu"))
    absent = sum(sample.absent for sample in data.samples)
    head = sum(p.numel() for n, p in trainer.model.named_parameters() if "backbone" not in n)
    return {
        "data": f"{config.data}: {len(data)} pictures, {len(data.samples)} phrases, {absent} of "
        "them name nothing",
        "held out": f"{config.held_out} pictures",
        "clip": f"{clip.name}, {'fine-tuned' if config.backbone_lr else 'frozen'}",
        "model": f"{head:,} parameters beside the CLIP",
        "steps": f"{config.steps} of {config.batch} pictures and {config.phrases} phrases each",
        "out": str(Path(config.out) / FILE_NAME),
    }


def _open(config: TrainSegmenterConfig) -> tuple[ReferringDataset, Clip]:
    if not config.data:
        raise UsageError("data is ''; allowed: a folder of pictures with phrases: --data DIR")
    data = ReferringDataset.open(config.data, config.size)
    if len(data) - config.held_out < config.batch:
        raise UsageError(
            f"held_out is {config.held_out} of {len(data)} pictures, which leaves fewer than a "
            f"batch ({config.batch}) to learn from; lower it, or add pictures"
        )
    return data, Clip.load(
        bundle_path(config.clip)
        if Path(config.clip).suffix == "" and bundle_path(config.clip).exists()
        else config.clip
    )


class SegmenterTraining(Task):
    """The state of a training, and its steps.

    Everything random in step k is seeded by (seed, k): a resumed run equals an uninterrupted one.
    """

    name, early = "train-segmenter", True
    covered = ("data", "clip")

    def __init__(
        self, config: TrainSegmenterConfig, data: ReferringDataset, clip: Clip, device: torch.device
    ) -> None:
        self.config, self.data, self.device = config, data, device
        with seeded(config.seed, "segmenter weights"):
            self.model = Segmenter(config.model, clip)
        if config.backbone_lr:
            texts = sorted({sample.text for sample in data.samples})
            noise = torch_generator(config.seed, 0, 0, "segmenter words")
            self.model.backbone.learn(texts, noise)
        self.model.to(device).train()
        self.auxiliary: PictureHead | None = None
        if config.auxiliary:
            with seeded(config.seed, "auxiliary weights"):
                backbone = self.model.backbone
                self.auxiliary = PictureHead(
                    backbone.channels, backbone.embedding, config.model.width
                ).to(device)
        self.learned = len(data) - config.held_out
        self.optimizer = _optimizer([self.model, self.auxiliary], config)
        self.dtype = network_dtype(config.precision, device)
        self.advice = f"lower lr ({config.lr}), in a new --out"

    @property
    def stages(self) -> dict[str, int]:
        """One."""
        return {"train": self.config.steps}

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """A step; returns its losses."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * group["share"] * one_cycle(self.step, config.steps, rise=0.1)
        pictures, masks, texts, of, azimuth = self._batch()
        distinct = list(dict.fromkeys(texts))
        place = torch.tensor([distinct.index(text) for text in texts], device=self.device)
        first = torch.arange(len(texts), device=self.device) % self._drawn < config.phrases
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            words = self.model.backbone.words(distinct).rows(place)
            maps = self.model.backbone.maps(pictures)
            facing = self.model.facing(maps[2]) if self.model.facing is not None else None
            logits = self.model.of_maps(pictures, maps, words.rows(first), of[first], facing)
            if self.auxiliary:
                coarse = self.auxiliary(maps, words.sentence, of)
        terms = self._terms(as_large(logits.float(), masks.shape[-2:]), masks[first])
        if facing is not None and config.facing:
            terms["facing"] = config.facing * facing_loss(facing, azimuth)
        if self.auxiliary:
            small = functional.interpolate(masks, size=coarse.shape[-2:], mode="area")
            more = self._terms(coarse, small)
            terms["auxiliary"] = config.auxiliary * torch.stack(list(more.values())).sum()
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(learned, 1.0)
        self.optimizer.step()
        return {"loss": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    def _terms(self, logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """The losses, weighted."""
        config = self.config
        terms = {"text to pixel": text_to_pixel(logits, masks)}
        if config.dice:
            terms["dice"] = config.dice * dice(logits, masks)
        if config.presence:
            terms["presence"] = config.presence * presence(logits, masks)
        return terms

    @property
    def _drawn(self) -> int:
        """Phrases of a picture in a step; the auxiliary head sees all, the decoder the first."""
        return max(self.config.phrases, self.config.auxiliary_phrases * bool(self.auxiliary))

    def _batch(self) -> tuple[Tensor, Tensor, list[str], Tensor, Tensor]:
        """Pictures, masks of some phrases of each, the phrases, whose they are, and azimuths."""
        config = self.config
        rng = np.random.RandomState(seed_for(config.seed, 0, self.step, "phrases") % 2**32)
        chosen = rng.randint(self.learned, size=config.batch).tolist()
        samples, of = [], []
        for row, picture in enumerate(chosen):
            kinds: tuple[list[int], list[int]] = ([], [])
            for sample in self.data.of_picture[picture]:
                kinds[self.data.samples[sample].absent].append(sample)
            for _ in range(self._drawn):
                kind = kinds[int(rng.random_sample() < config.absent)] or kinds[0] or kinds[1]
                samples.append(kind[rng.randint(len(kind))])
                of.append(row)
        noise = torch_generator(config.seed, 0, self.step, "segmenter", self.device)
        pictures = self.data.batch(chosen).to(self.device)
        masks = self.data.masks(samples).to(self.device)
        # the masks of a picture are moved with it; ones come in from outside, so in the negative
        stacked = torch.cat(
            (pictures, 1 - masks.view(config.batch, self._drawn, *masks.shape[2:])), 1
        )
        moved = move(stacked, config.augment, noise)
        pictures = soften(moved[:, :3], config.augment, noise)
        masks = (1 - moved[:, 3:]).reshape(masks.shape).round()
        return (
            pictures,
            masks,
            [self.data.samples[s].text for s in samples],
            torch.tensor(of, device=self.device),
            self.data.azimuth[chosen].to(self.device),
        )

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """Figures of the pictures that are held out."""
        self.model.eval()
        rows = range(self.learned, len(self.data))
        try:
            figures = measure(self.model, self.data, rows).figures
        finally:
            self.model.train()
        say(f"step {self.step}, held out: {figures.line()}")
        return figures.scalars()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return state | ({"auxiliary": self.auxiliary.state_dict()} if self.auxiliary else {})

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.step = step
        self.model.load_state_dict(state["model"])
        if self.auxiliary:
            self.auxiliary.load_state_dict(state["auxiliary"])
        self.optimizer.load_state_dict(state["optimizer"])

    def export(self, folder: Path) -> list[Path]:
        """The segmenter."""
        self.model.eval()
        extra = {"steps": str(self.step), "dataset": self.data.fingerprint}
        file = self.model.save(folder / FILE_NAME, extra)
        self.model.train()
        return [file]


def _optimizer(
    modules: Sequence[nn.Module | None], config: TrainSegmenterConfig
) -> torch.optim.Optimizer:
    """Matrices decay, the rest does not; the backbone learns more slowly."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    named = [pair for module in modules if module for pair in module.named_parameters()]
    for name, parameter in named:
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and "embedding" not in name
            groups.setdefault((name.startswith("backbone."), decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay * decays,
                "share": config.backbone_lr if of_backbone else 1.0,
            }
            for (of_backbone, decays), parameters in groups.items()
        ],
        lr=config.lr,
        fused=True,
    )
