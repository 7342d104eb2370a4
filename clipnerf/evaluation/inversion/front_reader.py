"""Which way each generated object faces: not all of a generator's objects face the same way.

Nothing in training from unposed pictures makes them: of 300 random chairs of the bundle, 61 % face
within 30 degrees of the bundle's front, 19 % stand a quarter turn from it, the rest elsewhere. An
object found in a photo may be one of those that stand turned, and its pose be right for it. So the
pose is measured a second time, from the object's own front, as it is read off its pictures by a
small network that learned azimuths from posed pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.config.inversion import EncoderConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.rendered_data import as_a_photo
from clipnerf.training.schedule import one_cycle
from clipnerf.training.seeds import seeded, torch_generator

STEPS, BATCH, RATE, BINS = 500, 64, 2e-3, 36
LEAST_PICTURES = 500
"""Posed pictures below which no reader is trained."""
SIDES = 8
ELEVATION_DEG = 20.0


def train_front_reader(data: PictureDataset, held_out: int, size: int, seed: int = 0) -> Encoder:
    """A network that reads the azimuth; about three minutes of one core.

    Args:
        data: pictures with azimuth_deg, all of them; the first ``held_out`` are not learned from.
    """
    azimuth = torch.tensor([record.azimuth_deg for record in data.records], dtype=torch.float32)
    place = torch.remainder(azimuth, 360) * (BINS / 360)
    with seeded(seed, "front reader"):
        reader = Encoder(EncoderConfig(size=size, bins=BINS), code_dim=1)
    reader.to(data.device).train()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, fused=True)
    for step in range(STEPS):
        noise = torch_generator(seed, 0, step, "front reader", data.device)
        rows = torch.randint(held_out, len(data), (BATCH,), generator=noise, device=data.device)
        pictures = as_a_photo(data.batch(rows.cpu()), noise)
        if step % 2:  # renderings are soft
            pictures = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
        there = place[rows.cpu()].to(data.device)
        direction = there.long().clamp(max=BINS - 1)
        guess = reader(pictures)
        offset = guess.offset.gather(1, direction[:, None]).squeeze(1)
        loss = functional.cross_entropy(guess.logits, direction, label_smoothing=0.05)
        loss = loss + functional.smooth_l1_loss(offset, there - direction - 0.5)
        for group in optimizer.param_groups:
            group["lr"] = RATE * one_cycle(step, STEPS, rise=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return reader.requires_grad_(False).eval()


@torch.no_grad()
def read_azimuth(reader: Encoder, pictures: Tensor) -> Float[Tensor, " batch"]:
    """Radians, from the front of what is seen."""
    guess = reader(pictures)
    return guess.azimuth(guess.logits.argmax(1))


@torch.no_grad()
def estimate_front_azimuth(
    reader: Encoder, generator: Generator, codes: Codes, size: int
) -> Float[Tensor, " batch"]:
    """Azimuth of each object's own front, from the generator's, radians in (-pi, pi].

    The direction, of the mean over SIDES cameras of where they stand and where they seem to.
    """
    total = torch.zeros(len(codes), 2, device=generator.device)
    for side in range(SIDES):
        angle = 360 * side / SIDES
        camera = generator.camera(angle, ELEVATION_DEG, size).expand(len(codes))
        view = generator.render(codes, camera, samples=generator.config.samples)
        away = math.radians(angle) - read_azimuth(reader, view.rgb)
        total += torch.stack((away.cos(), away.sin()), dim=1)
    return torch.atan2(total[:, 1], total[:, 0])


@dataclass(frozen=True)
class Facing:
    """How far objects agree on a front.

    Attributes:
        front_deg: direction of the mean over objects, degrees in (-180, 180].
        within_15, within_30: share of objects whose own front lies within so many degrees of it.
        median_deg: median distance from it.
    """

    front_deg: float
    within_15: float
    within_30: float
    median_deg: float


def facing(fronts: Float[Tensor, " objects"]) -> Facing:
    """Of each object's own front, radians, as of :func:`estimate_front_azimuth`.

    The mean is refined once on the objects within 60 degrees of it, so that a minority that faces
    elsewhere does not pull it.
    """
    near = fronts
    for _ in range(2):
        middle = torch.atan2(near.sin().sum(), near.cos().sum())
        away = (torch.remainder(fronts - middle + math.pi, 2 * math.pi) - math.pi).abs()
        near = fronts[away < math.pi / 3] if bool((away < math.pi / 3).any()) else fronts
    middle = torch.atan2(near.sin().sum(), near.cos().sum())
    away = (torch.remainder(fronts - middle + math.pi, 2 * math.pi) - math.pi).abs()
    degrees = torch.rad2deg(away)
    return Facing(
        float(torch.rad2deg(middle)),
        float((degrees <= 15).float().mean()),
        float((degrees <= 30).float().mean()),
        float(degrees.median()),
    )
