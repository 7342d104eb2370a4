"""A small network that reads a picture's attributes: the judge who knows the true answer.

CLIP says how well a picture fits words; on procedural categories we know what the words mean.
The recognizer is trained on pictures whose attributes are known (`recognizer_training`), and then
counts what a generator makes, and whether an edit did what it was told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from clipnerf.config.evaluation import RecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_weights, rebuilding, rebuilt, save_weights, weights_hash
from clipnerf.training.precision import network_dtype
from clipnerf.vision.conv_blocks import Residual, convolution

BATCH = 256
UNKNOWN = -100
"""Label of a picture that has no (known) value of an attribute."""


@dataclass(frozen=True)
class Readings:
    """What was read off pictures, attribute by attribute.

    index: the most probable value of each picture, as a row of ``values``.
    probability: how sure the network is of it, in [0, 1].
    values: attribute to its values.
    """

    index: dict[str, Int[Tensor, " pictures"]]
    probability: dict[str, Float[Tensor, " pictures"]]
    values: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.index.values())))

    def is_value(self, attribute: str, value: str) -> Tensor:
        """Whether each picture was read as ``value``; UsageError names an unknown one."""
        row = self.row(attribute, value)
        return self.index[attribute] == row

    def row(self, attribute: str, value: str) -> int:
        """Where ``value`` stands among the values of ``attribute``."""
        if attribute not in self.values:
            raise UsageError(
                f"the recognizer does not read {attribute!r}; it reads {', '.join(self.values)}"
            )
        if value not in self.values[attribute]:
            allowed = ", ".join(self.values[attribute])
            raise UsageError(f"{attribute} is never {value!r}; its values are {allowed}")
        return self.values[attribute].index(value)

    def shares(self) -> dict[str, dict[str, float]]:
        """Share of the pictures that were read as each value; sums to 1 an attribute."""
        return {
            attribute: {
                value: float((self.index[attribute] == row).float().mean())
                for row, value in enumerate(values)
            }
            for attribute, values in self.values.items()
        }


class Recognizer(nn.Module):
    """Pictures in, logits of every attribute out. The place of things is kept to the last layer:
    a color on the seat is another matter than the same color on the legs.

    Args:
        config: the attributes and their values, picture size, width.
    """

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        config.validate("recognizer.")
        self.config = config
        self.values = {key: tuple(values) for key, values in config.attributes.items()}
        w = config.width
        self.trunk = nn.Sequential(
            convolution(3, w, 4, 2),
            convolution(w, 2 * w, 4, 2),
            Residual(2 * w),
            convolution(2 * w, 3 * w, 4, 2),
            Residual(3 * w),
            convolution(3 * w, 2 * w, 4, 2),
        )
        self.dropout = nn.Dropout(0.1)
        cells = (config.size // 16) ** 2
        self.heads = nn.Linear(2 * w * cells, sum(len(v) for v in self.values.values()))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.heads.weight.device

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over the weights, for reports."""
        return weights_hash(dict(self.state_dict()))

    def forward(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> dict[str, Float[Tensor, "batch values"]]:
        """Logits of every attribute.

        Args:
            pictures: RGB in [0, 1] on white, square, any size.
        """
        size = self.config.size
        if pictures.shape[-2:] != (size, size):
            pictures = F.interpolate(
                pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False
            )
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        dtype = network_dtype("auto", pictures.device)
        with torch.autocast(
            pictures.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16
        ):
            # 1 - picture: the white background is zero, as the padding of the convolutions is
            features = self.trunk(2 * (1 - pictures))
            logits = self.heads(self.dropout(features.flatten(1)))
        parts = logits.float().split([len(v) for v in self.values.values()], dim=1)
        return dict(zip(self.values, parts, strict=True))

    @torch.no_grad()
    def log_chances(
        self, pictures: Float[Tensor, "pictures 3 height width"]
    ) -> dict[str, Float[Tensor, "pictures values"]]:
        """Log-probability of every value, on the CPU; by batches, wherever the weights are."""
        training = self.training
        self.eval()
        chances: dict[str, list[Tensor]] = {key: [] for key in self.values}
        for batch in pictures.split(BATCH):
            for key, logits in self(batch.to(self.device)).items():
                chances[key].append(logits.log_softmax(1).cpu())
        self.train(training)
        return {key: torch.cat(parts) for key, parts in chances.items()}

    def read(self, pictures: Float[Tensor, "pictures 3 height width"]) -> Readings:
        """The most probable value of every attribute."""
        best = {key: rows.exp().max(1) for key, rows in self.log_chances(pictures).items()}
        return Readings(
            {key: b.indices for key, b in best.items()},
            {key: b.values for key, b in best.items()},
            self.values,
        )

    def labels(self, data: PictureDataset) -> dict[str, Int[Tensor, " pictures"]]:
        """The true rows of every attribute; UNKNOWN where metadata.jsonl does not say."""
        rows = {k: {value: i for i, value in enumerate(v)} for k, v in self.values.items()}
        return {
            key: torch.tensor(
                [rows[key].get(r.attributes.get(key, ""), UNKNOWN) for r in data.records]
            )
            for key in self.values
        }

    def accuracy(
        self, data: PictureDataset, indices: Sequence[int] | None = None
    ) -> dict[str, float]:
        """Share of the pictures that are read rightly, by attribute.

        Attributes of which no picture of ``data`` has a label are left out.
        """
        index = torch.arange(len(data)) if indices is None else torch.as_tensor(indices)
        truth = {key: rows[index] for key, rows in self.labels(data).items()}
        right: dict[str, list[Tensor]] = {key: [] for key in self.values}
        for start in range(0, len(index), BATCH):
            readings = self.read(data.batch(index[start : start + BATCH]))
            for key, found in readings.index.items():
                expected = truth[key][start : start + BATCH]
                right[key].append((found == expected)[expected != UNKNOWN])
        joined = {key: torch.cat(parts) for key, parts in right.items()}
        return {key: float(hits.float().mean()) for key, hits in joined.items() if len(hits)}

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> None:
        """Write weights (half precision) and configuration as one safetensors file."""
        tensors = {
            name: t.half() if t.is_floating_point() else t for name, t in self.state_dict().items()
        }
        save_weights(
            path, tensors, kind="recognizer", config=dataclasses.asdict(self.config), extra=extra
        )

    @staticmethod
    def load(path: str | Path) -> Recognizer:
        """Read a recognizer; UsageError names a file that is missing, foreign or truncated."""
        weights = load_weights(path, "recognizer")
        with rebuilding(path):
            config = RecognizerConfig(**weights.config)
            recognizer = rebuilt(lambda: Recognizer(config), weights.tensors)
        return recognizer.requires_grad_(False).eval()
