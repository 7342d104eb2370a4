"""What a CLIP model wants done to a picture, on tensors and differentiable.

open_clip's own transform works on 8-bit PIL pictures, without gradients. Here the same resize is
written as two matrix products (Pillow's filter coefficients, horizontal pass first), so that it
has gradients, is deterministic on every device, and gives the *same numbers*: Pillow rounds to
8 bits after each pass, and so do we, with a straight-through gradient. Without that rounding the
two differ by 0.004 on average after the division by std. (Pillow 13 begins with the vertical pass
for some tall pictures; a few pixels of these then differ by a level.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.ranges import Positive, Width, check, require

_SUPPORT = {"bicubic": 2.0, "bilinear": 1.0}
_FIXED_POINT = 2.0**22  # Pillow keeps its coefficients in 22 bits for 8-bit pictures.


@dataclass(frozen=True)
class Preprocess:
    """A model's own preprocessing; call it with pictures to get what the model is fed."""

    size: tuple[int, int]
    """Height and width of the model's input, pixels."""
    mean: tuple[float, ...]
    """Mean of each channel, in [0, 1] units."""
    std: tuple[float, ...]
    """Standard deviation of each channel, in [0, 1] units."""
    interpolation: str = "bicubic"
    """bicubic or bilinear, always with antialiasing."""
    resize_mode: str = "shortest"
    """shortest (crop the rest), longest (pad the rest) or squash."""
    fill: float = 0.0
    """Color of the padding, in [0, 1] units."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocess":
        """From an open_clip preprocessing configuration (its ``preprocess_cfg``).

        Raises:
            UsageError: sizes, means or deviations out of range.
        """
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
        interpolation = config.get("interpolation") or "bicubic"
        made = cls(
            size=(height, width),
            mean=_three(config["mean"]),
            std=_three(config["std"]),
            # open_clip's "random" is for its training only, and bicubic otherwise.
            interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
            resize_mode=config.get("resize_mode") or "shortest",
            fill=config.get("fill_color", 0) / 255,
        )
        check("size", made.size, tuple[Width, ...])
        check("std", made.std, tuple[Positive, ...])
        check("mean", [*made.mean, made.fill], list[float])
        for key, values in (("mean", made.mean), ("std", made.std)):
            require(len(values) == 3, key, values, "one number, or one for each channel")
        return made

    def __call__(
        self, pictures: Float[Tensor, "batch 3 height width"], round_8bit: bool = True
    ) -> Float[Tensor, "batch 3 size_h size_w"]:
        """Resized, cropped or padded, and normalized.

        Args:
            pictures: in [0, 1], any height and width.
            round_8bit: round where Pillow does (only a resize rounds; gradients pass straight
                through). False keeps fractions of a level, as open_clip's transform does when
                it is given a tensor in the place of a PIL picture.
        """
        pictures = _resize(pictures, self._resized(*pictures.shape[-2:]), self._filter, round_8bit)
        pictures = _crop_or_pad(pictures, self.size, self.fill)
        shape = (1, len(self.mean), 1, 1)
        return (pictures - pictures.new_tensor(self.mean).view(shape)) / pictures.new_tensor(
            self.std
        ).view(shape)

    @property
    def _filter(self) -> str:
        # open_clip resizes to a model that is not square by bicubic, whatever is configured.
        oblong = self.size[0] != self.size[1]
        return "bicubic" if oblong and self.resize_mode == "shortest" else self.interpolation

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after the resize, before the crop; rounded as open_clip rounds."""
        ratios = (height / self.size[0], width / self.size[1])
        if self.resize_mode == "squash":
            return self.size
        if self.resize_mode == "longest":
            return round(height / max(ratios)), round(width / max(ratios))
        if self.size[0] != self.size[1]:
            return round(height / min(ratios)), round(width / min(ratios))
        short = self.size[0]
        long = int(short * max(height, width) / min(height, width))
        return (short, long) if height <= width else (long, short)


def _three(values: float | Sequence[float | int]) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, Sequence) else (float(values),) * 3


def _resize(pictures: Tensor, size: tuple[int, int], kind: str, round_8bit: bool) -> Tensor:
    """Antialiased resize in two passes, the horizontal one first; the result is in [0, 1]."""
    (height, width), (new_height, new_width) = pictures.shape[-2:], size
    if (height, width) == size:
        return pictures
    # Doubles hold 8-bit levels times 22-bit coefficients exactly; Apple's GPUs have no doubles.
    exact = round_8bit and pictures.device.type != "mps"
    levels = (pictures.double() if exact else pictures) * 255
    if exact:  # what was a whole level before float32 is one again
        whole = levels.detach().round()
        snapped = levels + (whole - levels.detach())
        levels = torch.where((levels - whole).abs() < 1e-4, snapped, levels)
    if new_width != width:
        levels = levels @ _matrix_on(levels, width, new_width, kind, exact).mT
        levels = _settle(levels, round_8bit)
    if new_height != height:
        levels = _matrix_on(levels, height, new_height, kind, exact) @ levels
        levels = _settle(levels, round_8bit)
    return (levels / 255).to(pictures.dtype)


def _settle(levels: Tensor, round_8bit: bool) -> Tensor:
    """Clamps the overshoot of the bicubic filter, and rounds to whole levels, straight through."""
    levels = levels.clamp(0, 255)
    if not round_8bit:
        return levels
    return levels + (torch.floor(levels.detach() + 0.5) - levels.detach())


def _matrix_on(like: Tensor, old: int, new: int, kind: str, exact: bool) -> Tensor:
    return torch.from_numpy(_matrix(old, new, kind, exact)).to(like)


@lru_cache(maxsize=64)
def _matrix(old: int, new: int, kind: str, exact: bool) -> Float[np.ndarray, "new old"]:
    """The resize of one axis from ``old`` to ``new`` pixels: Pillow's coefficients, row by row."""
    scale = old / new
    stretch = max(scale, 1.0)  # the antialiasing: a wider filter when shrinking
    support = _SUPPORT[kind] * stretch
    matrix = np.zeros((new, old))
    for row in range(new):
        center = (row + 0.5) * scale
        first = max(int(center - support + 0.5), 0)
        last = min(int(center + support + 0.5), old)
        weights = [_kernel((x - center + 0.5) / stretch, kind) for x in range(first, last)]
        matrix[row, first:last] = np.array(weights) / sum(weights)
    if exact:
        matrix = np.trunc(matrix * _FIXED_POINT + np.copysign(0.5, matrix)) / _FIXED_POINT
    return matrix


def _kernel(x: float, kind: str) -> float:
    """Pillow's filters: the triangle, and Keys' cubic with a = −0.5."""
    x = math.fabs(x)
    if kind == "bilinear":
        return max(0.0, 1.0 - x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def _crop_or_pad(pictures: Tensor, size: tuple[int, int], fill: float) -> Tensor:
    """The centre of ``pictures``, padded where they are smaller; rounded as torchvision rounds."""
    pad_y, pad_x = (max(size[i] - pictures.shape[i - 2], 0) for i in (0, 1))
    if pad_y or pad_x:
        margins = (pad_x // 2, (pad_x + 1) // 2, pad_y // 2, (pad_y + 1) // 2)
        pictures = torch.nn.functional.pad(pictures, margins, value=fill)
    top, left = (int(round((pictures.shape[i - 2] - size[i]) / 2.0)) for i in (0, 1))
    return pictures[..., top : top + size[0], left : left + size[1]]
