"""What a reconstruction is judged by while it is fitted: pixels, CLIP, how it looks, and what is
usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from clipnerf.config.inversion import InversionLossConfig
from clipnerf.gan.codes import Codes, Detail
from clipnerf.gan.generator import Generator
from clipnerf.inversion.perceptual import Perceives
from clipnerf.inversion.pose import Pose
from clipnerf.rendering.rays import pixel_grid
from clipnerf.training.seeds import torch_generator

USUAL_CODES = 4096


@runtime_checkable
class SeesPictures(Protocol):
    """The part of ``clipnerf.clip.model.Clip`` that is needed here."""

    def encode_image(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed"]:
        """Unit embeddings of pictures in [0, 1]; differentiable."""
        ...


@dataclass(frozen=True)
class StyleSpread:
    """Mean and standard deviation of the styles of random codes: what is usual."""

    shape: tuple[Float[Tensor, " style"], Float[Tensor, " style"]]
    appearance: tuple[Float[Tensor, " style"], Float[Tensor, " style"]]

    @staticmethod
    @torch.no_grad()
    def of(generator: Generator) -> StyleSpread:
        """From USUAL_CODES codes; a disentangled generator's."""
        rng = torch_generator(0, 0, 0, "usual styles")
        codes = Codes.sample(USUAL_CODES, generator.config.field.code_dim, rng)
        codes = codes.to(generator.device)
        shape = generator.field.shape_mapping(codes.shape)
        appearance = generator.field.appearance_mapping(codes.appearance)
        return StyleSpread(
            (shape.mean(0), shape.std(0).clamp(min=1e-4)),
            (appearance.mean(0), appearance.std(0).clamp(min=1e-4)),
        )

    def detail(
        self,
        shape: Float[Tensor, "batch shape_layers style"],
        appearance: Float[Tensor, "batch color_layers style"],
    ) -> Detail:
        """Detail from numbers in units of the standard deviations."""
        return Detail(shape * self.shape[1], appearance * self.appearance[1])

    def distance(self, generator: Generator, codes: Codes) -> Float[Tensor, " batch"]:
        """Mean squared distance of the codes' styles from the mean; about 1 for random codes."""
        field, total = generator.field, codes.shape.new_zeros(len(codes))
        for style, (mean, std) in (
            (field.shape_mapping(codes.shape), self.shape),
            (field.appearance_mapping(codes.appearance), self.appearance),
        ):
            total = total + 0.5 * ((style - mean) / std).square().mean(1)
        return total


class Target:
    """Pictures to be fitted, and how far a rendering is from them.

    Args:
        pictures: in [0, 1] on white.
        clip, perceptual: None leaves their terms out.
    """

    def __init__(
        self,
        generator: Generator,
        pictures: Float[Tensor, "batch 3 size size"],
        loss: InversionLossConfig,
        samples: int,
        clip: SeesPictures | None = None,
        perceptual: Perceives | None = None,
    ) -> None:
        self.generator, self.loss, self.samples = generator, loss, samples
        self.pictures = pictures.to(generator.device)
        self.size = pictures.shape[-1]
        self.clip = clip if loss.clip > 0 else None
        self.perceptual = perceptual if loss.perceptual > 0 else None
        self.embedding: Tensor | None = None
        if self.clip is not None:
            with torch.no_grad():
                self.embedding = self.clip.encode_image(self.pictures)
        self.pixels = pixel_grid(self.size, self.size, generator.device)

    def render(
        self, codes: Codes, pose: Pose, index: Tensor | None = None
    ) -> Float[Tensor, "batch rays 3"]:
        """Colors of all pixels, or of those in ``index``; differentiable in codes and pose."""
        generator = self.generator
        camera = pose.camera(generator.config.camera, self.size)
        pixels = self.pixels if index is None else self.pixels[:, index]
        styles = generator.styles(codes)
        grid = generator.density_grid(styles[0])
        out = generator.render_rays(
            pixels.expand(len(codes), -1, -1),
            camera,
            lambda rays: generator.trace(rays, *styles, grid, samples=self.samples),
            samples=self.samples,
            max_points=2**30,  # gradients hold all of them anyway
        )
        return out[..., :3]

    @torch.no_grad()
    def relevant(
        self, codes: Codes, pose: Pose, rows: Tensor, reach: int = 3
    ) -> Bool[Tensor, "batch rays"]:
        """Pixels within ``reach`` of the picture's object, or of the rendered one.

        All others are white in both, and stay so unless the object moves farther.
        """
        there = (1 - self.pictures[rows]).amax(1) > 0.02
        seen = (1 - self.render(codes, pose)).amax(2).unflatten(1, (self.size, self.size)) > 0.02
        either = (there | seen).float()[:, None]
        return functional.max_pool2d(either, 2 * reach + 1, 1, reach).flatten(1) > 0

    def render_at(
        self, codes: Codes, pose: Pose, relevant: Bool[Tensor, "batch rays"]
    ) -> Float[Tensor, "batch rays 3"]:
        """Like :meth:`render`; pixels that are relevant to none of the rows are white, for free."""
        index = relevant.any(0).nonzero()[:, 0]
        part = self.render(codes, pose, index)
        return part.new_ones(len(codes), relevant.shape[1], 3).index_copy(1, index, part)

    def squared(
        self, rgb: Float[Tensor, "batch rays 3"], rows: Tensor, index: Tensor | None = None
    ) -> Float[Tensor, " batch"]:
        """Mean squared difference from the pictures ``rows``, on the same pixels."""
        target = self.pictures[rows].flatten(2).mT
        return (rgb - (target if index is None else target[:, index])).square().mean((1, 2))

    def reconstruction_losses(
        self, rgb: Float[Tensor, "batch rays 3"], rows: Tensor
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Weighted terms of whole pictures."""
        terms = {"l2": self.loss.l2 * self.squared(rgb, rows)}
        pictures = rgb.mT.unflatten(2, (self.size, self.size))
        if self.clip is not None and self.embedding is not None:
            seen = self.clip.encode_image(pictures)
            cosine = functional.cosine_similarity(seen, self.embedding[rows], dim=1)
            terms["clip"] = self.loss.clip * (1 - cosine)
        if self.perceptual is not None:
            distance = self.perceptual(pictures, self.pictures[rows], normalize=True)
            terms["perceptual"] = self.loss.perceptual * distance.flatten()
        return terms


def scattered(size: int, rng: torch.Generator) -> Tensor:
    """A quarter of a picture's pixels: one of every 2 x 2, the same of each (size even or odd)."""
    x, y = (int(torch.randint(2, (), generator=rng)) for _ in range(2))
    rows, columns = torch.arange(y, size, 2), torch.arange(x, size, 2)
    return (rows[:, None] * size + columns).flatten()


def foreground_r2(
    pictures: Float[Tensor, "batch 3 size size"], fitted: Float[Tensor, "batch 3 size size"]
) -> Float[Tensor, " batch"]:
    """Share of what sets a picture off from white that a reconstruction shows; 1 is all, 0 is as
    good as an empty picture, below 0 worse. It does not depend on how large the object is."""
    left = (fitted - pictures).square().sum((1, 2, 3))
    return 1 - left / (1 - pictures).square().sum((1, 2, 3)).clamp(min=1e-6)


def psnr(
    pictures: Float[Tensor, "batch 3 size size"], fitted: Float[Tensor, "batch 3 size size"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of whole pictures in [0, 1], dB."""
    return -10 * (fitted - pictures).square().mean((1, 2, 3)).clamp(min=1e-10).log10()
