"""Features of pictures from a CLIP image encoder; distances between them are named FD-CLIP."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

BATCH = 128
"""Pictures encoded at a time: bounds memory with a big encoder."""


@runtime_checkable
class ImageEncoder(Protocol):
    """The part of `clipnerf.clip.model.Clip` that is needed here.

    A protocol, so that a training without CLIP does not wait for open_clip to be imported.
    """

    @property
    def name(self) -> str:
        """What it was loaded from."""
        ...

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over its weights."""
        ...

    def encode_image(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed"]:
        """Unit features of pictures in [0, 1]."""
        ...


@torch.no_grad()
def image_features(
    clip: ImageEncoder, pictures: Float[Tensor, "pictures 3 height width"], batch: int = BATCH
) -> Float[Tensor, "pictures embed"]:
    """Unit-length CLIP features on the CPU, float32.

    Args:
        pictures: in [0, 1], any size; sent to the model's device where it says which that is.
        batch: pictures encoded at a time.
    """
    device = getattr(clip, "device", pictures.device)
    parts = pictures.split(batch)
    return torch.cat([clip.encode_image(part.to(device)).float().cpu() for part in parts])


def as_8_bit(
    pictures: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """Rendered pictures rounded to the 256 levels that real pictures have."""
    return pictures.clamp(0, 1).mul(255).round().div(255)
