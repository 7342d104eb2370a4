"""From any photo to what a generator could have made: one object on white, in its usual place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.data.masks import read_mask
from clipnerf.data.photo import Photo, read_photo
from clipnerf.data.pictures import label
from clipnerf.errors import UsageError, warn
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.training.seeds import torch_generator

NEARLY_WHITE = 0.92
"""Lowest channel from which a pixel of a white background counts as background."""
LEAST_SHARE, LARGEST_SHARE = 0.002, 0.97
"""Share of a picture that an object takes up; outside, no object or no background is to be seen."""
LOOKED_AT = 48
"""The generator's own pictures that say how large objects are and where they stand."""


@dataclass(frozen=True)
class Frame:
    """Where the generator's own objects lie in a picture, as shares of its side.

    Attributes:
        least, middle, most: of the longer side of their bounding boxes.
        away: the farthest that the middle of a bounding box lies from the picture's, along an axis.
    """

    least: float
    middle: float
    most: float
    away: float


@torch.no_grad()
def usual_frame(generator: Generator) -> Frame:
    """Looks at LOOKED_AT objects from random cameras."""
    codes = Codes.from_seeds(range(LOOKED_AT), generator.config.field.code_dim)
    camera = generator.sample_cameras(LOOKED_AT, 32, torch_generator(0, 0, 0, "frame"))
    opacity = generator.render(codes, camera, samples=generator.config.samples).opacity
    boxes = [box for box in map(bounding_box, opacity.cpu()[:, 0] > 0.5) if box is not None]
    if not boxes:
        return Frame(0.0, 0.8, 1.0, 0.5)
    sides = torch.tensor([max(right - left, low - top) for left, top, right, low in boxes]) / 32
    middles = torch.tensor([((a + c) / 64, (b + d) / 64) for a, b, c, d in boxes])
    return Frame(
        float(sides.min()),
        float(sides.median()),
        float(sides.max()),
        float((middles - 0.5).abs().max()),
    )


@dataclass(frozen=True)
class Prepared:
    """A photo as it is fitted.

    Attributes:
        picture: the object on white.
        square: (left, top, side) of what was cut out, pixels of the photo; beyond its edges is
            white.
    """

    picture: Float[Tensor, "1 3 size size"]
    square: tuple[float, float, float]


def prepare(
    picture: object,
    size: int,
    frame: Frame,
    *,
    background: str = "auto",
    mask: object = None,
    framing: str = "auto",
) -> Prepared:
    """Reads a photo, takes its background away and puts the object where the generator has its own.

    Args:
        picture: a path, PIL image, array or tensor.
        mask: likewise; background, framing: as in
            :class:`clipnerf.config.inversion.InvertConfig`.
        size: side of the picture, pixels.
        frame: of the generator.
    Raises:
        UsageError: a file that cannot be read, no alpha where it was asked for, a picture in which
            no object is to be seen.
    Warns:
        UserWarning: a background that is not white.
    """
    photo, name = read_photo(picture), label("the photo", picture)
    cover = _cover(photo, name, background, mask)
    rgb = photo.rgb if cover is None else 1 - (1 - photo.rgb) * cover
    seen = (cover if cover is not None else (1 - photo.rgb).amax(0, keepdim=True))[0] > 0.1
    share = float(seen.float().mean())
    if share < LEAST_SHARE:
        blamed = label("the mask", mask) + " leaves" if mask is not None else name + " shows"
        raise UsageError(
            f"{blamed} no object: {share:.2%} of it is not background; give a "
            "picture of one object on white, with alpha, or with --mask"
        )
    if share > LARGEST_SHARE:
        warn(
            f"no background is to be told in {name} ({share:.0%} counts as object); give a mask "
            "by --mask, or a picture on white or with alpha"
        )
    square = _square(seen, frame, framing)
    return Prepared(_cut(rgb, square, size), square)


def bounding_box(seen: Tensor) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of what is true in a picture [height, width]; None where nothing.

    Right and bottom are the first pixel that is outside.
    """
    if not bool(seen.any()):
        return None
    columns, rows = seen.any(0).nonzero()[:, 0], seen.any(1).nonzero()[:, 0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _cover(photo: Photo, name: str, background: str, mask: object) -> Tensor | None:
    """How much of each pixel is the object, [1, height, width]; None: the picture as it is."""
    height, width = photo.rgb.shape[1:]
    if mask is not None:
        return read_mask(mask, height, width)
    if background == "alpha" or (background == "auto" and photo.alpha is not None):
        if photo.alpha is None:
            raise UsageError(
                f"background is 'alpha', and {name} has no transparency; give --background "
                "white, or a mask"
            )
        # what lies behind was whitened as it was read
        return photo.alpha.gt(0).float()
    if background == "none":
        return None
    white = photo.rgb.amin(0, keepdim=True) > NEARLY_WHITE
    edge = torch.cat((white[0, 0], white[0, -1], white[0, :, 0], white[0, :, -1]))
    if float(edge.float().mean()) < 0.5:
        warn(
            f"the background of {name} is not white ({float(edge.float().mean()):.0%} of its "
            "edge is); it is taken for a part of the object; give a mask by --mask, or a picture "
            "with alpha"
        )
    return (~white).float()


def _square(seen: Tensor, frame: Frame, framing: str) -> tuple[float, float, float]:
    """(left, top, side) of the part of a photo that is looked at."""
    height, width = seen.shape
    side = float(min(height, width))
    middle = ((width - side) / 2, (height - side) / 2, side)
    box = bounding_box(seen)
    if framing == "none" or box is None:
        return middle
    left, top, right, bottom = box
    longer = float(max(right - left, bottom - top))
    x, y = (left + right) / 2, (top + bottom) / 2
    if framing == "auto":
        inside = left >= middle[0] and right <= middle[0] + side
        inside = inside and top >= middle[1] and bottom <= middle[1] + side
        away = max(abs(x - width / 2), abs(y - height / 2)) / side
        usual = 0.9 * frame.least <= longer / side <= 1.1 * frame.most
        if inside and usual and away <= 1.25 * frame.away + 0.03:
            return middle
    side = longer / frame.middle
    return x - side / 2, y - side / 2, side


def _cut(rgb: Tensor, square: tuple[float, float, float], size: int) -> Tensor:
    """A square of a picture, white beyond its edges, antialiased."""
    left, top, side = square
    height, width = rgb.shape[1:]
    # whole pixels are padded and cut, and reduced with antialiasing; half a pixel does not matter
    x, y, s = round(left), round(top), max(round(side), 1)
    before = (max(-x, 0), max(x + s - width, 0), max(-y, 0), max(y + s - height, 0))
    padded = functional.pad(rgb[None], before, value=1.0)
    x, y = max(x, 0), max(y, 0)
    part = padded[:, :, y : y + s, x : x + s]
    if part.shape[-2:] == (size, size):
        return part.clamp(0, 1)
    return functional.interpolate(
        part, size=(size, size), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)
