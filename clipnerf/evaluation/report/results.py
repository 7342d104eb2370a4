"""All figures of one evaluation, as values; JSON is made of them, and the tables."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from clipnerf.evaluation.edits.attributes import Floor
from clipnerf.evaluation.edits.measure import KindFigures
from clipnerf.evaluation.generation.feature_figures import FeatureReport
from clipnerf.evaluation.generation.variety import VarietyReport
from clipnerf.evaluation.metrics.disentanglement import Disentanglement
from clipnerf.evaluation.resources import GUIDE, JUDGE
from clipnerf.evaluation.views.consistency import ViewConsistency
from clipnerf.vision.pretrained import Absence

FORMAT = 1
"""Of evaluation.json; grows when a key changes its meaning."""


@dataclass(frozen=True)
class Network:
    """What looked at the pictures: where it came from, and 16 digits over its weights."""

    name: str
    hash: str


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a bundle.

    networks: guide, judge, recognizer, generator, entangled, features: those at hand.
    protocol: what each figure is meaningless without, in words.
    variety: encoder -> figures; the key "recognizer" where there is no CLIP.
    fid: with Inception, where it is present. features: with EfficientNet-Lite2, likewise.
    views: of the bundle's generator by its own CLIP.
    accuracy: of the recognizer on real pictures, attribute by attribute.
    """

    bundle: str
    category: str
    networks: dict[str, Network]
    protocol: dict[str, str]
    variety: dict[str, VarietyReport]
    fid: float | None
    disentanglement: Disentanglement
    entangled: Disentanglement | None
    views: ViewConsistency | None
    accuracy: dict[str, float]
    floor: Floor | None
    kinds: dict[str, KindFigures]
    absent: tuple[Absence, ...]
    provenance: dict[str, Any]
    features: FeatureReport | None = None

    @property
    def same_judge(self) -> bool:
        """Whether the judge is the guide: the same weights."""
        networks = self.networks
        return {GUIDE, JUDGE} <= set(networks) and networks[GUIDE].hash == networks[JUDGE].hash

    @property
    def eyes(self) -> list[str]:
        """The encoders whose figures differ: the judge first; the guide, where it is another."""
        both = [eye for eye in (JUDGE, GUIDE) if eye in self.networks]
        return both[:1] if self.same_judge else both

    @property
    def best_eye(self) -> str:
        """The encoder whose word counts: the judge where there is one, else the guide."""
        return JUDGE if JUDGE in self.networks else GUIDE


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers as JSON knows them; what is no finite number is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
