"""Morphs: from one object to another, or through an edit, by steps that look even."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.ranges import Range, check, refuse
from clipnerf.editor.views import frames_at_once
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes, Detail, LocalEdit
from clipnerf.gan.generator import Generator
from clipnerf.io.sheet import to_uint8
from clipnerf.training.progress import Progress

TwoOrMore = Annotated[int, Range(2, 10_000_000)]

Code = TypeVar("Code", Tensor, Tensor | None)


def between(before: Codes, after: Codes, share: float | int) -> Codes:
    """The objects at a share of the way, 0 to 1; 0 and 1 are the very same codes.

    Spherical: the generator looks at a code's direction only, and a straight line would hurry
    through the middle. Codes that are the same in both stay as they are, bit for bit: an edit of
    colors alone moves no geometry.
    """
    if share == 0:
        return before
    if share == 1:
        return after
    return Codes(
        _spherical(before.shape, after.shape, share),
        _spherical(before.appearance, after.appearance, share),
        _mixed(before.detail, after.detail, share),
        _faded(before.layers, after.layers, share),
    )


def _faded(
    before: tuple[LocalEdit, ...], after: tuple[LocalEdit, ...], share: float | int
) -> tuple[LocalEdit, ...]:
    """Local edits that both have move; those of one alone fade out, or in."""
    common = 0
    while common < min(len(before), len(after)) and _same(before[common], after[common]):
        common += 1
    moving = tuple(
        replace(
            a,
            shape=_spherical(a.shape, b.shape, share),
            appearance=_spherical(a.appearance, b.appearance, share),
            strength=torch.lerp(a.strength, b.strength, share),
            paint=_mixed_paint(a.paint, b.paint, share),
        )
        for a, b in zip(before[:common], after[:common], strict=True)
    )
    return (
        *moving,
        *(layer.times(1 - share) for layer in before[common:]),
        *(layer.times(share) for layer in after[common:]),
    )


def _mixed_paint(start: Tensor | None, end: Tensor | None, share: float | int) -> Tensor | None:
    """Paint that one alone has comes, or goes, with the color it has there."""
    known = end if start is None else start
    if known is None:
        return None
    faded = known * known.new_tensor([1.0, 1.0, 1.0, 0.0])
    return torch.lerp(faded if start is None else start, faded if end is None else end, share)


def _same(a: LocalEdit, b: LocalEdit) -> bool:
    """Whether two local edits are of one region, and change the same kinds of codes."""
    kinds = [(e.shape is None, e.appearance is None, type(e.region)) for e in (a, b)]
    return kinds[0] == kinds[1] and torch.equal(a.region.numbers, b.region.numbers)


def _mixed(before: Detail | None, after: Detail | None, share: float | int) -> Detail | None:
    """Detail fades from one object's to the other's."""
    known = before or after
    if known is None:
        return None
    start, end = (known.zeros(len(known.shape)) if d is None else d for d in (before, after))
    return Detail(
        torch.lerp(start.shape, end.shape, share),
        torch.lerp(start.appearance, end.appearance, share),
    )


def _spherical(before: Code, after: Code, share: float | int) -> Code:
    """Directions turn at an even pace, lengths grow at an even pace; None where a code is none."""
    if before is None or after is None:
        return None
    lengths = [code.norm(dim=1, keepdim=True) for code in (before, after)]
    start, end = before / lengths[0].clamp(min=1e-12), after / lengths[1].clamp(min=1e-12)
    # by both half-angle chords: arccos of the product is blind to small angles
    angle = 2 * torch.atan2((start - end).norm(dim=1), (start + end).norm(dim=1))[:, None]
    straight = (1 - share) * before + share * after
    # almost equal, or opposite, where no great circle is the shortest
    plain = (angle.sin() < 1e-4).expand_as(before)
    turned = (
        ((1 - share) * angle).sin() * start + (share * angle).sin() * end
    ) / angle.sin().clamp(min=1e-4)
    curved = torch.where(plain, straight, turned * torch.lerp(lengths[0], lengths[1], share))
    return torch.where((before == after).all(1, keepdim=True), before, curved)


def interpolate(before: Codes, after: Codes, steps: int = 9) -> list[Codes]:
    """The way from some objects to as many others, or to the same ones after an edit.

    Args:
        steps: batches on the way, both ends among them.
    Raises:
        UsageError: fewer than 2 steps, or two batches of different size.
    """
    check("steps", steps, TwoOrMore)
    _check_stops([before, after])
    return [between(before, after, step / (steps - 1)) for step in range(steps)]


def along(stops: Sequence[Codes], frames: int, loop: bool = True) -> list[Codes]:
    """Codes of every frame of a way through the stops, at as many frames from stop to stop.

    Args:
        stops: batches of as many objects each.
        frames: how many; a loop's last frame is the one before its first stop again.
        loop: go back to the first stop at the end.
    Raises:
        UsageError: fewer than 2 stops, or of different sizes, or fewer than 2 frames.
    """
    if not isinstance(stops, list | tuple):
        refuse("stops", stops, "a list of two Codes or more")
    if len(stops) < 2:
        raise UsageError(f"a morph of {len(stops)} stop has no way; give two or more")
    check("frames", frames, TwoOrMore)
    _check_stops(stops)
    ways = len(stops) if loop else len(stops) - 1
    some = []
    for frame in range(frames):
        place = frame * ways / (frames if loop else frames - 1)
        stop = min(int(place), ways - 1)
        some.append(between(stops[stop], stops[(stop + 1) % len(stops)], place - stop))
    return some


@torch.no_grad()
def render_morph(
    generator: Generator,
    codes: Sequence[Codes],
    azimuths_deg: Float[Tensor, " frames"],
    elevation_deg: float | int,
    size: int,
    samples: int | None,
) -> Iterator[np.ndarray]:
    """A picture a batch of codes: its objects side by side, [size, objects * size, 3], 0 to 255.

    Args:
        azimuths_deg: where the camera stands for each batch, degrees.
    """
    objects = len(codes[0])
    at_once = frames_at_once(generator.device, objects * size * size)
    with Progress(len(codes), desc="morph", unit="frame") as progress:
        for start in range(0, len(codes), at_once):
            some = Codes.cat(codes[start : start + at_once]).to(generator.device)
            azimuths = azimuths_deg[start : start + at_once].repeat_interleave(objects)
            camera = generator.camera(azimuths.to(generator.device), float(elevation_deg), size)
            tiles = to_uint8(generator.render(some, camera, samples=samples).rgb)
            for first in range(0, len(tiles), objects):
                yield np.concatenate(tiles[first : first + objects], axis=1)
            progress.update(len(some) // objects)


def _check_stops(stops: Sequence[Codes]) -> None:
    sizes = {len(Codes.check(stop)) for stop in stops}
    if len(sizes) > 1 or 0 in sizes:
        raise UsageError(
            f"the stops of a morph hold {', '.join(str(len(stop)) for stop in stops)} objects; "
            "each has to hold the same number, at least 1"
        )
