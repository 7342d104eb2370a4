"""Inversion of pictures by either method, a few at a time."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import Background, Framing, InversionConfig
from clipnerf.config.ranges import check
from clipnerf.data.arrays import is_rendered, rendered_pictures
from clipnerf.data.pictures import label
from clipnerf.errors import UsageError, warn
from clipnerf.gan.generator import Generator
from clipnerf.inversion.descent import BestSoFar
from clipnerf.inversion.encoder import FILE_NAME, Encoder
from clipnerf.inversion.objective import (
    SeesPictures,
    StyleSpread,
    Target,
    foreground_r2,
    psnr,
)
from clipnerf.inversion.optimize import optimize
from clipnerf.inversion.paper import alternate
from clipnerf.inversion.perceptual import Perceives, perception
from clipnerf.inversion.preprocess import prepare, usual_frame
from clipnerf.inversion.result import LEAST_R2, Inversion
from clipnerf.training.progress import Progress

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
    photos: object,
    config: InversionConfig | None = None,
    *,
    background: str = "auto",
    mask: object = None,
    framing: str = "auto",
    encoder: Encoder | None = None,
    clip: SeesPictures | None = None,
) -> Inversion:
    """Photos, or pictures as they are rendered; the rest is :func:`invert_pictures`.

    How pictures look is judged too, by ``clipnerf.inversion.perceptual.perception``.

    Args:
        photos: one photo or a list; paths, PIL images and arrays of bytes are prepared, floats are
            taken as the generator would show them.
        background, mask, framing: of photos, see ``clipnerf.config.inversion.InvertConfig``.
    Warns:
        UserWarning: a reconstruction shows less than ``result.LEAST_R2`` of its picture.
    """
    config = InversionConfig() if config is None else config
    check("config", config, InversionConfig)
    check("background", background, Background)
    check("framing", framing, Framing)
    each_photo = list(photos) if isinstance(photos, list | tuple) else [photos]
    if not each_photo:
        raise UsageError("the list of photos is empty; give at least one")
    fitted: list[Tensor] = []
    frame = None
    for photo in each_photo:
        if is_rendered(photo):
            fitted.append(_resized(rendered_pictures(photo), config.size))
            continue
        frame = frame or usual_frame(generator)
        prepared = prepare(
            photo, config.size, frame, background=background, mask=mask, framing=framing
        )
        fitted.append(prepared.picture)
    pictures = torch.cat(fitted)
    perceptual = perception(clip, generator.device) if config.loss.perceptual > 0 else None
    found = invert_pictures(
        generator, pictures, config, encoder=encoder, clip=clip, perceptual=perceptual
    )
    for number, (poor, share) in enumerate(zip(found.poor, found.foreground_r2, strict=True)):
        if poor:
            photo = each_photo[number] if len(each_photo) == len(found) else None
            name = label(f"picture {number + 1}", photo)
            warn(
                f"{name} is reconstructed poorly: {float(share):.2f} of it is shown "
                f"({LEAST_R2} or more is usual); is it one object of the category, whole, "
                "on white?"
            )
    return found


def _resized(pictures: Tensor, size: int) -> Float[Tensor, "batch 3 size size"]:
    if pictures.shape[-1] != pictures.shape[-2]:
        raise UsageError(
            f"the pictures are {pictures.shape[-1]} x {pictures.shape[-2]} pixels; give square "
            "ones, or paths of photos, which are framed"
        )
    if pictures.shape[-1] == size:
        return pictures
    return torch.nn.functional.interpolate(
        pictures, size=(size, size), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)


def invert_pictures(
    generator: Generator,
    pictures: Float[Tensor, "batch 3 height width"],
    config: InversionConfig | None = None,
    *,
    encoder: Encoder | None = None,
    clip: SeesPictures | None = None,
    perceptual: Perceives | None = None,
) -> Inversion:
    """Codes and poses of the objects in pictures.

    Args:
        generator: frozen, disentangled.
        pictures: square, in [0, 1], one object each on white, as the generator would show it; of
            ``config.size`` pixels, or resized to that.
        encoder: of this generator; None: starts from random codes and a ring of cameras.
        clip, perceptual: None leaves their terms out.
    Returns:
        one object a picture, in their order. Stopped by Ctrl-C it holds the best until then of the
        group being fitted (AT_ONCE pictures) and those before; pictures not begun are left out.
    Raises:
        UsageError: a value out of range, pictures that are not square, an entangled generator.
    """
    config = config or InversionConfig()
    config.validate()
    if generator.field.entangled:
        raise UsageError("an entangled generator has no shape apart from its colors to be found")
    pictures = _resized(pictures, config.size)
    spread = StyleSpread.of(generator)
    encoder = encoder if config.use_encoder else None
    paper = config.method == "paper"
    steps = config.paper_steps if paper else config.rough_steps + config.steps
    at_once = AT_ONCE if generator.device.type == "cpu" else CUDA_AT_ONCE
    groups = pictures.split(at_once)
    done: list[Inversion] = []
    # the steps of the optimization are what a person waits for
    with torch.enable_grad(), Progress(steps * len(groups), desc="invert", unit="step") as progress:
        for group in groups:
            target = Target(generator, group, config.loss, config.samples, clip, perceptual)
            if paper:
                found = alternate(target, spread, config, progress.update)
            else:
                found = optimize(target, encoder, spread, config, progress.update)
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
        target.pictures.cpu(),
    )
