"""How well parts are found, in pictures and in space, and how local the edits of parts are.

segmenter     against exact masks of held-out pictures (IoU, Pr@X, absent phrases)
region field  on those pictures' objects after inversion, against the same exact masks; and on
              generated objects, against what the segmenter says of the very view
voting        the same by the votes of a ring of segmented views (``voting.py``)
local edits   leak: how much of all change lies outside the part that the segmenter sees in the
              unedited view (one pixel wider, for the soft edges of a rendering); whether the
              recognizer reads the color that was asked for; whether a bit of opacity changed
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from clipnerf.data.referring import ReferringDataset
from clipnerf.evaluation.segmentation.voting import vote
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera
from clipnerf.segmentation.metrics import Figures, figures, found, intersection_over_union
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.vision.recognizer import Recognizer

SHOWN = 0.5
"""Share of what a pixel shows of an object from which it counts as showing a region."""
SPECK = 8
"""A mask of so many pixels or fewer counts as none: a part that is hidden."""
THERE = 0.3
"""Opacity from which a pixel counts as showing an object at all."""


@dataclass(frozen=True)
class RegionRow:
    """One way to find parts, on one kind of pictures.

    Attributes:
        what: 'segmenter', 'region field' or 'voting'. on: which pictures, and against what.
        part_iou: mean over phrases of their mean IoU. by_text: phrase -> mean IoU, how many.
        of: what these phrases are: 'part' (those evaluated), or 'text' (whatever is said).
        seconds: a mask of a new object, without what is shared by all objects.
    """

    what: str
    on: str
    figures: Figures
    part_iou: float
    by_text: Mapping[str, tuple[float, int]]
    seconds: float
    of: str = "part"

    def line(self) -> str:
        """For a terminal."""
        return (
            f"{self.what + ', ' + self.on:<46}{self.of} mIoU {self.part_iou:.3f}  "
            f"{self.figures.line()}  {1000 * self.seconds:.0f} ms"
        )


def summed(
    what: str,
    on: str,
    masks: Bool[Tensor, "phrases 1 h w"],
    true: Bool[Tensor, "phrases 1 h w"],
    texts: Sequence[str],
    seconds: float,
) -> RegionRow:
    """A row from masks found and true ones; a phrase whose true mask is empty names nothing."""
    absent = ~true.flatten(1).any(1)
    iou = intersection_over_union(masks, true)
    by_text: dict[str, list[float]] = {}
    for text, value, gone in zip(texts, iou.tolist(), absent.tolist(), strict=True):
        if not gone:
            by_text.setdefault(text, []).append(value)
    means = {text: (sum(v) / len(v), len(v)) for text, v in sorted(by_text.items())}
    part = sum(mean for mean, _ in means.values()) / max(len(means), 1)
    whole = figures(iou, masks.flatten(1).any(1), absent)
    return RegionRow(what, on, whole, part, means, seconds)


def segmenter_row(
    segmenter: Segmenter, data: ReferringDataset, phrases: Sequence[str] | None
) -> RegionRow:
    """The segmenter on pictures with known masks; of these phrases only, or of all."""
    rows = [n for n, sample in enumerate(data.samples) if phrases is None or sample.text in phrases]
    masks, true, texts = [], [], []
    start = time.perf_counter()
    for some in (rows[i : i + 48] for i in range(0, len(rows), 48)):
        pictures = sorted({data.samples[n].picture for n in some})
        of = [pictures.index(data.samples[n].picture) for n in some]
        said = [data.samples[n].text for n in some]
        masks.append(found(segmenter.segment_many(data.batch(pictures), said, of)).cpu())
        true.append(data.masks(some) > 0.5)
        texts += said
    seconds = (time.perf_counter() - start) / max(len(rows), 1)
    on = "held-out pictures" if phrases is None else "held-out pictures, parts"
    row = summed("segmenter", on, torch.cat(masks), torch.cat(true), texts, seconds)
    return replace(row, of="text" if phrases is None else "part")


def voting_row(
    generator: Generator,
    segmenter: Segmenter,
    codes: Codes,
    camera: Camera,
    phrases: Sequence[str],
    true: Bool[Tensor, "all 1 h w"],
    on: str,
) -> RegionRow:
    """Votes for every phrase on every object; ``true`` object by object, phrase by phrase."""
    start = time.perf_counter()
    chances = [
        vote(generator, segmenter, codes[row], text, camera[row])
        for row in range(len(codes))
        for text in phrases
    ]
    seconds = (time.perf_counter() - start) / len(chances)
    masks = without_specks(torch.cat(chances) > SHOWN).cpu()
    return summed("voting", on, masks, true, list(phrases) * len(codes), seconds)


def without_specks(masks: Bool[Tensor, "batch 1 h w"]) -> Bool[Tensor, "batch 1 h w"]:
    """Nothing in the place of SPECK pixels or fewer."""
    return masks & (masks.flatten(1).sum(1) > SPECK)[:, None, None, None]


def shows(
    region: Float[Tensor, "batch 1 h w"], opacity: Float[Tensor, "batch 1 h w"]
) -> Bool[Tensor, "batch 1 h w"]:
    """Pixels that show a region; ``region`` is how much of each pixel shows it."""
    return (region > SHOWN * opacity) & (opacity > THERE)


@dataclass(frozen=True)
class LocalRow:
    """Local edits of one part to several colors.

    Attributes:
        leak: change outside the part that the segmenter sees, share of all change.
        right: share of edits after which the recognizer reads the color there.
        same_opacity: whether opacity is the same in every bit.
        painted: share of edits in which paint had to take the network's place.
        plain: ``right`` and ``leak`` of the same edit of the whole object.
    """

    part: str
    count: int
    leak: float
    right: float
    same_opacity: bool
    painted: float
    plain: tuple[float, float]

    def line(self) -> str:
        """For a terminal."""
        same = "bit for bit" if self.same_opacity else "CHANGED"
        return (
            f"{self.part:<20}{self.count:>5} edits  leak {self.leak:.3f} (whole object "
            f"{self.plain[1]:.3f})  color right {self.right:.3f} (whole object "
            f"{self.plain[0]:.3f})  painted {self.painted:.2f}  opacity {same}"
        )


def leak(
    before: Float[Tensor, "batch 3 h w"],
    after: Float[Tensor, "batch 3 h w"],
    part: Bool[Tensor, "batch 1 h w"],
) -> tuple[float, float]:
    """Change outside the part (and one pixel around it), and all change, summed over pictures."""
    change = (after - before).abs().sum(1, keepdim=True)
    near = functional.max_pool2d(part.float(), 3, 1, 1) > 0
    return float((change * ~near).sum()), float(change.sum())


def reads(
    recognizer: Recognizer, pictures: Sequence[Tensor], attribute: str, value: str
) -> Float[Tensor, " objects"]:
    """Share of each object's pictures that are read as a value."""
    said = [recognizer.read(some).is_value(attribute, value).float() for some in pictures]
    return torch.stack(said).mean(0)
