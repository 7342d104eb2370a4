"""Levels of any depth to 8 bits a channel, and alpha over a background.

8 bits are taken as they are. Deeper gray (16 and 32-bit integers, floats) does not say where its
white is; the largest level of the picture tells: floats up to 1 are shares, whole numbers up to 255
are 8 bits, up to 4095 12 bits in 16, up to 65535 16 bits. Anything else is refused.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from clipnerf.data.source import BrokenPicture

_SCALES = (255, 4095, 65535)
_LEAST_OF_FLOATS = 16
"""Between 1 and this the largest of floats says nothing: brighter than white, or nearly black."""
_AT_ONCE = 2**22
"""Pixels that are converted at a time, or intermediate copies would be larger than the picture."""


def full_scale(levels: np.ndarray) -> int:
    """The level of white, from the largest one.

    Raises BrokenPicture: levels that are negative, no numbers, or fit no scale.
    """
    low, high = levels.min(), levels.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BrokenPicture("has levels that are no finite numbers")
    floats = levels.dtype.kind == "f"
    if low < 0:
        raise BrokenPicture(f"has levels down to {low:g}; allowed: 0 and more")
    if floats and high <= 1.001:
        return 1
    if high > _SCALES[-1] or (floats and high < _LEAST_OF_FLOATS):
        raise BrokenPicture(
            f"has levels up to {high:g}; allowed: floats in [0, 1], or levels of 8, 12 or 16 bits"
        )
    return next(scale for scale in _SCALES if high <= scale)


def eight_bits(levels: np.ndarray, scale: int) -> np.ndarray:
    """Levels from 0 to ``scale`` as bytes, rounded."""
    shares = np.clip(levels.astype(np.float64) / scale, 0, 1)
    return (shares * 255 + 0.5).astype(np.uint8)


def is_deep(picture: Image.Image) -> bool:
    """Whether its gray has more than 8 bits."""
    return picture.mode.startswith("I") or picture.mode == "F"


def has_alpha(picture: Image.Image) -> bool:
    """Whether it says what is transparent: a channel, or a color."""
    return bool({"A", "a"} & set(picture.getbands())) or "transparency" in picture.info


def to_rgb(picture: Image.Image, background: float) -> Image.Image:
    """8-bit RGB; alpha goes over a gray level in [0, 1]. Raises BrokenPicture: see full_scale."""
    if picture.mode == "RGB" and not has_alpha(picture):
        return picture
    gray = round(255 * background)

    def over(strip: Image.Image) -> Image.Image:
        if strip.mode == "RGBA":
            behind = Image.new("RGBA", strip.size, (gray, gray, gray, 255))
            strip = Image.alpha_composite(behind, strip)
        return strip.convert("RGB")

    return _by_strips(picture, "RGB", over)


def alpha_of(picture: Image.Image) -> Image.Image | None:
    """The alpha channel, 8 bits; None where nothing can be transparent."""
    if not has_alpha(picture):
        return None
    return _by_strips(picture, "L", lambda strip: strip.getchannel("A"))


def _by_strips(
    picture: Image.Image, mode: str, work: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """What ``work`` makes of RGB or RGBA, pixel by pixel, without large copies."""
    scale = full_scale(np.asarray(picture)) if is_deep(picture) else 0
    width, height = picture.size
    if width * height <= _AT_ONCE:
        return work(_colors(picture, scale))
    result = Image.new(mode, picture.size)
    rows = max(_AT_ONCE // width, 1)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        result.paste(work(_colors(strip, scale)), (0, top))
    return result


def _colors(picture: Image.Image, scale: int) -> Image.Image:
    """As RGB, or RGBA where there is alpha."""
    transparent = picture.info.get("transparency")
    if is_deep(picture):
        levels = np.asarray(picture)
        picture = Image.fromarray(eight_bits(levels, scale))
        if isinstance(transparent, int):
            picture.putalpha(
                Image.fromarray((levels != transparent).astype(np.uint8) * np.uint8(255))
            )
    elif picture.mode == "La":
        picture = picture.convert("LA")
    elif picture.mode == "RGB" and isinstance(transparent, tuple) and max(transparent) > 255:
        # of 16 bits a channel Pillow keeps 8, but not of the color that is transparent
        picture = picture.copy()
        picture.info["transparency"] = tuple(level >> 8 for level in transparent)
    return picture.convert("RGBA" if has_alpha(picture) else "RGB")
