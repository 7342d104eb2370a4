"""``clipnerf segment``: a picture and a phrase in, the mask and an overlay out."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from clipnerf.config.paths import bundle_path
from clipnerf.config.segmentation import SegmentConfig
from clipnerf.data.photo import read_photo
from clipnerf.errors import UsageError, warn
from clipnerf.io.atomic import check_writable
from clipnerf.io.sheet import overlay, save_png, to_uint8
from clipnerf.segmentation.metrics import found
from clipnerf.segmentation.segmenter import FILE_NAME, Segmenter
from clipnerf.training.precision import pick_device


def segment(config: SegmentConfig) -> list[Path]:
    """Writes a mask and an overlay for each phrase; says which were not found.

    Raises:
        UsageError: no picture, no segmenter, or an empty phrase.
    """
    config.validate()
    files = _files(Path(config.out), len(config.text))
    picture = read_photo(config.image).rgb
    folder = bundle_path(config.bundle)
    if folder.is_dir() and not (folder / FILE_NAME).is_file():
        raise UsageError(
            f"{str(folder)!r} holds no {FILE_NAME}; give a bundle that does, or make one with "
            "clipnerf train-segmenter"
        )
    segmenter = Segmenter.load(folder).to(pick_device(config.device))
    for text in config.text:
        unknown = segmenter.unknown_words(text)
        if unknown:
            warn(
                f"the segmenter never met {', '.join(map(repr, unknown))} of {text!r}; it may "
                "find nothing, or something else"
            )
    masks = found(segmenter.segment(_square(picture)[None], config.text).cpu(), config.threshold)
    masks = masks[..., : picture.shape[1], : picture.shape[2]]
    paths = []
    for text, mask, (path, beside) in zip(config.text, masks, files, strict=True):
        if not mask.any():
            warn(f"no such part: {text!r} is not in {config.image}")
        paths.append(save_png(path, to_uint8(mask.float().expand(1, 3, -1, -1))[0]))
        paths.append(save_png(beside, to_uint8(overlay(picture, mask.float())[None])[0]))
    return paths


def _files(out: Path, count: int) -> list[tuple[Path, Path]]:
    """Mask and overlay of each phrase; UsageError where one cannot be written."""
    stems = [out.stem] if count == 1 else [f"{out.stem}-{n + 1}" for n in range(count)]
    files = [(out.with_stem(stem), out.with_stem(f"{stem}-overlay")) for stem in stems]
    for pair in files:
        for path in pair:
            check_writable(path, file=True)
    return files


def _square(picture: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 side side"]:
    """White joined to the right or below: nothing is squeezed."""
    height, width = picture.shape[1:]
    side = max(height, width)
    return functional.pad(picture, (0, side - width, 0, side - height), value=1.0)
