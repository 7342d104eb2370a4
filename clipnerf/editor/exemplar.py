"""Exemplars: a picture in the place of the words, for the same mappers.

CLIP-NeRF (section 3.4) puts the picture's embedding E_i(exemplar) in the place of E_t(text). But
CLIP keeps pictures and words in different places (the modality gap), and a mapper looks at the
direction from `centre`, a text embedding: from there, any picture lies "towards pictures" first.
So the direction of an exemplar is taken among pictures, without the part that only the other code
can follow, and laid on to the mapper's centre:

    centre + GAIN * reject_other(E_i(exemplar) - mean of E_i over the generator's own pictures)

Measured on data/pretrained/chairs: 24 exemplars, drawn by the procedural category (and 24 rendered
by the generator), each on 6 objects. Share of the seat and back colours, and of six attributes of
shape, that are read as the exemplar's; cosine of the embeddings of result and exemplar:

    before any edit                       0.13 (0.07)   0.47 (0.48)   0.24 (0.22)
    E_i as it is, the paper's             0.56 (0.54)   0.52 (0.50)   0.53 (0.53)
    the same direction, of length 2       0.75 (0.67)   0.52 (0.46)   0.60 (0.58)
    difference from the mean, x 2         0.83 (0.65)   0.56 (0.54)   0.64 (0.61)
    without the other code's part, GAIN   0.77 (0.70)   0.60 (0.58)   0.64 (0.64)

docs/editing.md says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.photo import SMALLEST_SIDE
from clipnerf.data.pictures import BrokenPicture, Source, decode, peek
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.training.seeds import torch_generator

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

GAIN = 1.8
"""How far the direction of a picture is lengthened: its cosine with that of words for the same is
0.4, as a picture shows a whole object and a prompt speaks of one attribute. Of 1.6, 2.0 and 2.5 the
first is best for the generator's own pictures, the second for others."""

OWN_CODES = 8
"""Shapes and appearances whose 8 x 8 combinations stand for the category."""

OWN_DIRECTIONS = 6
"""Directions of the embedding that are taken to belong to one of the codes, of at most 7."""

Exemplar = str | Path | Sequence[str | Path] | Tensor
"""Paths, or pictures in [0, 1], [3, height, width] or [batch, 3, height, width]; other tensors are
refused in words."""


def read_exemplar(path: str | Path, size: int) -> Float[Tensor, "1 3 size size"]:
    """A picture file as a model is fed: RGB in [0, 1], its middle square, `size` pixels.

    As pictures of a dataset are read: EXIF rotation is honoured, alpha goes over white, grey and
    16 bits become RGB.

    Raises:
        UsageError: no file, no picture, too many pixels (about 180 million), a side below
            SMALLEST_SIDE, or one plain colour, which shows no object; one line.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"the exemplar '{path}' {what}; give a picture, such as photo.png")
    source = Source(path.parent)
    try:
        width, height = peek(source, path.name)
        _check_sides(f"the exemplar '{path}'", height, width)
        pixels, _ = decode(source, path.name, size)
    except BrokenPicture as error:
        raise UsageError(
            f"the exemplar '{path}' {error}; give a PNG, JPEG, WebP, BMP, TIFF or GIF picture"
        ) from error
    if (pixels == pixels[:, :1, :1]).all():
        raise UsageError(
            f"the exemplar '{path}' is of one plain colour, so it shows no object; give a picture "
            "of an object, or say the colour with text"
        )
    return torch.from_numpy(pixels.astype(np.float32))[None] / 255


def exemplar_pictures(image: Exemplar, size: int) -> list[Float[Tensor, "some 3 height width"]]:
    """What a person gives as exemplars, as pictures in [0, 1]; those of a list one by one.

    Raises:
        UsageError: what :func:`read_exemplar` says, an empty list, or a tensor that is no picture.
    """
    if isinstance(image, str | Path):
        return [read_exemplar(image, size)]
    if not isinstance(image, Tensor):
        if len(image) == 0:
            raise UsageError("image is an empty list; give one picture, or one for each object")
        return [read_exemplar(path, size) for path in image]
    pictures = image.detach().float()
    if pictures.ndim == 3:
        pictures = pictures[None]
    if pictures.ndim != 4 or pictures.shape[1] != 3 or len(pictures) == 0:
        raise UsageError(
            f"image is a tensor of shape {tuple(image.shape)}; a picture is [3, height, width], "
            "several are [batch, 3, height, width]"
        )
    _check_sides("image", pictures.shape[2], pictures.shape[3])
    # what is drawn sums to 1 only up to rounding
    if not (bool(torch.isfinite(pictures).all()) and -0.01 <= float(pictures.min())):
        raise UsageError("image has values below 0 or no numbers; a picture is in [0, 1]")
    if float(pictures.max()) > 1.01:
        raise UsageError(
            f"image has values up to {float(pictures.max()):g}; a picture is in [0, 1]: "
            "divide 8-bit levels by 255"
        )
    return [pictures.clamp(0, 1)]


@dataclass(frozen=True)
class OwnPictures:
    """What CLIP sees in the generator's own pictures.

    Attributes:
        mean: of the embeddings, the category without an attribute; not of unit norm, as it lies
            among points on a sphere.
        along: directions in which the embeddings differ by a code, shape or appearance, alone;
            orthonormal columns.
    """

    mean: Float[Tensor, " embed"]
    along: dict[str, Float[Tensor, "embed directions"]]

    def embedding(
        self,
        pictures: Float[Tensor, "batch embed"],
        which: str,
        centre: Float[Tensor, " embed"],
        gain: float | int = GAIN,
    ) -> Float[Tensor, "batch embed"]:
        """What a mapper is given for exemplars.

        Args:
            pictures: unit embeddings of the exemplars.
            which: the code that the mapper changes, shape or appearance.
            centre: of the mapper; a text embedding.
        """
        direction = pictures - self.mean
        other = self.along["appearance" if which == "shape" else "shape"]
        return centre + gain * (direction - direction @ other @ other.mT)


@torch.no_grad()
def own_pictures(generator: Generator, clip: Clip) -> OwnPictures:
    """Looks at OWN_CODES shapes (seeds 0, 1, ...) in as many appearances, from random cameras."""
    few = Codes.from_seeds(range(OWN_CODES), generator.config.field.code_dim)
    row = torch.arange(OWN_CODES)
    codes = Codes(
        few.shape[row.repeat_interleave(OWN_CODES)], few.appearance[row.repeat(OWN_CODES)]
    )
    camera = generator.sample_cameras(
        len(codes), max(clip.preprocess.size), torch_generator(0, 0, 0, "exemplar")
    )
    views = generator.render(codes.to(generator.device), camera, samples=generator.config.samples)
    seen = clip.encode_image(views.rgb).unflatten(0, (OWN_CODES, OWN_CODES))
    mean = seen.mean((0, 1))
    # averaged over one code, what is left is the other's
    differences = {"shape": seen.mean(1) - mean, "appearance": seen.mean(0) - mean}
    along = {
        which: torch.linalg.svd(some, full_matrices=False).Vh[:OWN_DIRECTIONS].mT.contiguous()
        for which, some in differences.items()
    }
    return OwnPictures(mean, along)


def _check_sides(what: str, height: int, width: int) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(
            f"{what} is {width} x {height} pixels; allowed: {SMALLEST_SIDE} or more a side; "
            "give a larger picture"
        )
