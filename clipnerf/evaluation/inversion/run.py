"""``clipnerf evaluate --inversion``: photos in, and how well they come out; as table, JSON, sheets.

The protocol is in ``protocol.py`` beside this file; docs/inversion.md tells what came out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.config.inversion import InversionConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.editor import Editor
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.baseline import real_pictures
from clipnerf.evaluation.inversion.front_reader import LEAST_PICTURES, train_front_reader
from clipnerf.evaluation.inversion.protocol import (
    InversionRow,
    Photos,
    generated_photos,
    lines,
    measure_inversion,
    methods,
    real_photos,
)
from clipnerf.evaluation.report.results import FORMAT, plain
from clipnerf.evaluation.resources import GUIDE, JUDGE, Means, find_means, with_size
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import FILE_NAME as ENCODER
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.perceptual import named, perception
from clipnerf.io.atomic import atomic_write, check_writable
from clipnerf.io.provenance import provenance
from clipnerf.io.sheet import contact_sheet, save_png
from clipnerf.training.precision import pick_device
from clipnerf.vision.features import ImageEncoder
from clipnerf.vision.pretrained import load_lpips, lpips_absence

SHEET_COLUMNS = 12
"""Pictures of a set that are shown, the first ones."""


@dataclass(frozen=True)
class Report:
    """What was found, and where it was written."""

    rows: tuple[InversionRow, ...]
    protocol: dict[str, str]
    paths: tuple[Path, ...]

    def lines(self) -> list[str]:
        """For a terminal: protocol, table, paths."""
        about = [f"{key + ':':<17}{text}" for key, text in self.protocol.items()]
        return [*about, "", *lines(self.rows), "", *map(str, self.paths)]


def evaluate_inversion(config: EvaluateConfig) -> Report:
    """Inverts generated and held-out pictures by every method; writes inversion.json and sheets.

    Raises:
        UsageError: no bundle, or a file that cannot be used; found before the work.
    """
    config.validate()
    means = find_means(config)
    folder = Path(config.out)
    check_writable(folder, file=False)
    device = pick_device(config.device)
    editor = Editor.load(means.bundle, device)
    config = with_size(config, means.bundle)
    generator, settings = editor.generator, InversionConfig(size=config.size)
    wanted = _wanted(methods(settings, editor.encoder is not None), config.methods)
    eyes = _eyes(editor, means, device)
    lpips = None if lpips_absence() is not None else load_lpips(device)
    perceptual = perception(editor.clip, device)
    started = time.perf_counter()
    rows: list[InversionRow] = []
    paths: list[Path] = []
    with real_pictures(means, config.objects_used, config.size) as reals:
        sets = _sets(config, generator, reals[0] if reals else None)
        reader = _reader(reals[0], config) if reals is not None else None
        for photos in sets:
            some, views = measure_inversion(
                generator,
                photos,
                wanted,
                encoder=editor.encoder,
                clip=editor.clip,
                eyes=eyes,
                perceptual=perceptual,
                lpips=lpips,
                reader=reader,
                on_progress=lambda line: print(line, file=sys.stderr, flush=True),
            )
            rows += some
            path = folder / f"inversion-{photos.name}.png"
            paths.append(save_png(path, _sheet(photos, views)))
        source = reals[1] if reals else ""
    protocol = _protocol(config, settings, source, editor, lpips is not None, reader is not None)
    protocol["perceptual"] = f"a term of the fit: features of {named(perceptual)}"
    content: dict[str, Any] = {
        "format": FORMAT,
        "bundle": str(means.bundle),
        "generator": generator.hash,
        "encoder": editor.encoder.hash if editor.encoder else None,
        "protocol": protocol,
        "rows": plain(tuple(rows)),
        "provenance": provenance(config, device, started, inversion=asdict(settings)),
    }
    with atomic_write(folder / "inversion.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    return Report(tuple(rows), protocol, (folder / "inversion.json", *paths))


def _sets(
    config: EvaluateConfig, generator: Generator, reals: PictureDataset | None
) -> list[Photos]:
    """Generated pictures, real ones, or both."""
    if reals is None and not config.generated:
        raise UsageError(
            "generated is False, and there are no real pictures; allowed without them: True; "
            "or give --data DIR"
        )
    sets, count = [], config.objects_used
    if config.generated:
        sets.append(generated_photos(generator, count, config.first_seed, config.size))
    if reals is not None:
        sets.append(real_photos(generator, reals, count, config.size))
    return sets


def _wanted(known: dict[str, InversionConfig], names: Sequence[str]) -> dict[str, InversionConfig]:
    """The methods of these names; all where there is none."""
    for name in names:
        if name not in known:
            raise UsageError(
                f"methods has {name!r}; allowed: {', '.join(known)}; give some of them"
            )
    return {name: known[name] for name in names or known}


def plan(config: EvaluateConfig) -> dict[str, str]:
    """What would be measured; nothing is loaded or written."""
    means = find_means(config)
    encoder = (means.bundle / ENCODER).is_file()
    wanted = config.methods or list(methods(InversionConfig(), encoder))
    real = means.data or (f"{means.category}, drawn" if means.category else "")
    return {
        "bundle": str(means.bundle),
        "encoder": "the bundle's" if encoder else "absent; make one with clipnerf train-encoder",
        "methods": ", ".join(wanted),
        "pictures": (
            f"{config.objects_used} generated, seeds from {config.first_seed}; "
            if config.generated
            else ""
        )
        + (f"{config.objects_used} of {real}" if real else "real ones absent: give --data"),
        "out": f"{config.out}/inversion.json, a sheet for each kind of picture",
    }


def _eyes(editor: Editor, means: Means, device: torch.device) -> dict[str, ImageEncoder]:
    eyes: dict[str, ImageEncoder] = {} if editor.clip is None else {GUIDE: editor.clip}
    if means.judge:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        eyes[JUDGE] = Clip.load(means.judge).to(device)
    return eyes


def _reader(data: PictureDataset, config: EvaluateConfig) -> Encoder | None:
    """Reads which way objects face, where there are enough posed pictures to learn it from."""
    rest = len(data) - config.objects_used
    if rest < LEAST_PICTURES or any(r.azimuth_deg is None for r in data.records):
        return None
    return train_front_reader(data, config.objects_used, config.size)


def _protocol(
    config: EvaluateConfig,
    settings: InversionConfig,
    source: str,
    editor: Editor,
    lpips: bool,
    own: bool,
) -> dict[str, str]:
    count = config.objects_used
    said = {
        "pictures": f"{config.size} px; not one was chosen",
        "generated": f"seeds {config.first_seed} to {config.first_seed + count - 1}, cameras of "
        "the prior; 'sides' is the PSNR of other sides, from the true camera"
        if config.generated
        else "left out (--generated false)",
        "held-out": f"the first {count} of {source}" if source else "absent; give --data DIR",
        "pose": "median angle between the orientations of found and true camera, degrees; <20: "
        "share within 20; elev: of the elevation alone",
        "own": "the same from each found object's own front, read by a network that learned "
        "azimuths from the other held-out pictures"
        if own
        else f"absent: {LEAST_PICTURES} further posed pictures are needed",
        "shown": "share of what sets a picture off from white that the reconstruction shows",
        "seconds": f"a picture, {torch.get_num_threads()} threads, device {editor.device}",
        "settings": f"ours {settings.starts} starts, {settings.rough_steps} rough and at most "
        f"{settings.steps} whole steps; the paper's {settings.paper_steps} rounds of three steps",
    }
    if editor.encoder is None:
        said["encoder"] = "absent; make one with clipnerf train-encoder"
    if not lpips:
        said["LPIPS"] = "absent: its weights are not on this machine"
    return said


def _sheet(photos: Photos, views: Mapping[str, Tensor]) -> UInt8[np.ndarray, "height width 3"]:
    """The pictures above, and a row a method."""
    count = min(SHEET_COLUMNS, len(photos.pictures))
    tiles, labels = [photos.pictures[:count].cpu()], list(photos.labels[:count])
    for method, view in views.items():
        tiles.append(view[:count])
        labels += [method] * count
    return contact_sheet(torch.cat(tiles), count, labels)
