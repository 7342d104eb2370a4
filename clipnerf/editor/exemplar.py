"""Exemplars: a picture in the place of the words, for the same mappers.

CLIP-NeRF (section 3.4) puts the picture's embedding E_i(exemplar) in the place of E_t(text). But
CLIP keeps pictures and words in different places (the modality gap), and a mapper looks at the
direction from `centre`, a text embedding: from there, any picture lies "towards pictures" first.
So the direction of an exemplar is taken among pictures, without the part that only the other code
can follow, and laid on to the mapper's centre:

    centre + GAIN * reject_other(E_i(exemplar) - mean of E_i over the generator's own pictures)

Measured on data/pretrained/chairs: 24 exemplars, drawn by the procedural category (and 24 rendered
by the generator), each on 6 objects. Share of the seat and back colors, and of six attributes of
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
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.arrays import is_rendered, rendered_pictures
from clipnerf.data.photo import read_square
from clipnerf.data.pictures import Picture, label
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

Exemplar = Picture | Sequence[Picture]
"""Pictures by their paths, PIL images or arrays; or, as tensors, as they are rendered: in [0, 1],
[3, height, width] or [batch, 3, height, width]."""


def read_exemplar(picture: object, size: int) -> Float[Tensor, "1 3 size size"]:
    """A picture as a model is fed: RGB in [0, 1], its middle square, `size` pixels.

    Raises:
        UsageError: what cannot be read, see :func:`clipnerf.data.photo.read_square`, or one plain
            color, which shows no object; one line.
    """
    pixels = read_square(picture, size, "the exemplar")
    if (pixels == pixels[:, :, :1, :1]).all():
        raise UsageError(
            f"{label('the exemplar', picture)} is of one plain color, so it shows no object; give "
            "a picture of an object, or say the color with text"
        )
    return pixels


def exemplar_pictures(image: object, size: int) -> list[Float[Tensor, "some 3 height width"]]:
    """What a person gives as exemplars, as pictures in [0, 1]; those of a list one by one.

    Raises:
        UsageError: what :func:`read_exemplar` says, an empty list, or a tensor that is no picture.
    """
    if isinstance(image, list | tuple):
        if len(image) == 0:
            raise UsageError("image is an empty list; give one picture, or one for each object")
        if not any(isinstance(each, list | tuple) for each in image):
            return [some for each in image for some in exemplar_pictures(each, size)]
    if is_rendered(image):
        return [rendered_pictures(image)]
    if isinstance(image, np.ndarray | Tensor) and image.ndim == 4:
        return [read_exemplar(each, size) for each in image]
    return [read_exemplar(image, size)]


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
