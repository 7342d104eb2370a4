"""Inversion of pictures by either method, a few at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.errors import UsageError
from clipnerf.gan.generator import Generator
from clipnerf.inversion.descent import BestSoFar
from clipnerf.inversion.encoder import FILE_NAME, Encoder
from clipnerf.inversion.objective import (
    Perceives,
    SeesPictures,
    StyleSpread,
    Target,
    foreground_r2,
    psnr,
)
from clipnerf.inversion.optimize import optimise
from clipnerf.inversion.paper import alternate
from clipnerf.inversion.preprocess import prepare, usual_frame
from clipnerf.inversion.result import LEAST_EXPLAINED, Inversion
from clipnerf.training.progress import Progress
from clipnerf.vision.pretrained import load_lpips, lpips_absence

AT_ONCE = 8
"""Pictures on a CPU; a GPU takes CUDA_AT_ONCE."""
CUDA_AT_ONCE = 64


def load_encoder(bundle: Path, generator: Generator) -> Encoder | None:
    """The bundle's encoder, None where it has none; UsageError where it is another generator's."""
    file = bundle / FILE_NAME
    if not file.is_file():
        return None
    return Encoder.load(file, generator.hash).to(generator.device)


def invert_photos(
    generator: Generator,
    photos: str | Path | Sequence[str | Path] | Tensor,
    config: InversionConfig | None = None,
    *,
    background: str = "auto",
    mask: str | Path | None = None,
    framing: str = "auto",
    encoder: Encoder | None = None,
    clip: SeesPictures | None = None,
) -> Inversion:
    """Photos by their paths, or pictures as tensors; the rest is :func:`invert_pictures`.

    LPIPS is used where the package and its weights are on this machine.

    Args:
        photos: one path, a list of paths, or pictures.
        background, mask, framing: of photos, see ``clipnerf.config.inversion.InvertConfig``.
    Warns:
        UserWarning: a reconstruction shows less than ``result.LEAST_EXPLAINED`` of its picture.
    """
    config = config or InversionConfig()
    config.validate()
    if isinstance(photos, Tensor):
        pictures = photos
    else:
        paths = [photos] if isinstance(photos, str | Path) else list(photos)
        if not paths:
            raise UsageError("the list of photos is empty; give at least one")
        frame = usual_frame(generator)
        pictures = torch.cat(
            [
                prepare(
                    path, config.size, frame, background=background, mask=mask, framing=framing
                ).picture
                for path in paths
            ]
        )
    lpips = None
    if config.loss.perceptual > 0 and lpips_absence() is None:
        lpips = load_lpips(generator.device)
    found = invert_pictures(generator, pictures, config, encoder=encoder, clip=clip, lpips=lpips)
    for number, (poor, share) in enumerate(zip(found.poor, found.explained, strict=True)):
        if poor:
            warnings.warn(poor_line(f"picture {number + 1}", float(share)), stacklevel=3)
    return found


def poor_line(name: str, share: float) -> str:
    """What is said of a poor reconstruction."""
    return (
        f"{name} is reconstructed poorly: {share:.2f} of it is shown ({LEAST_EXPLAINED} or more is "
        "usual); is it one object of the category, whole, on white?"
    )


def invert_pictures(
    generator: Generator,
    pictures: Float[Tensor, "batch 3 height width"],
    config: InversionConfig | None = None,
    *,
    encoder: Encoder | None = None,
    clip: SeesPictures | None = None,
    lpips: Perceives | None = None,
) -> Inversion:
    """Codes and poses of the objects in pictures.

    Args:
        generator: frozen, disentangled.
        pictures: square, in [0, 1], one object each on white, as the generator would show it; of
            ``config.size`` pixels, or resized to that.
        encoder: of this generator; None: starts from random codes and a ring of cameras.
        clip, lpips: None leaves their terms out.
    Returns:
        one object a picture, in their order. Stopped by Ctrl-C it holds the best until then of the
        group being fitted (AT_ONCE pictures) and those before; pictures not begun are left out.
    Raises:
        UsageError: a value out of range, pictures that are not square, an entangled generator.
    """
    config = config or InversionConfig()
    config.validate()
    if generator.field.entangled:
        raise UsageError("an entangled generator has no shape apart from its colours to be found")
    if pictures.shape[-1] != pictures.shape[-2]:
        raise UsageError(
            f"the pictures are {pictures.shape[-1]} x {pictures.shape[-2]} pixels; give square "
            "ones, or paths of photos, which are framed"
        )
    if pictures.shape[-1] != config.size:
        pictures = torch.nn.functional.interpolate(
            pictures,
            size=(config.size, config.size),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        ).clamp(0, 1)
    spread = StyleSpread.of(generator)
    encoder = encoder if config.use_encoder else None
    paper = config.method == "paper"
    steps = config.paper_steps if paper else config.rough_steps + config.steps
    at_once = AT_ONCE if generator.device.type == "cpu" else CUDA_AT_ONCE
    groups = pictures.split(at_once)
    done: list[Inversion] = []
    # the steps of the optimisation are what a person waits for
    with torch.enable_grad(), Progress(steps * len(groups), desc="invert", unit="step") as progress:
        for group in groups:
            target = Target(generator, group, config.loss, config.samples, clip, lpips)
            if paper:
                found = alternate(target, spread, config, progress.update)
            else:
                found = optimise(target, encoder, spread, config, progress.update)
            done.append(_result(target, found, config.size))
            if found.interrupted:
                break
    return Inversion.cat(done)


def _result(target: Target, found: BestSoFar, size: int) -> Inversion:
    """What was found of a group of pictures, seen once more."""
    generator = target.generator
    camera = found.pose.camera(generator.config.camera, size)
    with torch.no_grad():
        view = generator.render(found.codes, camera).rgb
    return Inversion(
        found.codes,
        found.pose,
        camera,
        psnr(target.pictures, view),
        foreground_r2(target.pictures, view),
        tuple(found.history),
        found.interrupted,
    )
