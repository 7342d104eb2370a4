"""All figures of one evaluation, as values; JSON is made of them, and the tables."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from clipnerf.evaluation.clip_edits import ClipFigures
from clipnerf.evaluation.disentanglement import Disentanglement
from clipnerf.evaluation.edit_distance import DistanceAfterEdits
from clipnerf.evaluation.edits import Floor, GroupMeans, WishResult
from clipnerf.evaluation.feature_figures import FeatureReport
from clipnerf.evaluation.means import Absence
from clipnerf.evaluation.strength import Steadiness
from clipnerf.evaluation.variety import VarietyReport
from clipnerf.evaluation.view_consistency import ViewConsistency

FORMAT = 1
"""Of evaluation.json; grows when a key changes its meaning."""
GUIDE, JUDGE = "guide", "judge"


@dataclass(frozen=True)
class Network:
    """What looked at the pictures: where it came from, and 16 digits over its weights."""

    name: str
    hash: str


@dataclass(frozen=True)
class Routing:
    """Edits with the editor's own strengths, on the first objects; explicit: the same objects with
    the strengths of the wishes. Means over the wishes of each group."""

    objects: int
    by_default: dict[str, GroupMeans]
    explicit: dict[str, GroupMeans]
    by_prompt: dict[str, tuple[float, float]]
    """Prompt -> (has what is wanted, others kept) by default."""


@dataclass(frozen=True)
class KindFigures:
    """Edits by one kind of mapper. What could not be measured is empty or None.

    silhouette_iou: smallest of all objects and wishes that move appearance alone.
    opacity_equal: whether no bit of opacity differed under them.
    palette_distance: mean under wishes that move shape alone.
    strength, distances: encoder -> prompt or group -> figures.
    seconds: picture size -> median seconds of an edit with one view.
    left_out: wishes that this kind cannot make, and why.
    lpips: group -> mean distance before to after.
    """

    results: tuple[WishResult, ...] = ()
    groups: dict[str, GroupMeans] = dataclasses.field(default_factory=dict)
    words: dict[str, ClipFigures] = dataclasses.field(default_factory=dict)
    strength: dict[str, dict[str, Steadiness]] = dataclasses.field(default_factory=dict)
    distances: dict[str, dict[str, DistanceAfterEdits]] = dataclasses.field(default_factory=dict)
    silhouette_iou: float | None = None
    opacity_equal: bool | None = None
    palette_distance: float | None = None
    routing: Routing | None = None
    seconds: dict[int, float] = dataclasses.field(default_factory=dict)
    lpips: dict[str, float] = dataclasses.field(default_factory=dict)
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a bundle.

    networks: guide, judge, recognizer, generator, entangled, features: those at hand.
    protocol: what each figure is meaningless without, in words.
    variety: encoder -> figures; the key "recognizer" where there is no CLIP.
    fid: with Inception, where it is present. features: with EfficientNet-Lite2, likewise.
    views: of the bundle's generator by its own CLIP.
    accuracy: of the recogniser on real pictures, attribute by attribute.
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
        return (
            {GUIDE, JUDGE} <= set(networks) and networks[GUIDE].hash == networks[JUDGE].hash
        )

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
