"""``clipnerf train-recognizer``: a network that reads attributes off pictures."""

from __future__ import annotations

import json

from clipnerf.config.evaluation import TrainRecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.io.atomic import check_writable
from clipnerf.vision.recognizer_train import train_recognizer


def train(config: TrainRecognizerConfig) -> list[str]:
    """Trains on ``data``, writes ``out``.

    Returns:
        The accuracy on ``test``, attribute by attribute, where it is given; last the path.
    Raises:
        UsageError: no pictures, or none with attributes.
    """
    if not config.data.strip():
        raise UsageError("data is ''; allowed: a folder or zip of pictures with attributes")
    data = PictureDataset(config.data, config.size)
    test = PictureDataset(config.test, config.size) if config.test else None
    check_writable(config.out, file=True)
    recognizer = train_recognizer(data, config)
    extra, said = {"trained_on": data.fingerprint}, []
    if test is not None:
        accuracy = recognizer.accuracy(test)
        extra |= {"accuracy": json.dumps(accuracy), "tested_on": test.fingerprint}
        said = [
            f"{len(test)} held-out pictures of {config.test}, {config.size} px, share read rightly",
            *(f"{key:<12} {100 * share:5.1f} %" for key, share in accuracy.items()),
        ]
    recognizer.save(config.out, extra)
    return [*said, config.out]
