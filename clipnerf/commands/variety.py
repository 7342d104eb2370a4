"""``clipnerf study variety``: how much of the data a generator covers."""

from __future__ import annotations

import json
from pathlib import Path

from clipnerf.config.evaluation import VarietyConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.evaluation.generation.feature_figures import check_judge, load_judge
from clipnerf.evaluation.generation.variety import Variety
from clipnerf.evaluation.metrics.disentanglement import disentanglement
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import atomic_write, check_writable
from clipnerf.training.precision import pick_device
from clipnerf.training.progress import Progress
from clipnerf.vision.recognizer import Recognizer


def study_variety(config: VarietyConfig) -> list[str]:
    """Measures, and writes everything to ``out``.

    Returns:
        The table, and last the path.
    Raises:
        UsageError: files that are missing or unfit, neither a CLIP nor a recognizer.
    """
    device, path = pick_device(config.device), Path(config.out)
    generator = Generator.load(config.generator).to(device)
    clip = judge = None
    if config.clip:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(config.clip).to(device)
    recognizer = Recognizer.load(config.recognizer).to(device) if config.recognizer else None
    if config.features:
        check_judge(config.generator)
        judge = load_judge(device)
    data = PictureDataset(config.data, config.size)
    variety = Variety(
        data,
        clip,
        recognizer,
        config.samples,
        config.size,
        ray_samples=config.ray_samples,
        judge=judge,
    )
    check_writable(path, file=True)
    with Progress(config.samples, desc="variety") as progress:
        pictures = variety.generated(generator, on_progress=progress.update)
    report = variety.measure(generator, pictures)
    codes = disentanglement(generator, size=config.size)
    with atomic_write(path) as temporary:
        content = report.as_json() | {"disentanglement": vars(codes)}
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return [
        *report.lines(),
        f"silhouette IoU under appearance {codes.silhouette_iou:.4f} "
        f"(under shape {codes.shape_iou:.3f}); palette distance under shape "
        f"{codes.palette_distance:.4f} (under appearance {codes.appearance_distance:.3f})",
        str(path),
    ]
