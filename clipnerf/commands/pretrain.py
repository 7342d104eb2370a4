"""``clipnerf pretrain``: stage 1, with its variety measured at every preview."""

from __future__ import annotations

from pathlib import Path

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.evaluation.generation.variety import Variety
from clipnerf.gan import train
from clipnerf.vision.recognizer import Recognizer


def pretrain(config: PretrainConfig) -> Path:
    """Train, or resume, a conditional NeRF; see :func:`clipnerf.gan.train.pretrain`."""
    return train.pretrain(config, variety_of)


def variety_of(config: PretrainConfig, data: PictureDataset) -> Variety | None:
    """What measures the generator at every preview; None if nothing to look with is configured."""
    if not (config.metrics_clip or config.metrics_recognizer):
        return None
    clip = None
    if config.metrics_clip:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(config.metrics_clip)
    path = config.metrics_recognizer
    recognizer = Recognizer.load(path) if path else None
    return Variety(data, clip, recognizer, config.metrics_samples, train.shown_size(config))
