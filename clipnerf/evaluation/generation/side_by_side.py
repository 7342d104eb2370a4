"""Several generators beside the same real pictures, with the figures of other reals as the floor.

How crisp, how near in the features of a network that no training has seen, and which values a
recognizer reads less than half as often as on real pictures: one table, for whoever chooses among
generators. What is not at hand (weights, recognizer) has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.generation.feature_figures import (
    NAMES,
    TITLE,
    FeatureFigures,
    FeatureMeasure,
    check_judge,
)
from clipnerf.evaluation.generation.variety import FIRST_SEED, LEAST_SAMPLES, VarietyReport
from clipnerf.evaluation.generation.views_with_opacity import (
    drawn_views,
    estimated_coverage,
    generated_views,
)
from clipnerf.evaluation.metrics.crispness import Crispness, Views, crispness
from clipnerf.evaluation.views_of_objects import OnProgress, nobody
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.recognizer import Recognizer

CRISP = {
    "half_transparent": "half-transparent share of pixels",
    "edge_width": "silhouettes, 10 to 90 %, px",
    "whole_edges": "  share of edges that have a width",
    "smoke": "share of pictures with smoke",
    "detail": "fine detail inside, mean square x 1000",
    "see_through": "see-through share of deep pixels",
}


@dataclass(frozen=True)
class RealPair:
    """Real pictures that all are measured against, and others of the same kind for the floor.

    source: where both come from, and how their coverage is known, in words.
    """

    reals: Views
    others: Views
    source: str


RealsFor = Callable[[float], RealPair]
"""The real pictures for a field of view, degrees."""


@dataclass(frozen=True)
class Column:
    """The figures of one generator, or of the other real pictures.

    over_reals: the crispness over the reals', figure by figure.
    below_half: attribute and value -> share over the reals', where it is less than half; None
        without a recognizer.
    about: what the figures are meaningless without.
    """

    name: str
    crisp: Crispness
    over_reals: dict[str, float | None]
    features: FeatureFigures | None
    below_half: dict[str, float] | None
    about: dict[str, Any]


class SideBySide:
    """Measures views one after the other; the reals are looked at once for each field of view.

    Args:
        reals_for: draws or reads the real pictures.
        network: from ``load_judge``; no figures of features where None.
        recognizer: no shares where None.
    """

    def __init__(
        self,
        reals_for: RealsFor,
        network: FeatureNetwork | None = None,
        recognizer: Recognizer | None = None,
    ) -> None:
        self._reals_for, self._network, self._recognizer = reals_for, network, recognizer
        self._seen: dict[float, _Reals] = {}

    def floor(self, fov_deg: float) -> Column:
        """Of the other reals."""
        reals = self._reals(fov_deg)
        others = reals.pair.others
        about = {"source": reals.pair.source, "fov_deg": fov_deg, "pictures": len(others)}
        return reals.column("other reals", others, about)

    def measure(
        self,
        name: str,
        file: Path,
        samples: int,
        size: int,
        ray_samples: int | None = None,
        device: torch.device | str = "cpu",
        on_progress: OnProgress = nobody,
        codes: Codes | None = None,
    ) -> Column:
        """Of a generator's objects of the seeds from 100000 on, before cameras of its prior.

        Args:
            codes: other objects, in the place of those of the seeds.
            ray_samples: samples a ray; those of the generator's finished pictures where None.

        Raises:
            UsageError: no generator, or one that was trained against ``network``.
        """
        if self._network is not None:
            check_judge(file, self._network.name)
        generator = Generator.load(file).to(device)
        reals = self._reals(generator.config.camera.fov_deg)
        seeds = None
        if codes is None:
            seeds = [FIRST_SEED, FIRST_SEED + samples - 1]
            codes = Codes.from_seeds(range(seeds[0], seeds[1] + 1), generator.config.field.code_dim)
        rays = ray_samples or generator.config.render_samples
        about = {
            "file": str(file),
            "hash": generator.hash,
            "seeds": seeds,
            "size": size,
            "ray_samples": rays,
            "fov_deg": generator.config.camera.fov_deg,
        }
        return reals.column(
            name, generated_views(generator, codes, size, rays, on_progress=on_progress), about
        )

    def _reals(self, fov_deg: float) -> _Reals:
        if fov_deg not in self._seen:
            pair = self._reals_for(fov_deg)
            self._seen[fov_deg] = _Reals(pair, self._network, self._recognizer)
        return self._seen[fov_deg]


class _Reals:
    """Real pictures of one field of view, looked at once."""

    def __init__(
        self, pair: RealPair, network: FeatureNetwork | None, recognizer: Recognizer | None
    ) -> None:
        self.pair, self._recognizer = pair, recognizer
        self._crisp = crispness(pair.reals)
        self._features = None if network is None else FeatureMeasure(network, pair.reals.rgb)
        self._shares = None if recognizer is None else recognizer.read(pair.reals.rgb).shares()

    def column(self, name: str, views: Views, about: dict[str, Any]) -> Column:
        crisp = crispness(views)
        return Column(
            name=name,
            crisp=crisp,
            over_reals=crisp.over(self._crisp),
            features=None if self._features is None else self._features.figures(views.rgb),
            below_half=self._rare(views),
            about=about,
        )

    def _rare(self, views: Views) -> dict[str, float] | None:
        if self._recognizer is None or self._shares is None:
            return None
        made = self._recognizer.read(views.rgb).shares()
        shares = {
            key: {value: (share, made[key][value]) for value, share in values.items()}
            for key, values in self._shares.items()
        }
        report = VarietyReport(None, None, None, None, None, None, shares, {})
        return {f"{key} {value}": report.ratio(key, value) for key, value in report.below_half}


def drawn_pair(
    category: str, samples: int, size: int, seeds: tuple[int, int], on_progress: OnProgress = nobody
) -> RealsFor:
    """Procedural objects, redrawn with their coverage; the seeds of the reals and of the others."""

    def reals_for(fov_deg: float) -> RealPair:
        reals, others = (
            drawn_views(category, samples, size, seed, fov_deg, on_progress) for seed in seeds
        )
        source = (
            f"{samples} {category} drawn with seed {seeds[0]}, the others with seed {seeds[1]}; "
            "coverage counted off masks three times as large"
        )
        return RealPair(reals, others, source)

    return reals_for


def read_pair(data: PictureDataset, samples: int) -> RealsFor:
    """Two halves of a set of pictures on white, at most ``samples`` each; coverage is guessed."""
    count = min(samples, len(data) // 2)
    if count < LEAST_SAMPLES:
        raise UsageError(
            f"{data.path} holds {len(data)} pictures; at least {2 * LEAST_SAMPLES} are needed, for "
            "reals and a floor of other reals"
        )
    # RandomState's stream is frozen: the same pictures with every version of NumPy
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(data)))
    halves = [order[:count].sort().values, order[count : 2 * count].sort().values]
    pictures = [data.batch(half).cpu() for half in halves]
    reals, others = (Views(rgb, estimated_coverage(rgb)) for rgb in pictures)
    source = (
        f"{count} pictures of {data.path} ({data.fingerprint}) and as many others; COVERAGE "
        "ESTIMATED from the white background"
    )
    return lambda fov_deg: RealPair(reals, others, source)


def table(columns: Sequence[Column]) -> list[str]:
    """Lines for a terminal; in brackets the figure over the reals'."""
    rows = [(title, [_crisp(each, key) for each in columns]) for key, title in CRISP.items()]
    if any(each.features is not None for each in columns):
        for key, title in NAMES.items():
            rows.append((f"{title}, {TITLE}", [_feature(each, key) for each in columns]))
    if any(each.below_half is not None for each in columns):
        title = "values below half of the reals' share"
        rows.append((title, [str(len(each.below_half or ())) for each in columns]))
    first = max(len(title) for title, _ in rows) + 2
    width = max(16, *(len(each.name) + 2 for each in columns))
    lines = [" " * first + "".join(f"{each.name:>{width}}" for each in columns)]
    for title, cells in rows:
        lines.append(f"{title:<{first}}" + "".join(f"{cell:>{width}}" for cell in cells))
    for each in columns:
        if each.below_half:
            named = ", ".join(f"{value} ({ratio:.2f})" for value, ratio in each.below_half.items())
            lines.append(f"below half, {each.name}: {named}")
    return lines


def _crisp(column: Column, key: str) -> str:
    value, ratio = getattr(column.crisp, key), column.over_reals[key]
    if value is None:
        return "–"
    said = f"{value * (1000 if key == 'detail' else 1):.3f}"
    return said if ratio is None or ratio >= 100 else f"{said} ({ratio:.2f})"


def _feature(column: Column, key: str) -> str:
    if column.features is None:
        return "–"
    return f"{getattr(column.features, key):.{1 if key == 'frechet' else 3}f}"


def named_files(given: Sequence[str]) -> Mapping[str, Path]:
    """Generators by the names of their columns.

    Args:
        given: bundles' folders or generator files, each as PATH or NAME=PATH.

    Raises:
        UsageError: two of one name.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.rpartition("=")
        file = Path(path)
        name = name if equals else file.stem if file.suffix == ".safetensors" else file.name
        if name in found:
            raise UsageError(f"two generators are called {name!r}; give one as NAME={path}")
        found[name] = file / "generator.safetensors" if file.is_dir() else file
    return found
