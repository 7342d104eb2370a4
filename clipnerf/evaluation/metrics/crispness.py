"""How crisp a generator's pictures are, counted off rgb and opacity: no network, no features.

A real picture has an opacity as well: its coverage, the share of each pixel that the object fills.
All figures are in pixels and so belong to one picture size, and are read beside those of real
pictures, which are not zero: the rim of any antialiased object is half-transparent.

- half-transparent: pixels of opacity within (0.1, 0.9), over pixels of opacity above 0.1.
- edge width: from 10 to 90 % of the opacity across silhouettes, pixels; see :func:`edge_widths`.
- smoke: share of the pictures with a region of opacity within (0.1, 0.5), connected over the four
  sides of pixels and THICK, that is larger than 2 % of the object's pixels (opacity above 0.1).
- detail: mean square of the Laplacian of the luminance, two pixels or more inside the silhouette.
- see-through: pixels with an opacity below 0.9 in the midst of the object, where all of the 7 x 7
  pixels around have one above 0.5; over all pixels in such a place. The true holes of a chair are
  no midst, and neither is a body of less than one half everywhere: that one is smoke.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

LOW, HALF, HIGH = 0.1, 0.5, 0.9
SMOKE_SHARE = 0.02
THICK = 2
"""A region of smoke is made of squares of so many pixels: a rim, one pixel wide, is none."""
DETAIL_DEPTH, MIDST_DEPTH = 2, 3
"""Pixels all around that have to be inside, for detail and for see-through."""
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Views:
    """Pictures with their opacity.

    rgb: in [0, 1] on white, 256 levels. opacity: in [0, 1]; of a real picture, its coverage.
    """

    rgb: Float[Tensor, "pictures 3 height width"]
    opacity: Float[Tensor, "pictures 1 height width"]

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True)
class Crispness:
    """Figures of some pictures, as at the head of the module; None where nothing can be counted.

    whole_edges: share of the silhouette's crossings that have a width at all. What never gets
        solid, and what is thinner than its own blur, has none: fog flatters the width.
    """

    half_transparent: float | None
    edge_width: float | None
    whole_edges: float | None
    smoke: float | None
    detail: float | None
    see_through: float | None

    def over(self, reals: Crispness) -> dict[str, float | None]:
        """Every figure over the reals'; None where the reals' is zero or either is unknown."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(reals)
        return {
            key: None if value is None or not theirs[key] else value / theirs[key]
            for key, value in mine.items()
        }


def crispness(views: Views) -> Crispness:
    """All figures; pixels of all pictures count alike."""
    opacity = views.opacity.float()
    present = opacity > LOW
    midst = deep_inside(opacity, MIDST_DEPTH)
    inside = deep_inside(opacity, DETAIL_DEPTH)
    inside[..., [0, -1], :], inside[..., [0, -1]] = False, False
    widths, crossings = edge_widths(opacity)
    return Crispness(
        half_transparent=_share(present & (opacity < HIGH), present),
        edge_width=float(widths.mean()) if len(widths) else None,
        whole_edges=len(widths) / crossings if crossings else None,
        smoke=float(has_smoke(opacity).float().mean()) if present.any() else None,
        detail=float(laplacian(views.rgb)[inside].square().mean()) if inside.any() else None,
        see_through=_share(midst & (opacity < HIGH), midst),
    )


def edge_widths(opacity: Float[Tensor, "pictures 1 height width"]) -> tuple[Tensor, int]:
    """Widths of silhouettes in pixels, and the number of crossings looked at.

    A crossing is a pair of neighbors in a row or column with 0.5 between them, where the opacity
    changes along the line at least as much as across it: an edge is measured by the lines that
    meet it at 45 degrees or more. From the crossing, the line is followed both ways for as long as
    it falls (does not rise) on the one side and rises (does not fall) on the other. Where this
    reaches 0.1 and 0.9, the width is the distance of the places where the line has these values,
    linear between pixels; other crossings have none.

    A step between two pixels gives 0.8; a straight edge through pixels that are the mean of 3 x 3
    points gives 0.8 or 1.55 as it lies, 1.3 on average.
    """
    found, crossings = [], 0
    for picture in (opacity, opacity.mT):
        across = _slope_across(picture)
        for lines, slopes in ((picture, across), (picture.flip(-1), across.flip(-1))):
            widths, count = _rising(lines.flatten(0, -2), slopes.flatten(0, -2))
            found.append(widths)
            crossings += count
    return torch.cat(found), crossings


def has_smoke(opacity: Float[Tensor, "pictures 1 height width"]) -> Bool[Tensor, " pictures"]:
    """Whether each picture has a thick region of smoke; see the head of the module."""
    haze = ((opacity > LOW) & (opacity < HALF)).float()
    # an opening: the squares of THICK pixels that are haze altogether, and all their pixels
    squares = -F.max_pool2d(-haze, THICK, stride=1)
    thick = F.max_pool2d(F.pad(squares, (THICK - 1,) * 4), THICK, stride=1) > 0
    largest = torch.stack([_largest_region(each[0]) for each in thick])
    return largest > SMOKE_SHARE * (opacity > LOW).flatten(1).sum(1)


def deep_inside(
    opacity: Float[Tensor, "pictures 1 height width"], depth: int
) -> Bool[Tensor, "pictures 1 height width"]:
    """Pixels with an opacity above 0.5 in the whole square of ``depth`` pixels around them."""
    outside = (opacity <= HALF).float()
    return F.max_pool2d(outside, 2 * depth + 1, stride=1, padding=depth) == 0


def laplacian(
    rgb: Float[Tensor, "pictures 3 height width"],
) -> Float[Tensor, "pictures 1 height width"]:
    """Sum of the four neighbors' luminance, less four times the pixel's own."""
    weights = rgb.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    kernel = rgb.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return F.conv2d((rgb * weights).sum(1, keepdim=True), kernel, padding=1)


def _share(part: Tensor, whole: Tensor) -> float | None:
    count = int(whole.sum())
    return int(part.sum()) / count if count else None


def _slope_across(picture: Tensor) -> Float[Tensor, "pictures 1 lines pairs"]:
    """How much the opacity changes from line to line, at each pair of neighbors in a line."""
    padded = F.pad(picture, (0, 0, 1, 1), mode="replicate")
    change = (padded[..., 2:, :] - padded[..., :-2, :]).abs() / 2
    return torch.maximum(change[..., 1:], change[..., :-1])


def _rising(
    lines: Float[Tensor, "lines pixels"], across: Float[Tensor, "lines pairs"]
) -> tuple[Float[Tensor, " edges"], int]:
    """Widths of the edges that rise to the right, and the number of crossings."""
    low, high = lines[:, :-1], lines[:, 1:]
    crossing = (low < HALF) & (high >= HALF) & (high - low >= across)
    line, left = crossing.nonzero(as_tuple=True)
    foot = _walk(lines, line, left, LOW)
    # the other half is the same walk on the line turned upside down and around
    size = lines.shape[1]
    head = size - 1 - _walk(1 - lines.flip(1), line, size - 2 - left, 1 - HIGH)
    whole = (foot >= 0) & (head < size)
    line, foot, head = line[whole], foot[whole], head[whole]

    def place(start: Tensor, value: float) -> Tensor:
        first, second = lines[line, start], lines[line, start + 1]
        return start + (value - first) / (second - first)

    return place(head - 1, HIGH) - place(foot, LOW), int(len(left))


def _walk(lines: Tensor, line: Tensor, start: Tensor, value: float) -> Tensor:
    """From each start to the left while the line does not rise: the first pixel at or below
    ``value``, -1 where the walk ends before."""
    place, found = start.clone(), torch.full_like(start, -1)
    active = torch.ones_like(start, dtype=torch.bool)
    while active.any():
        here = lines[line, place]
        arrived = active & (here <= value)
        found[arrived] = place[arrived]
        further = (place - 1).clamp(min=0)
        active &= ~arrived & (place > 0) & (lines[line, further] <= here)
        place = torch.where(active, further, place)
    return found


def _largest_region(mask: Bool[Tensor, "height width"]) -> Tensor:
    """Pixels of the largest region connected over the four sides of pixels."""
    count = mask.numel()
    names = torch.arange(1, count + 1, dtype=torch.float32, device=mask.device)
    names = names.view(mask.shape) * mask
    for _ in range(count):  # every region takes the largest name in it; a few rounds, as a rule
        # a pixel's own name points to another pixel, whose name may have grown: a short cut
        followed = torch.cat([names.new_zeros(1), names.flatten()])[names.long()]
        rows = F.max_pool2d(followed[None, None], (3, 1), stride=1, padding=(1, 0))
        columns = F.max_pool2d(followed[None, None], (1, 3), stride=1, padding=(0, 1))
        grown = torch.maximum(rows, columns)[0, 0] * mask
        if torch.equal(grown, names):
            break
        names = grown
    return torch.bincount(names[mask].long(), minlength=1).max()
