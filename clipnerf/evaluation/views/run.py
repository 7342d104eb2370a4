"""``clipnerf study view-consistency``: pictures of objects from known sides, and what CLIP says.

The pictures come from a bundle's generator, or from a folder whose metadata.jsonl knows object and
camera of each picture. The figures are those of `evaluation/views/consistency.py`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from clipnerf.config.evaluation import ViewConsistencyConfig
from clipnerf.config.paths import bundle_path
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.records import Record, first_few
from clipnerf.errors import UsageError
from clipnerf.evaluation.views.consistency import (
    MAX_PICTURES,
    QUANTILES,
    ViewConsistency,
    angles_between,
    view_consistency,
    view_directions,
    view_pairs,
)
from clipnerf.evaluation.views.plot import view_plot
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import atomic_write, check_writable
from clipnerf.io.provenance import git_commit, versions
from clipnerf.io.sheet import save_png
from clipnerf.training.precision import pick_device
from clipnerf.training.progress import Progress
from clipnerf.vision.features import BATCH, as_8_bit, image_features

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

OBJECTS, VIEWS = 32, 24
"""Objects of a generator, and views of each, where none are asked for."""
HEIGHTS = (1 / 6, 3 / 6, 5 / 6)
"""Elevations that rendered views take in turn, as shares of the generator's own range."""
RENDERED_SIZE = 128
NEEDED = ("object_id", "azimuth_deg", "elevation_deg")


@dataclass(frozen=True)
class Views:
    """Pictures as CLIP sees them.

    objects: index of the object each shows. directions: unit vectors to the cameras.
    about: where they come from, for the report.
    """

    features: Float[Tensor, "pictures embed"]
    objects: Int64[Tensor, " pictures"]
    directions: Float[Tensor, "pictures 3"]
    about: dict[str, Any]


@dataclass(frozen=True)
class StudyReport:
    """What was looked at, the figures, and where they were written."""

    about: dict[str, Any]
    figures: ViewConsistency
    paths: tuple[Path, Path]

    def lines(self) -> list[str]:
        """For a terminal: the protocol, the tables, and last the paths."""
        protocol = [f"{key + ':':<15}{_short(value)}" for key, value in self.about.items()]
        return [*protocol, "", *self.figures.lines(), "", *map(str, self.paths)]


def study_view_consistency(config: ViewConsistencyConfig) -> StudyReport:
    """Measures, and writes view-consistency.json and view-consistency.png.

    Raises:
        UsageError: no bundle or CLIP; a folder whose metadata.jsonl lacks object or camera; too few
            objects or views; an output folder that cannot be written.
    """
    config.validate()
    folder = Path(config.out)
    check_writable(folder, file=False)
    device = pick_device(config.device)
    from clipnerf.clip.model import Clip  # open_clip takes seconds to import

    clip = Clip.load(config.clip or bundle_path(config.bundle)).to(device)
    views = _photographed(config, clip) if config.data else _rendered(config, clip)
    pairs = view_pairs(views.features, views.objects, views.directions, config.same_view_deg)
    figures = view_consistency(pairs, seed=config.seed)
    about = {
        "clip": f"{clip.name} ({clip.hash})",
        **views.about,
        "same view": f"directions at most {config.same_view_deg:g}° apart",
        "bootstrap": f"{figures.resamples} draws of the objects, seed {config.seed}",
    }
    content = {
        "study": "view-consistency",
        "about": about,
        "quantiles": QUANTILES,
        **asdict(figures),
        "config": asdict(config),
        "versions": versions(),
        "commit": git_commit(),
    }
    path = folder / "view-consistency.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    plot = save_png(folder / "view-consistency.png", view_plot(pairs.near, pairs.far, figures))
    return StudyReport(about, figures, (path, plot))


def generated_consistency(
    generator: Generator, clip: Clip, objects: int, views: int, size: int, seed: int
) -> ViewConsistency:
    """The study's figures of a generator's objects; as ``study_view_consistency``, unwritten."""
    features, shown, directions, _ = _look_around(generator, clip, objects, views, size, seed)
    return view_consistency(view_pairs(features, shown, directions))


@torch.no_grad()
def _look_around(
    generator: Generator, clip: Clip, objects: int, views: int, size: int, seed: int
) -> tuple[Tensor, Tensor, Tensor, str]:
    """Objects by their seeds, all seen by the same cameras: once around, up and down.

    Returns:
        embeddings, the object of each, directions of the cameras; and the elevations in words.
    """
    prior = generator.config.camera
    around = torch.arange(views) / views
    # As in the prior, which knows nothing of the front that was found afterwards.
    azimuths = prior.azimuth_min_deg + around * (prior.azimuth_max_deg - prior.azimuth_min_deg)
    heights = torch.tensor([HEIGHTS[view % len(HEIGHTS)] for view in range(views)])
    low, high = prior.elevation_min_deg, prior.elevation_max_deg
    elevations = low + heights * (high - low)
    camera = generator.camera(azimuths - generator.config.front_azimuth_deg, elevations, size)
    codes = Codes.from_seeds(range(seed, seed + objects), generator.config.field.code_dim)
    features = []
    with Progress(objects * views, desc="render") as progress:
        # object by object: the empty space of one is then found once for all its views
        for each in range(objects):
            pictures = generator.render(codes[[each] * views], camera, precision="auto").rgb
            features.append(image_features(clip, as_8_bit(pictures)))
            progress.update(views)
    return (
        torch.cat(features),
        torch.arange(objects).repeat_interleave(views),
        view_directions(azimuths, elevations).repeat(objects, 1),
        f"{low + (high - low) * HEIGHTS[0]:.0f} to {low + (high - low) * HEIGHTS[-1]:.0f} degrees",
    )


def _rendered(config: ViewConsistencyConfig, clip: Clip) -> Views:
    file = bundle_path(config.bundle) / "generator.safetensors"
    generator = Generator.load(file).to(clip.device)
    objects, views = config.objects or OBJECTS, config.views or VIEWS
    _check_count(objects * views)
    size = config.size or min(max(clip.preprocess.size), RENDERED_SIZE)
    features, shown, directions, elevations = _look_around(
        generator, clip, objects, views, size, config.seed
    )
    return Views(
        features=features,
        objects=shown,
        directions=directions,
        about={
            "pictures": f"{objects * views} of {size} px, rendered by {file} ({generator.hash})",
            "objects": f"{objects}, seeds {config.seed} to {config.seed + objects - 1}",
            "views": f"{views} of each, elevations {elevations}",
        },
    )


def _photographed(config: ViewConsistencyConfig, clip: Clip) -> Views:
    """Pictures of a folder, all of them or some drawn by the seed."""
    size = config.size or max(clip.preprocess.size)
    data = PictureDataset(config.data, size).to(clip.device)
    _check_metadata(data)
    directions = view_directions(*_angles(data.records))
    rows = _drawn(data.records, directions, config)
    _check_count(len(rows))
    parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    names, objects = np.unique([str(data.records[row].object_id) for row in rows], False, True)
    counts = np.bincount(objects)
    least, most = int(counts.min()), int(counts.max())
    drawn = f", drawn by seed {config.seed}" if len(rows) < len(data) else ""
    return Views(
        features=torch.cat([image_features(clip, data.batch(part)) for part in parts]),
        objects=torch.from_numpy(objects),
        directions=directions[rows],
        about={
            "pictures": f"{len(rows)} of {len(data)}, {size} px, in {data.path} "
            f"({data.fingerprint}){drawn}",
            "objects": f"{len(names)}: {', '.join(names)}",
            "views": f"{most} of each" if most == least else f"{least} to {most} of each",
        },
    )


def _check_metadata(data: PictureDataset) -> None:
    missing = [key for key in NEEDED if any(getattr(r, key) is None for r in data.records)]
    if missing:
        names = [r.file_name for r in data.records if any(getattr(r, k) is None for k in missing)]
        raise UsageError(
            f"{len(names)} of {len(data)} pictures in {data.path} have no {' or '.join(missing)}: "
            f"{first_few(names)}; the study needs {', '.join(NEEDED)} of every picture in "
            "metadata.jsonl"
        )


def _angles(records: list[Record]) -> list[Float[Tensor, " pictures"]]:
    keys = ("azimuth_deg", "elevation_deg")
    return [torch.tensor([float(getattr(r, key)) for r in records]) for key in keys]


def _drawn(
    records: list[Record], directions: Float[Tensor, "pictures 3"], config: ViewConsistencyConfig
) -> list[int]:
    """Rows of the pictures of some objects, from about the same sides.

    The sides are those of pictures drawn at random; each object gives the picture nearest to each
    of them, so that it is the very same view wherever the folder has it.
    """
    draw = np.random.RandomState(config.seed)
    names = sorted({str(record.object_id) for record in records})
    if config.objects:
        names = sorted(draw.permutation(names)[: config.objects].tolist())
    by_object = {name: [i for i, r in enumerate(records) if r.object_id == name] for name in names}
    rows = [row for some in by_object.values() for row in some]
    if not config.views:
        return rows
    sides: list[int] = []
    for row in draw.permutation(rows).tolist():
        candidates = directions[[row, *sides]]
        if (angles_between(candidates)[0, 1:] > config.same_view_deg).all():
            sides.append(row)
        if len(sides) == config.views:
            break
    kept: list[int] = []
    for some in by_object.values():
        nearest = (directions[sides] @ directions[some].mT).argmax(1)
        kept.extend(sorted({some[place] for place in nearest.tolist()}))
    return kept


def _check_count(pictures: int) -> None:
    if pictures > MAX_PICTURES:
        raise UsageError(
            f"{pictures} pictures are too many to compare all pairs; allowed: up to "
            f"{MAX_PICTURES}; give fewer --objects or --views"
        )


def _short(text: str, width: int = 160) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
