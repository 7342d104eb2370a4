"""Objects read from several sides by the recognizer, and what stayed as it was.

A recognizer reads soft pictures with slips, and a slip looks like a leak. So each object is read
from several views whose log-probabilities are averaged; of its attributes only those count as
"others" that were read confidently before the edit; and the floor says how many of them are read
otherwise where nothing that they name was changed at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.vision.recognizer import Readings, Recognizer

CONFIDENT = 0.8
"""Least mean probability of an attribute that counts as read before the edit."""


@dataclass(frozen=True)
class ObjectReadings:
    """What was read off some objects.

    pictures: of every single picture, the views of an object one after another.
    objects: of every object; the most probable value by the mean log-probability over its views,
        and the mean probability of that value.
    chances: mean probability of every value of every attribute.
    views: pictures of an object.
    """

    pictures: Readings
    objects: Readings
    chances: dict[str, Float[Tensor, "objects values"]]
    views: int

    def __len__(self) -> int:
        return len(self.objects)

    def first(self, count: int) -> ObjectReadings:
        """The first so many objects alone."""
        return ObjectReadings(
            _first(self.pictures, count * self.views),
            _first(self.objects, count),
            {key: rows[:count] for key, rows in self.chances.items()},
            self.views,
        )


@dataclass(frozen=True)
class Stayed:
    """Attributes that are read as before.

    share: of all attributes of all objects that count; NaN where none does.
    counted: share of them that count, in [0, 1].
    by_attribute: the share attribute by attribute; NaN where none counts.
    """

    share: float
    counted: float
    by_attribute: dict[str, float]


def read_objects(
    recognizer: Recognizer, pictures: Float[Tensor, "objects views 3 height width"]
) -> ObjectReadings:
    """Reads every picture, and every object by all its pictures together."""
    count, views = pictures.shape[:2]
    logs = recognizer.log_chances(pictures.flatten(0, 1))
    single = {key: rows.exp().max(1) for key, rows in logs.items()}
    by_object = {key: rows.unflatten(0, (count, views)) for key, rows in logs.items()}
    index = {key: rows.mean(1).argmax(1) for key, rows in by_object.items()}
    chances = {key: rows.exp().mean(1) for key, rows in by_object.items()}
    return ObjectReadings(
        pictures=Readings(
            {key: best.indices for key, best in single.items()},
            {key: best.values for key, best in single.items()},
            recognizer.values,
        ),
        objects=Readings(
            index,
            {key: chances[key].gather(1, rows[:, None])[:, 0] for key, rows in index.items()},
            recognizer.values,
        ),
        chances=chances,
        views=views,
    )


def stayed(
    before: Readings, after: Readings, attributes: Collection[str], least: float | int = CONFIDENT
) -> Stayed:
    """How many of some attributes are read as before.

    Args:
        attributes: those to compare.
        least: probability with which one has to be read before to count; 0: all count.
    """
    same: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for key in attributes:
        counts[key] = before.probability[key] >= least
        same[key] = (before.index[key] == after.index[key])[counts[key]].float()
    if not same:
        return Stayed(float("nan"), float("nan"), {})
    return Stayed(
        share=float(torch.cat(list(same.values())).mean()),
        counted=float(torch.cat(list(counts.values())).float().mean()),
        by_attribute={key: float(rows.mean()) for key, rows in same.items()},
    )


def _first(readings: Readings, count: int) -> Readings:
    return Readings(
        {key: rows[:count] for key, rows in readings.index.items()},
        {key: rows[:count] for key, rows in readings.probability.items()},
        readings.values,
    )
