"""A segmenter on pictures with known masks: the paper's figures, and each phrase's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from clipnerf.data.referring import ReferringDataset
from clipnerf.segmentation.metrics import (
    THRESHOLD,
    Figures,
    figures,
    found,
    intersection_over_union,
)
from clipnerf.segmentation.segmenter import Segmenter

_PICTURES = 16


@dataclass(frozen=True)
class Measured:
    """What :func:`measure` found.

    Attributes:
        figures: of all phrases.
        by_text: phrase -> mean IoU where it names something, and how often.
    """

    figures: Figures
    by_text: Mapping[str, tuple[float, int]]


@torch.no_grad()
def measure(
    segmenter: Segmenter,
    data: ReferringDataset,
    pictures: Iterable[int],
    threshold: float = THRESHOLD,
) -> Measured:
    """Every phrase of the pictures, segmented and compared with its mask."""
    rows = list(pictures)
    ious, anything, absent = [], [], []
    by_text: dict[str, list[float]] = {}
    for start in range(0, len(rows), _PICTURES):
        some = rows[start : start + _PICTURES]
        samples = [sample for row in some for sample in data.of_picture[row]]
        if not samples:
            continue
        of = [some.index(data.samples[sample].picture) for sample in samples]
        texts = [data.samples[sample].text for sample in samples]
        batch = data.batch(some).to(segmenter.device)
        masks = found(segmenter.segment_many(batch, texts, of), threshold)
        true = data.masks(samples).to(segmenter.device) > 0.5
        iou = intersection_over_union(masks, true).cpu()
        ious.append(iou)
        anything.append(masks.flatten(1).any(1).cpu())
        absent += [data.samples[sample].absent for sample in samples]
        for text, value, sample in zip(texts, iou.tolist(), samples, strict=True):
            if not data.samples[sample].absent:
                by_text.setdefault(text, []).append(value)
    return Measured(
        figures(torch.cat(ious), torch.cat(anything), absent),
        {text: (sum(v) / len(v), len(v)) for text, v in sorted(by_text.items())},
    )
