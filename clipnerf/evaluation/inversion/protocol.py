"""How well photos are inverted: reconstruction, pose, other sides, seconds; ours and the paper's.

Pictures of two kinds are inverted. *Generated* ones are the generator's own, of seeds that no
training saw, whose codes and cameras are known: they can be reconstructed exactly, and their other
sides be compared. *Held-out* ones are real pictures; where metadata.jsonl gives their angles, the
pose is compared as well, as the angle between camera orientations, roll included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.evaluation.inversion.front_reader import estimate_front_azimuth
from clipnerf.evaluation.metrics.image import ssim
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.invert import invert_pictures
from clipnerf.inversion.objective import SeesPictures, psnr
from clipnerf.inversion.perceptual import Perceives
from clipnerf.inversion.pose import Pose, pose_error_deg
from clipnerf.inversion.result import Inversion
from clipnerf.rendering.cameras import Camera
from clipnerf.training.seeds import torch_generator
from clipnerf.vision.features import ImageEncoder, as_8_bit
from clipnerf.vision.pretrained import lpips_distances

NEAR_DEG = 20.0
"""Poses within are counted."""
SIDES_DEG = (60.0, 180.0, 300.0)
"""Turns from the found camera under which other sides are compared."""
GENERATED, HELD_OUT = "generated", "held-out"


@dataclass(frozen=True)
class Photos:
    """Pictures to be inverted, and what is known of them.

    Attributes:
        name: GENERATED or HELD_OUT.
        camera: true cameras; None where they are unknown.
        codes: true codes; None for real pictures.
        labels: what a sheet says of each.
    """

    name: str
    pictures: Float[Tensor, "batch 3 size size"]
    camera: Camera | None = None
    codes: Codes | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class InversionRow:
    """One method on one kind of pictures; means where nothing else is said.

    Attributes:
        psnr: dB. ssim: of whole pictures. explained: see :func:`inversion.objective.foreground_r2`.
        clip: encoder -> cosine of the embeddings of picture and reconstruction.
        lpips: None where its weights are not there.
        pose_deg: median error; near: share within NEAR_DEG; None where poses are unknown.
        elevation_deg: median error of the elevation alone, which no front has to be known for.
        own_deg, own_near: the same from the object's own front, see ``front_reader.py``; None
            without a reader, and for generated pictures.
        sides: PSNR of other sides from the true camera, dB; None for real pictures.
        seconds: a picture, of the whole inversion. poor: share marked as poor.
    """

    pictures: str
    method: str
    count: int
    psnr: float
    psnr_median: float
    ssim: float
    explained: float
    clip: dict[str, float]
    lpips: float | None
    pose_deg: float | None
    near: float | None
    elevation_deg: float | None
    own_deg: float | None
    own_near: float | None
    sides: float | None
    seconds: float
    poor: float


def methods(config: InversionConfig, encoder: bool) -> dict[str, InversionConfig]:
    """Ours, the paper's, and both with something left out."""
    ours, paper = replace(config, method="encoder"), replace(config, method="paper")
    without_clip = replace(config.loss, clip=0.0)
    found: dict[str, InversionConfig] = {}
    if encoder:
        found["encoder alone"] = replace(ours, rough_steps=0, steps=0, starts=1)
    found["ours"] = ours
    found["ours without CLIP"] = replace(ours, loss=without_clip)
    found["ours without detail"] = replace(ours, detail=False)
    if encoder:
        found["ours without encoder"] = replace(ours, use_encoder=False)
    found["paper"] = paper
    found["paper without CLIP"] = replace(paper, paper_clip=0.0)
    found["paper without noise"] = replace(paper, paper_noise=0.0)
    return found


@torch.no_grad()
def generated_photos(generator: Generator, count: int, first_seed: int, size: int) -> Photos:
    """The generator's own objects of the seeds, from random cameras, in 256 levels."""
    seeds = range(first_seed, first_seed + count)
    codes = Codes.from_seeds(seeds, generator.config.field.code_dim).to(generator.device)
    rng = torch_generator(first_seed, 0, 0, "inversion cameras")
    camera = generator.sample_cameras(count, size, rng)
    pictures = as_8_bit(generator.render(codes, camera).rgb)
    return Photos(GENERATED, pictures, camera, codes, tuple(f"seed {seed}" for seed in seeds))


def real_photos(generator: Generator, data: PictureDataset, count: int, size: int) -> Photos:
    """The first pictures of a set; their cameras where every one has its angles."""
    records = data.records[:count]
    pictures = data.batch(torch.arange(len(records))).to(generator.device)
    camera = None
    angles = [(r.azimuth_deg, r.elevation_deg) for r in records]
    if all(a is not None and e is not None for a, e in angles):
        azimuth, elevation = torch.tensor(angles).unbind(1)
        camera = generator.camera(
            azimuth.to(generator.device), elevation.to(generator.device), size
        )
    return Photos(HELD_OUT, pictures, camera, labels=tuple(record.file_name for record in records))


def measure_inversion(
    generator: Generator,
    photos: Photos,
    wanted: Mapping[str, InversionConfig],
    *,
    encoder: Encoder | None,
    clip: SeesPictures | None,
    eyes: Mapping[str, ImageEncoder],
    perceptual: Perceives | None = None,
    lpips: Perceives | None = None,
    reader: Encoder | None = None,
    on_progress: Callable[[str], None] = lambda line: None,
) -> tuple[list[InversionRow], dict[str, Float[Tensor, "batch 3 size size"]]]:
    """Inverts the pictures by every method.

    Args:
        clip, perceptual: guide. eyes, lpips: look at the results, eyes by name.
        reader: of azimuths, from ``train_front_reader``.
        on_progress: is told of every row.
    Returns:
        rows, and each method's reconstructions.
    """
    rows, views = [], {}
    for method, config in wanted.items():
        start = time.perf_counter()
        found = invert_pictures(
            generator, photos.pictures, config, encoder=encoder, clip=clip, perceptual=perceptual
        )
        seconds = (time.perf_counter() - start) / len(photos.pictures)
        if found.interrupted:
            raise KeyboardInterrupt
        row, view = _row(generator, photos, method, found, eyes, lpips, reader, seconds)
        rows.append(row)
        views[method] = view
        on_progress(line(row))
    return rows, views


@torch.no_grad()
def _row(
    generator: Generator,
    photos: Photos,
    method: str,
    found: Inversion,
    eyes: Mapping[str, ImageEncoder],
    lpips: Perceives | None,
    reader: Encoder | None,
    seconds: float,
) -> tuple[InversionRow, Tensor]:
    pictures = photos.pictures
    view = generator.render(found.codes, found.cameras).rgb.clamp(0, 1)
    pose_deg = near = elevation_deg = own_deg = own_near = sides = None
    if photos.camera is not None:
        pose_deg, near = _figures(pose_error_deg(found.poses, photos.camera))
        elevation_deg = _elevation_error_deg(found.poses, photos.camera, generator)
        if reader is not None and photos.codes is None:
            front = estimate_front_azimuth(reader, generator, found.codes, pictures.shape[-1])
            own_deg, own_near = _figures(pose_error_deg(found.poses.turned(-front), photos.camera))
    if photos.codes is not None and photos.camera is not None:
        sides = _sides(generator, photos.codes, photos.camera, found.codes)
    distance = None
    if lpips is not None:
        distance = float(lpips_distances(lpips, pictures, view, pictures.device).mean())
    row = InversionRow(
        pictures=photos.name,
        method=method,
        count=len(pictures),
        psnr=float(found.psnr.mean()),
        psnr_median=float(found.psnr.median()),
        ssim=float(ssim(pictures, view).mean()),
        explained=float(found.foreground_r2.mean()),
        clip={
            name: float((eye.encode_image(pictures) * eye.encode_image(view)).sum(1).mean())
            for name, eye in eyes.items()
        },
        lpips=distance,
        pose_deg=pose_deg,
        near=near,
        elevation_deg=elevation_deg,
        own_deg=own_deg,
        own_near=own_near,
        sides=sides,
        seconds=seconds,
        poor=sum(found.poor) / len(found),
    )
    return row, view.cpu()


def _figures(error: Float[Tensor, " batch"]) -> tuple[float, float]:
    """Median, and share within NEAR_DEG."""
    return float(error.median()), float((error < NEAR_DEG).float().mean())


def _elevation_error_deg(found: Pose, camera: Camera, generator: Generator) -> float:
    true = Pose.of_camera(camera, generator.config.camera).angles()[:, 1]
    return float(torch.rad2deg((found.angles()[:, 1] - true).abs()).median())


def _sides(generator: Generator, true: Codes, camera: Camera, found: Codes) -> float:
    """PSNR of the found object from sides of the true camera, against the true object."""
    prior, values = generator.config.camera, []
    azimuth, elevation, roll = Pose.of_camera(camera, prior).angles().unbind(1)
    for turn in SIDES_DEG:
        turned = Pose.from_angles(azimuth + torch.deg2rad(torch.tensor(turn)), elevation, roll)
        side = turned.camera(prior, camera.width)
        values.append(
            psnr(generator.render(true, side).rgb, generator.render(found, side).rgb).mean()
        )
    return float(torch.stack(values).mean())


HEAD = "PSNR median SSIM shown pose <20 elev own <20 sides poor s".split()


def cells(row: InversionRow) -> list[str]:
    """The figures under HEAD, as text."""

    def some(value: float | None, digits: int) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    return [
        some(row.psnr, 1),
        some(row.psnr_median, 1),
        some(row.ssim, 3),
        some(row.explained, 3),
        some(row.pose_deg, 1),
        some(row.near, 2),
        some(row.elevation_deg, 1),
        some(row.own_deg, 1),
        some(row.own_near, 2),
        some(row.sides, 1),
        some(row.poor, 2),
        some(row.seconds, 1),
    ]


def line(row: InversionRow) -> str:
    """A row for a terminal."""
    seen = " ".join(f"{name} {value:.3f}" for name, value in row.clip.items())
    lpips = "" if row.lpips is None else f" LPIPS {row.lpips:.3f}"
    figures = "".join(f"{cell:>8}" for cell in cells(row))
    return f"{row.pictures + ', ' + row.method:<34}{figures}   {seen}{lpips}"


def lines(rows: Sequence[InversionRow]) -> list[str]:
    """The table; nothing where nothing was inverted."""
    if not rows:
        return []
    head = "".join(f"{name:>8}" for name in HEAD)
    return [f"{'inversion':<34}{head}   CLIP similarity by", *map(line, rows)]
