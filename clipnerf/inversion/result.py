"""What an inversion found: codes, poses, how well they fit, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.config.ranges import Width, check
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes, Detail
from clipnerf.inversion.pose import Pose
from clipnerf.io.weights import load_weights, rebuilding, save_weights
from clipnerf.rendering.cameras import Camera

FILE_NAME = "codes.safetensors"
KIND = "codes"
LEAST_R2 = 0.85
"""Below, a reconstruction is called poor; docs/inversion.md says what lies there."""


@dataclass(frozen=True)
class Moment:
    """How far an optimization was after a step.

    Attributes:
        step: steps done.
        stage: 'start', 'rough', 'fine' or 'paper'.
        psnr: of each picture, dB; in the rough stage from a quarter of the pixels.
        codes, pose: of the best so far; kept at some steps only.
    """

    step: int
    stage: str
    psnr: tuple[float, ...]
    codes: Codes | None = None
    pose: Pose | None = None


@dataclass(frozen=True)
class Inversion:
    """Objects found in pictures.

    Attributes:
        codes: one object a picture; edit and render them like any others.
        poses: where each picture was taken from.
        cameras: the same as cameras of the fitted pictures' size.
        psnr: of the reconstructions, dB.
        foreground_r2: share of what sets the picture off from white that the reconstruction shows.
        history: steps on the way.
        interrupted: the person stopped it; this is the best until then.
        pictures: what was fitted, a photo without its background and framed.
    """

    codes: Codes
    poses: Pose
    cameras: Camera
    psnr: Float[Tensor, " batch"]
    foreground_r2: Float[Tensor, " batch"]
    history: tuple[Moment, ...] = field(default=(), repr=False)
    interrupted: bool = False
    pictures: Float[Tensor, "batch 3 size size"] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def poor(self) -> tuple[bool, ...]:
        """Whether each reconstruction shows less than LEAST_R2 of its picture."""
        return tuple(float(share) < LEAST_R2 for share in self.foreground_r2)

    @staticmethod
    def cat(parts: Sequence[Inversion]) -> Inversion:
        """Several as one; the history of the first."""
        first = parts[0]
        if len(parts) == 1:
            return first
        cameras = Camera.cat([part.cameras for part in parts])
        return Inversion(
            Codes.cat([part.codes for part in parts]),
            Pose.cat([part.poses for part in parts]),
            cameras,
            torch.cat([part.psnr for part in parts]),
            torch.cat([part.foreground_r2 for part in parts]),
            first.history,
            any(part.interrupted for part in parts),
            torch.cat([part.pictures for part in parts if part.pictures is not None]),
        )

    def save(self, path: str | Path, generator_hash: str, names: Sequence[str] = ()) -> Path:
        """Writes codes, poses and figures as one small safetensors file.

        Args:
            generator_hash: of the generator that the codes are for.
            names: of the pictures.
        Raises:
            UsageError: codes with local edits, which a file cannot hold.
        """
        if self.codes.layers:
            raise UsageError(
                f"the codes have {len(self.codes.layers)} local edits, which a file cannot hold; "
                "save the codes before the edits, and edit them again"
            )
        codes, poses = self.codes, self.poses
        tensors = {
            "shape": codes.shape,
            "appearance": codes.appearance,
            "rotation": poses.rotation,
            "distance": poses.distance,
            "shift": poses.shift,
            "psnr": self.psnr,
            "foreground_r2": self.foreground_r2,
        }
        if codes.detail is not None:
            tensors["detail_shape"] = codes.detail.shape
            tensors["detail_appearance"] = codes.detail.appearance
        config = {"names": list(names), "size": self.cameras.width}
        extra = {"generator_hash": generator_hash}
        return save_weights(path, tensors, kind=KIND, config=config, extra=extra)


@dataclass(frozen=True)
class SavedCodes:
    """What :func:`load_codes` found. names: of the pictures that the objects were found in."""

    codes: Codes
    poses: Pose
    names: tuple[str, ...]
    size: int
    psnr: Float[Tensor, " batch"]
    foreground_r2: Float[Tensor, " batch"]

    def cameras(self, prior: CameraPriorConfig, size: int | None = None) -> Camera:
        """The cameras of the photos, for pictures of ``size`` pixels; as fitted where None."""
        return self.poses.camera(prior, size or self.size)


def load_codes(path: str | Path, generator_hash: str | None = None) -> SavedCodes:
    """Reads what :meth:`Inversion.save` wrote.

    Args:
        generator_hash: of the generator at hand; None: any.
    Raises:
        UsageError: a file that is missing, foreign, truncated, or of another generator.
    """
    weights = load_weights(path, KIND)
    own = weights.metadata.get("generator_hash", "")
    if generator_hash is not None and own != generator_hash:
        raise UsageError(
            f"the codes in '{path}' belong to the generator {own or '(unknown)'}, and this one is "
            f"{generator_hash}; invert the photo again with this bundle"
        )
    with rebuilding(path):
        tensors = {name: tensor.float() for name, tensor in weights.tensors.items()}
        count, width = tensors["shape"].shape
        if not count:
            raise ValueError("it holds no object")
        sizes = {"shape": (width,), "appearance": (width,), "rotation": (3, 3), "distance": ()}
        # called "explained" by earlier versions
        share = tensors.setdefault("foreground_r2", tensors.pop("explained", torch.empty(0)))
        for name, size in {**sizes, "shift": (2,), "psnr": (), "foreground_r2": ()}.items():
            if tensors[name].shape != (count, *size):
                raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}")
        detail = None
        if "detail_shape" in tensors:
            detail = Detail(tensors["detail_shape"], tensors["detail_appearance"])
            for part in (detail.shape, detail.appearance):
                if part.ndim != 3 or len(part) != count:
                    raise ValueError(f"a detail is of shape {tuple(part.shape)}")
        elif "detail_appearance" in tensors:
            raise ValueError("detail_shape is missing")
        check("size", weights.config["size"], Width)
        check("names", names := weights.config.get("names", []), list[str])
        return SavedCodes(
            Codes(tensors["shape"], tensors["appearance"], detail),
            Pose(tensors["rotation"], tensors["distance"], tensors["shift"]),
            tuple(names) if len(names) == count else tuple(f"object {i}" for i in range(count)),
            weights.config["size"],
            tensors["psnr"],
            share,
        )
