"""Fits a recognizer to pictures whose attributes are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from clipnerf.config.evaluation import RecognizerConfig, TrainRecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.training.loop import Every, Task, train
from clipnerf.training.precision import pick_device
from clipnerf.training.seeds import seed_for, torch_generator
from clipnerf.vision.recognizer import UNKNOWN, Recognizer

MAX_VALUES = 32
"""An attribute with more values is a name or a number, not a class."""


def readable_attributes(data: PictureDataset, skip: Sequence[str] = ()) -> dict[str, list[str]]:
    """Attributes of a set with 2 to MAX_VALUES values, and the values, both sorted.

    Args:
        skip: attributes to leave out, such as the color of armrests that most chairs lack.
    """
    found: dict[str, set[str]] = {}
    for record in data.records:
        for key, value in record.attributes.items():
            found.setdefault(key, set()).add(value)
    return {
        key: sorted(values)
        for key, values in sorted(found.items())
        if key not in skip and 2 <= len(values) <= MAX_VALUES
    }


def train_recognizer(
    data: PictureDataset,
    config: TrainRecognizerConfig | None = None,
) -> Recognizer:
    """A recognizer of all attributes of ``data``, frozen, ready to read.

    The same data, configuration and seed give the same weights on the same machine.

    Args:
        config: its paths and its size are not looked at: pictures come from ``data``.
    Raises:
        UsageError: no picture of ``data`` has attributes.
    """
    config = config or TrainRecognizerConfig()
    config.validate()
    device = pick_device(config.device)
    attributes = readable_attributes(data, config.skip)
    if not attributes:
        raise UsageError(
            f"{data.path} has no attributes in metadata.jsonl with 2 to {MAX_VALUES} values; "
            "a recognizer needs them, as the sets of 'clipnerf data synthesize' have them"
        )
    asked = RecognizerConfig(attributes, data.size, config.width)
    task = RecognizerTraining(data, config, asked, device)
    train(task, Every())
    return task.recognizer.requires_grad_(False).eval()


class RecognizerTraining(Task):
    """The state of a recognizer's training, and its steps."""

    name, unit = "recognizer", "img"

    def __init__(
        self,
        data: PictureDataset,
        config: TrainRecognizerConfig,
        asked: RecognizerConfig,
        device: torch.device | str,
    ) -> None:
        self.data, self.config, self.device, self.each = data, config, device, config.batch
        torch.manual_seed(seed_for(config.seed, 0, 0, "recognizer"))
        self.recognizer = Recognizer(asked).to(device).train()
        self.labels = {k: rows.to(device) for k, rows in self.recognizer.labels(data).items()}
        self.optimizer = torch.optim.AdamW(
            self.recognizer.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            config.lr,
            total_steps=config.steps,
            pct_start=0.1,
            cycle_momentum=False,
        )
        self._plan = data.plan(config.batch, config.seed)

    @property
    def stages(self) -> dict[str, int]:
        """One."""
        return {"train": self.config.steps}

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """A step; nothing where no picture of the batch has attributes."""
        index = torch.tensor(next(self._plan))
        noise = torch_generator(self.config.seed, 0, number, "recognizer", self.device)
        logits = self.recognizer(augment(self.data.batch(index).to(self.device), noise))
        index = index.to(self.device)
        losses = [
            F.cross_entropy(logits[key], rows[index], ignore_index=UNKNOWN)
            for key, rows in self.labels.items()
            if bool((rows[index] != UNKNOWN).any())
        ]
        if not losses:
            return {}
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.stack(losses).sum()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss.detach() / len(losses)}

    def state(self) -> dict[str, Any]:
        """Network, optimizer and schedule."""
        parts: dict[str, Any] = {
            "model": self.recognizer,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""
        self.step, config = step, self.config
        self.recognizer.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._plan = self.data.plan(config.batch, config.seed, step)


def augment(
    pictures: Float[Tensor, "batch 3 size size"], noise: torch.Generator
) -> Float[Tensor, "batch 3 size size"]:
    """What separates a volume rendering from a ray-cast picture, and a little more.

    Mirrored, moved, turned a little and resized; blurred by as much as two pixels; sometimes seen
    at half the resolution; grain, and a change of brightness that keeps the names of colors.
    """
    batch, size = len(pictures), pictures.shape[-1]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        u = torch.rand(batch, *shape, generator=noise, device=noise.device)
        return low + (high - low) * u

    mirror = torch.where(uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
    scale, turn = uniform(0.93, 1.08), uniform(-0.03, 0.03)
    theta = torch.zeros(batch, 2, 3, device=pictures.device)
    theta[:, 0, 0], theta[:, 0, 1] = scale * mirror, turn
    theta[:, 1, 0], theta[:, 1, 1] = -turn * mirror, scale
    theta[:, :, 2] = uniform(-6 / size, 6 / size, 2)
    where = F.affine_grid(theta, [batch, 3, size, size], align_corners=False)
    # outside the picture is zero: white, while white is taken away
    pictures = 1 - F.grid_sample(1 - pictures, where, align_corners=False)
    if float(torch.rand((), generator=noise, device=noise.device)) < 0.25:
        small = F.avg_pool2d(pictures, 2)
        pictures = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    soft = F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    softer = F.avg_pool2d(soft, 3, 1, 1, count_include_pad=False)
    amount = uniform(-1.0, 2.0, 1, 1, 1)
    pictures = torch.lerp(pictures, soft, amount.clamp(0, 1))
    pictures = torch.lerp(pictures, softer, (amount - 1).clamp(0, 1))
    grain = torch.randn(pictures.shape, generator=noise, device=noise.device)
    pictures = pictures * uniform(0.96, 1.04, 1, 1, 1) + uniform(0.0, 0.04, 1, 1, 1) * grain
    return pictures.clamp(0, 1)
