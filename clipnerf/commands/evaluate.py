"""``clipnerf evaluate``: all that is promised of a bundle, measured, as table, JSON and a page.

The protocols are in `clipnerf/evaluation`; here is what they are applied to, and in which order.
docs/evaluation.md tells what every figure means.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.editor import Editor, mapper_kinds
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.attributes import check_wishes, group_of
from clipnerf.evaluation.edits.baseline import (
    compare_with_reals,
    look_at_subjects,
    open_eyes,
    real_pictures,
)
from clipnerf.evaluation.edits.benchmark import Wish, load_wishes
from clipnerf.evaluation.edits.measure import (
    ROUTED,
    SWEPT,
    measure_kind,
    together,
    with_seconds,
)
from clipnerf.evaluation.edits.strength import STRENGTHS
from clipnerf.evaluation.generation.feature_figures import (
    TITLE,
    check_judge,
    features_absence,
    load_judge,
)
from clipnerf.evaluation.inversion import run as inversion_run
from clipnerf.evaluation.metrics.disentanglement import Disentanglement, disentanglement
from clipnerf.evaluation.report import table
from clipnerf.evaluation.report.gallery import Gallery, picks, swap_grid
from clipnerf.evaluation.report.page import page
from clipnerf.evaluation.report.prompt_table import prompt_lines
from clipnerf.evaluation.report.protocol import protocol
from clipnerf.evaluation.report.results import FORMAT, Evaluation, Network, plain
from clipnerf.evaluation.resources import GUIDE, JUDGE, Means, find_means, with_size
from clipnerf.evaluation.segmentation import run as segmentation_run
from clipnerf.evaluation.views.consistency import ViewConsistency
from clipnerf.evaluation.views.run import generated_consistency
from clipnerf.evaluation.views_of_objects import OTHER_VIEWS, VIEWS
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import atomic_write, writable_file
from clipnerf.io.provenance import provenance
from clipnerf.training.precision import pick_device
from clipnerf.training.progress import Progress
from clipnerf.vision import pretrained
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.pretrained import Absence
from clipnerf.vision.recognizer import Recognizer

STUDIED, SIDES = 16, 12
"""Objects, and views of each, of the view consistency."""
TIMED = 20
"""Edits whose median is taken."""
TIMED_SIZES = (64, 128)


@dataclass(frozen=True)
class Report:
    """What was found, and where it was written."""

    found: Evaluation
    paths: tuple[Path, Path]

    def lines(self) -> list[str]:
        """For a terminal: protocol, table, what is absent, and last the paths."""
        about = [f"{key + ':':<17}{text}" for key, text in self.found.protocol.items()]
        absent = [each.line() for each in self.found.absent]
        tables = [*table.lines(self.found), "", *prompt_lines(self.found)]
        return [*about, "", *tables, "", *absent, *map(str, self.paths)]


@dataclass(frozen=True)
class _Loaded:
    """Everything at hand, loaded and checked against each other."""

    editors: dict[str, Editor]
    generator: Generator
    clips: dict[str, Any]
    recognizer: Recognizer | None
    entangled: Generator | None
    wishes: tuple[Wish, ...]
    device: torch.device
    judge: FeatureNetwork | None


def evaluate(
    config: EvaluateConfig,
) -> Report | inversion_run.Report | segmentation_run.Report:
    """Measures, and writes evaluation.json and evaluation.html; or what --inversion and
    --segmentation write.

    Raises:
        UsageError: no bundle; a file that was given and cannot be used; wishes and a recognizer
            that do not fit; an output folder that cannot be written. Found before the work.
    """
    config.validate()
    if config.inversion:
        return inversion_run.evaluate_inversion(config)
    if config.segmentation:
        return segmentation_run.evaluate_segmentation(config)
    means = find_means(config)
    paths = _writable(config.out)
    loaded = _load(config, means)
    config = with_size(config, means.bundle)
    with real_pictures(means, config.samples_used, config.size) as reals:
        found, gallery = _measure(config, means, loaded, reals)
    with atomic_write(paths[0]) as temporary:
        content = {"format": FORMAT, **plain(found), "targets": plain(table.rows(found))}
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    with atomic_write(paths[1]) as temporary:
        temporary.write_text(page(found, gallery), encoding="utf-8")
    return Report(found, paths)


def plan(config: EvaluateConfig) -> dict[str, str]:
    """What would be measured, and what is missing; nothing is loaded or written."""
    if config.inversion:
        return inversion_run.plan(config)
    if config.segmentation:
        return segmentation_run.plan(config)
    means = find_means(config)
    wishes = load_wishes(means.wishes) if means.wishes else ()
    kinds = mapper_kinds(means.bundle)
    known = {
        "judge": means.judge,
        "recognizer": means.recognizer,
        "entangled": means.entangled,
        "wishes": f"{means.wishes} ({len(wishes)})" if means.wishes else "",
        "data": means.data or (f"{means.category}, drawn" if means.category else ""),
    }
    counts = _pictures(config, means, wishes, len(kinds))
    return {
        "bundle": str(means.bundle),
        "mappers": ", ".join(kinds) or "none",
        **{key: value for key, value in known.items() if value},
        **{f"pictures, {key}": f"{count:,}" for key, count in counts.items() if count},
        **{each.name: f"absent; {each.give}" for each in _absent(means)},
        "out": f"{config.out}/evaluation.json, evaluation.html",
    }


def _writable(out: str) -> tuple[Path, Path]:
    folder = Path(out)
    return writable_file(folder / "evaluation.json"), writable_file(folder / "evaluation.html")


def _load(config: EvaluateConfig, means: Means) -> _Loaded:
    device = pick_device(config.device)
    wishes = load_wishes(means.wishes) if means.wishes else ()
    recognizer = Recognizer.load(means.recognizer).to(device) if means.recognizer else None
    if recognizer is not None:
        check_wishes(wishes, recognizer)
    editors = {
        kind: Editor.load(means.bundle, device, mapper=kind) for kind in mapper_kinds(means.bundle)
    }
    plain_one = next(iter(editors.values()), None) or Editor.load(means.bundle, device)
    clips = {} if plain_one.clip is None else {GUIDE: plain_one.clip}
    if means.judge:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clips[JUDGE] = Clip.load(means.judge).to(device)
    entangled = None
    if means.entangled:
        entangled = Generator.load(means.entangled).to(device)
        if not entangled.field.entangled:
            raise UsageError(
                f"'{means.entangled}' is no entangled generator (conditioning is "
                f"{entangled.config.field.conditioning!r}); train one with clipnerf pretrain "
                "--generator.field.conditioning entangled"
            )
    if GUIDE not in clips:
        editors = {}
    judge = None
    if (means.data or means.category) and features_absence() is None:
        check_judge(means.bundle / "generator.safetensors")
        judge = load_judge(device)
    return _Loaded(
        editors, plain_one.generator, clips, recognizer, entangled, wishes, device, judge
    )


def _measure(
    config: EvaluateConfig, means: Means, loaded: _Loaded, real: tuple[PictureDataset, str] | None
) -> tuple[Evaluation, Gallery]:
    started = time.perf_counter()
    data, source = real or (None, "")
    generator, wishes, size = loaded.generator, loaded.wishes, config.size
    seeds = range(config.first_seed, config.first_seed + config.objects_used)
    eyes = open_eyes(
        loaded.clips, wishes, means.neutral, loaded.recognizer, loaded.device, loaded.judge
    )
    counts = _pictures(config, means, wishes, len(loaded.editors))
    with Progress(sum(counts.values()), desc="evaluate") as progress:
        on_progress = progress.update
        reals = None
        if data is not None:
            samples = config.samples_used
            reals = compare_with_reals(generator, data, eyes, samples, size, on_progress, means)
        subjects = look_at_subjects(generator, seeds, eyes, wishes, data, size, on_progress)
        measured = {
            kind: measure_kind(editor, subjects, wishes, eyes, reals, on_progress)
            for kind, editor in (loaded.editors if wishes else {}).items()
        }
        grids = {"this bundle": generator, "the entangled baseline": loaded.entangled}
        swaps = {
            name: swap_grid(some, config.first_seed, size, on_progress)
            for name, some in grids.items()
            if some is not None
        }
    kinds = {
        kind: with_seconds(figures, _seconds(loaded.editors[kind], wishes))
        for kind, (figures, _) in measured.items()
    }
    networks = _networks(means, loaded)
    found = Evaluation(
        bundle=str(means.bundle),
        category=means.category,
        networks=networks,
        protocol=protocol(config, means, networks, generator, source, wishes, subjects),
        variety=dict(reals.reports) if reals else {},
        fid=reals.fid if reals else None,
        disentanglement=disentanglement(generator, size=size),
        entangled=_disentangled(loaded.entangled, size),
        views=_views(config, loaded),
        accuracy=subjects.accuracy,
        floor=subjects.floor,
        kinds=kinds,
        absent=tuple(_absent(means)),
        provenance=provenance(config, loaded.device, started),
        features=reals.features if reals else None,
    )
    gallery = Gallery(
        real=reals.pictures[0] if reals else None,
        generated=reals.pictures[1] if reals else None,
        seeds=tuple(seeds),
        before=subjects.before.rgb[:, 0],
        kinds={kind: drawn for kind, (_, drawn) in measured.items()},
        swaps=swaps,
        picks={kind: picks(figures) for kind, figures in kinds.items()},
    )
    return found, gallery


def _disentangled(baseline: Generator | None, size: int) -> Disentanglement | None:
    return None if baseline is None else disentanglement(baseline, size=size)


def _networks(means: Means, loaded: _Loaded) -> dict[str, Network]:
    networks = {eye: Network(clip.name, clip.hash) for eye, clip in loaded.clips.items()}
    file = str(means.bundle / "generator.safetensors")
    networks["generator"] = Network(file, loaded.generator.hash)
    if loaded.recognizer is not None:
        networks["recognizer"] = Network(means.recognizer, loaded.recognizer.hash)
    if loaded.entangled is not None:
        networks["entangled"] = Network(means.entangled, loaded.entangled.hash)
    if loaded.judge is not None:
        networks["features"] = Network(f"{TITLE}, {loaded.judge.source}", loaded.judge.hash)
    return networks


def _views(config: EvaluateConfig, loaded: _Loaded) -> ViewConsistency | None:
    if GUIDE not in loaded.clips:
        return None
    objects = min(STUDIED, config.objects_used)
    return generated_consistency(
        loaded.generator, loaded.clips[GUIDE], objects, SIDES, config.size, config.first_seed
    )


def _seconds(editor: Editor, wishes: Sequence[Wish]) -> dict[int, float]:
    """Median seconds of an edit with one view, everything loaded; prompts were read before."""
    strengths = _both_codes(editor, wishes[0].prompt)
    found = {}
    for size in TIMED_SIZES:
        times = []
        for seed in range(TIMED):
            codes, prompt = editor.sample([seed]), wishes[seed % len(wishes)].prompt
            start = time.perf_counter()
            edited = editor.edit(codes, prompt, *strengths)
            view = editor.render(edited, 35, 20, size)
            view.rgb.cpu()
            times.append(time.perf_counter() - start)
        found[size] = sorted(times)[TIMED // 2]
    return found


def _both_codes(editor: Editor, prompt: str) -> tuple[float, float]:
    """Strength 1 for both codes, or for the one that the bundle has a mapper for."""
    for strengths in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0)):
        try:
            editor.edit(editor.sample([0]), prompt, *strengths)
        except UsageError:
            continue
        return strengths
    return 0.0, 0.0


def _pictures(
    config: EvaluateConfig, means: Means, wishes: Sequence[Wish], kinds: int
) -> dict[str, int]:
    """How many pictures each part renders; what the progress bar counts."""
    objects, samples = config.objects_used, config.samples_used
    clip = (means.bundle / "clip.safetensors").is_file()
    kinds = kinds if clip else 0
    read, data = bool(means.recognizer), bool(means.data or means.category)
    eye = clip or bool(means.judge) or features_absence() is None
    alike = {len(some) for some in together(wishes)} - {1} if kinds else set()
    return {
        "variety": samples if data and (eye or read) else 0,
        "unedited": objects
        * (len(VIEWS) * (1 + sum(alike)) + read * (len(OTHER_VIEWS) + len(VIEWS))),
        "edited": kinds * len(wishes) * objects * len(VIEWS),
        "strengths": kinds * len(wishes) * min(SWEPT, objects) * (len(STRENGTHS) - 2),
        "after edits": kinds * data * len({group_of(wish) for wish in wishes}) * (samples // 2),
        "routed": kinds * read * len(wishes) * min(ROUTED, objects) * len(VIEWS),
        "swapped": math.prod(Gallery.SWAPPED) * (1 + bool(means.entangled)),
    }


def _absent(means: Means) -> list[Absence]:
    each_one = (pretrained.inception_absence(), pretrained.lpips_absence(), features_absence())
    return [*means.absent, *(each for each in each_one if each is not None)]
