"""How much of the data's variety a generator covers, measured alike during training and after.

Views of one question. In CLIP features: is every real picture near some generated one (recall,
coverage), is every generated picture near some real one (precision, density)? The same in the
features of a network that no training has seen. By a recognizer: how often does each color and
each part come, beside the data? A value that comes less than half as often as in the data is named:
what the generator has dropped no edit can reach.

Imports nothing of the trainings; one that is given it (`commands/pretrain.py`) calls it at every
preview.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.generation.feature_figures import TITLE, FeatureMeasure, FeatureReport
from clipnerf.evaluation.generation.views_with_opacity import generated_views
from clipnerf.evaluation.metrics.distributions import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from clipnerf.evaluation.views_of_objects import OnProgress, nobody
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.training.precision import network_dtype
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.features import ImageEncoder, as_8_bit, image_features
from clipnerf.vision.recognizer import Readings, Recognizer

FIRST_SEED = 100_000
"""Objects are measured by the seeds from here on: not those that people look at."""
LEAST_SAMPLES = 8
Shares = dict[str, dict[str, tuple[float, float]]]


@dataclass(frozen=True)
class VarietyReport:
    """Figures of one generator. Those in CLIP features are None without a CLIP.

    shares: attribute -> value -> (share in the data, share in the generated), read by the same
        recognizer, so that its slips are in both; empty without a recognizer.
    protocol: numbers of pictures, size, seeds and models: what a figure is meaningless without.
    features: by the network that no training has seen, where one was given.
    """

    fd_clip: float | None
    kd: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    shares: Shares
    protocol: dict[str, Any]
    features: FeatureReport | None = None

    def ratio(self, attribute: str, value: str) -> float:
        """Generated share over the data's; 1 where the data has none."""
        data, generated = self.shares[attribute][value]
        return generated / data if data > 0 else 1.0

    @property
    def below_half(self) -> list[tuple[str, str]]:
        """(attribute, value) that come less than half as often as in the data, rarest first."""
        pairs = [(key, value) for key, values in self.shares.items() for value in values]
        rare = [pair for pair in pairs if self.ratio(*pair) < 0.5]
        return sorted(rare, key=lambda pair: self.ratio(*pair))

    def scalars(self) -> dict[str, float]:
        """Numbers for a curve: the metrics; the smallest ratio; how many values are below half;
        the total variation between the shares, averaged over attributes (0 equal, 1 disjoint)."""
        names = ("fd_clip", "kd", "precision", "recall", "density", "coverage")
        found = {name: getattr(self, name) for name in names}
        numbers = {name: value for name, value in found.items() if value is not None}
        if self.features is not None:
            numbers |= self.features.scalars()
        if self.shares:
            ratios = [self.ratio(key, value) for key in self.shares for value in self.shares[key]]
            gaps = [
                sum(abs(data - generated) for data, generated in values.values()) / 2
                for values in self.shares.values()
            ]
            numbers["share_ratio_min"] = min(ratios)
            numbers["values_below_half"] = float(len(self.below_half))
            numbers["share_gap"] = sum(gaps) / len(gaps)
        return numbers

    def lines(self) -> list[str]:
        """A table for a terminal; shares in percent, data then generated; ! is below half."""
        p = self.protocol
        lines = [
            f"{p['samples']} generated and {p['reals']} real pictures, {p['size']} px, "
            f"{p['ray_samples']} samples a ray, seeds from {p['first_seed']}"
        ]
        if self.fd_clip is not None:
            lines += [
                f"features {p['clip']}",
                f"FD-CLIP {self.fd_clip:.4f}  KD-CLIP {self.kd:.4f}  "
                f"precision {self.precision:.3f}  recall {self.recall:.3f}  "
                f"density {self.density:.3f}  coverage {self.coverage:.3f}",
            ]
        if self.features is not None:
            lines += self.features.lines()
        for key, values in self.shares.items():
            cells = [
                f"{value} {100 * data:.1f}/{100 * made:.1f}"
                + ("!" if (key, value) in self.below_half else "")
                for value, (data, made) in values.items()
            ]
            lines.append(f"{key:<12} " + "  ".join(cells))
        if self.shares:
            rare = [f"{k} {v} ({self.ratio(k, v):.2f})" for k, v in self.below_half]
            lines.append("below half of the data's share: " + (", ".join(rare) or "none"))
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return dataclasses.asdict(self) | {"below_half": self.below_half, **self.scalars()}


class Variety:
    """Measures generators against one set of pictures, whose features are computed once.

    Args:
        data: real pictures; a fixed random choice of ``samples`` of them is used, all if fewer.
        clip: its features give the distances; none where None.
        recognizer: reads the shares; none where None.
        samples: generated pictures, 1000 as a rule: metrics of other numbers do not compare.
        size: pixels at which both are seen; smaller is quicker.
        ray_samples: samples a ray; the generator's training value where None.
        judge: its features give the figures of :mod:`feature_figures`, and the floor by those
            pictures of ``data`` that are not used as reals; none where None. It sees 260 pixels,
            and so costs about as much as the rendering.

    Raises:
        UsageError: nothing to look with, or too few samples.
    """

    def __init__(
        self,
        data: PictureDataset,
        clip: ImageEncoder | None,
        recognizer: Recognizer | None,
        samples: int = 1000,
        size: int = 64,
        *,
        ray_samples: int | None = None,
        judge: FeatureNetwork | None = None,
    ) -> None:
        if clip is None and recognizer is None and judge is None:
            raise UsageError("variety needs a CLIP model, a recognizer or both to look with")
        if min(samples, len(data)) < LEAST_SAMPLES:
            raise UsageError(
                f"variety of {samples} samples beside {len(data)} pictures of {data.path}; "
                f"at least {LEAST_SAMPLES} of each are needed"
            )
        self.clip, self.recognizer, self.judge = clip, recognizer, judge
        self.samples, self.size, self.ray_samples = samples, size, ray_samples
        # RandomState's stream is frozen: the same pictures with every version of NumPy
        order = np.random.RandomState(0).permutation(len(data))
        self._index = torch.from_numpy(np.sort(order[:samples]))
        self._others = torch.from_numpy(np.sort(order[samples : 2 * samples]))
        self._data = data
        self._reals: tuple[Tensor | None, Readings | None] | None = None
        self._judged: FeatureMeasure | None = None

    def measure(
        self,
        generator: Generator,
        pictures: Float[Tensor, "samples 3 size size"] | None = None,
    ) -> VarietyReport:
        """Figures of ``generator``, whose weights and random state are left as they are.

        Args:
            pictures: what ``generated`` gave, where it is at hand already.
        """
        real_features, real_readings = self._look_at_reals()
        pictures = self.generated(generator) if pictures is None else pictures
        features, readings = self._look(pictures)
        figures: dict[str, float | None] = dict.fromkeys(
            ("fd_clip", "kd", "precision", "recall", "density", "coverage")
        )
        if features is not None and real_features is not None:
            figures["fd_clip"] = frechet_distance(real_features, features)
            figures["kd"] = kernel_distance(real_features, features, gamma=1.0)
            figures |= dataclasses.asdict(precision_recall(real_features, features))
            figures |= dataclasses.asdict(density_coverage(real_features, features))
        shares: Shares = {}
        if readings is not None and real_readings is not None:
            made = readings.shares()
            for key, values in real_readings.shares().items():
                shares[key] = {value: (data, made[key][value]) for value, data in values.items()}
        if self.judge is not None and self._judged is None:
            self._judged = FeatureMeasure(self.judge, self.real(), self.others())
        return VarietyReport(
            **figures,
            shares=shares,
            protocol=self._protocol(generator),
            features=self._judged.measure(pictures) if self._judged is not None else None,
        )

    def generated(
        self, generator: Generator, codes: Codes | None = None, on_progress: OnProgress = nobody
    ) -> Float[Tensor, "pictures 3 size size"]:
        """The pictures that are judged: fixed seeds, cameras from the generator's prior.

        Args:
            codes: what is to stand before the first so many cameras in the place of ``objects``.
        """
        codes = self.objects(generator) if codes is None else codes
        samples = self._ray_samples(generator)
        return generated_views(generator, codes, self.size, samples, self.samples, on_progress).rgb

    def objects(self, generator: Generator, count: int | None = None) -> Codes:
        """The first ``count`` of the objects that are judged; all where None."""
        seeds = range(FIRST_SEED, FIRST_SEED + (self.samples if count is None else count))
        return Codes.from_seeds(seeds, generator.config.field.code_dim)

    def real(self) -> Float[Tensor, "reals 3 size size"]:
        """The pictures beside them. Another size is sampled as the generator samples its rays."""
        return self._sized(self._index)

    def others(self) -> Float[Tensor, "others 3 size size"] | None:
        """As many real pictures again, none of them in ``real``; None where too few are left."""
        if len(self._others) < LEAST_SAMPLES:
            return None
        return self._sized(self._others)

    def _sized(self, index: Tensor) -> Tensor:
        pictures = self._data.batch(index).cpu()
        if self._data.size == self.size:
            return pictures
        return as_8_bit(Patches.whole(len(pictures)).crop(pictures, self.size))

    def _look_at_reals(self) -> tuple[Tensor | None, Readings | None]:
        if self._reals is None:
            self._reals = self._look(self.real())
        return self._reals

    def _look(self, pictures: Tensor) -> tuple[Tensor | None, Readings | None]:
        features = None
        if self.clip is not None:
            features = image_features(self.clip, pictures)
        readings = self.recognizer.read(pictures) if self.recognizer is not None else None
        return features, readings

    def _ray_samples(self, generator: Generator) -> int:
        return self.ray_samples or generator.config.samples

    def _protocol(self, generator: Generator) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "reals": len(self._index),
            "size": self.size,
            "ray_samples": self._ray_samples(generator),
            "precision": str(network_dtype("auto", generator.device)).removeprefix("torch."),
            "first_seed": FIRST_SEED,
            "data": self._data.fingerprint,
            "generator": generator.hash,
            "clip": f"{self.clip.name} ({self.clip.hash})" if self.clip is not None else None,
            "recognizer": self.recognizer.hash if self.recognizer is not None else None,
            "features": f"{TITLE} ({self.judge.hash})" if self.judge is not None else None,
        }
