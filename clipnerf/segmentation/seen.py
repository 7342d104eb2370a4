"""What a segmenter sees of a generator's objects: points of their surfaces, and to which phrases
each belongs. The teacher of a region field.

Its verdict is yes or no (``metrics.found``). Its probabilities would teach the field that a part of
which the segmenter is never quite sure, such as a thin armrest, is nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from clipnerf.config.segmenter import TrainRegionConfig
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import Rays, pixel_grid, rays_through
from clipnerf.rendering.volume import RenderOutput
from clipnerf.runs.seeds import torch_generator
from clipnerf.runs.weights import load_weights, save_weights
from clipnerf.segmentation.metrics import found
from clipnerf.segmentation.segmenter import Segmenter

KIND = "region pictures"
SOLID = 0.5
"""Opacity from which a pixel shows a surface; a leg of two pixels is hardly anywhere above 0.9."""
SMOOTH = 0.15
"""World units: a pixel whose depth is further from its neighbours' mean shows an edge, where the
expected depth lies on no surface."""
_AT_ONCE = 4


@dataclass(frozen=True)
class Views:
    """Pictures of known objects, with depth, and what the segmenter says of them.

    Attributes:
        shape: row of the shape code of each view.
        depth: along the ray, world units; 0 where no surface is seen.
        phrases: numbers of the phrases that were segmented.
        masks: what was found, phrase by phrase.
    """

    shape: Int64[Tensor, " views"]
    depth: Float[Tensor, "views pixels"]
    phrases: Int64[Tensor, "views phrases"]
    masks: Bool[Tensor, "views phrases pixels"]


def surface_depth(
    view: RenderOutput, camera: Camera, box: Float[Tensor, " 3"]
) -> Float[Tensor, "batch pixels"]:
    """Depths where a pixel shows one surface, 0 elsewhere; of what is half transparent, the mean
    depth of what stops light there."""
    opacity = view.opacity
    through = (1 - opacity) * _rays(camera, box).far.view_as(opacity)
    depth = (view.depth - through) / opacity.clamp(min=SOLID)
    solid = (opacity > SOLID).float()
    sums = functional.avg_pool2d(torch.cat((depth * solid, solid), 1), 3, 1, 1)
    mean = sums[:, :1] / sums[:, 1:].clamp(min=1e-6)
    seen = (solid > 0) & ((depth - mean).abs() < SMOOTH)
    return torch.where(seen, depth, torch.zeros_like(depth)).flatten(1)


def points_of(
    camera: Camera, depth: Float[Tensor, "batch pixels"], box: Float[Tensor, " 3"]
) -> Float[Tensor, "batch pixels 3"]:
    """Points at depths along the rays through all pixels, world units."""
    rays = _rays(camera, box)
    return rays.origins + depth[..., None] * rays.directions


def _rays(camera: Camera, box: Float[Tensor, " 3"]) -> Rays:
    return rays_through(camera, pixel_grid(camera.width, camera.height, box.device), box)


class SeenObjects:
    """Random objects, seen and segmented part by part; drawn by (seed, part).

    Args:
        folder: where parts are kept, so that an interrupted training need not look again.
    """

    PART = 25
    """Shapes at a time."""

    def __init__(
        self, config: TrainRegionConfig, generator: Generator, segmenter: Segmenter, folder: Path
    ) -> None:
        self.config, self.generator, self.segmenter = config, generator, segmenter
        self.folder = folder
        self.parts = -(-config.shapes // self.PART)

    def draw(self, part: int) -> tuple[Codes, Camera, Int64[Tensor, "views phrases"]]:
        """Codes (a shape's views follow each other), cameras and phrases of a part."""
        config = self.config
        rng = torch_generator(config.seed, 0, part, "region pictures")
        count, views = min(self.PART, config.shapes - part * self.PART), config.views
        dim = self.generator.config.field.code_dim
        shape = torch.randn(count, dim, generator=rng).repeat_interleave(views, 0)
        appearance = torch.randn(count * views, dim, generator=rng)
        camera = self.generator.sample_cameras(count * views, config.size, rng).to("cpu")
        each = min(config.phrases_a_view, len(config.phrases))
        scores = torch.rand(count * views, len(config.phrases), generator=rng)
        return Codes(shape, appearance), camera, scores.topk(each, dim=1).indices

    @torch.no_grad()
    def look(self, part: int) -> Views:
        """A part's views; from the folder where they were seen before."""
        file = self.folder / f"part-{part:04d}.safetensors"
        first = part * self.PART
        if file.is_file():
            try:
                kept = load_weights(file, KIND).tensors
                return Views(kept["shape"], kept["depth"].float(), kept["phrases"], kept["masks"])
            except (UsageError, KeyError):  # cut off by a crash, or of an earlier version
                pass
        codes, camera, phrases = self.draw(part)
        depths, masks, box = [], [], self.generator.box
        for some in torch.arange(len(codes)).split(_AT_ONCE):
            view = self.generator.render(codes[some], camera[some])
            texts = [self.config.phrases[n] for row in phrases[some] for n in row.tolist()]
            of = [row for row in range(len(some)) for _ in range(phrases.shape[1])]
            chance = self.segmenter.segment_many(view.rgb.clamp(0, 1), texts, of)
            depths.append(surface_depth(view, camera[some].to(view.depth.device), box).cpu())
            masks.append(found(chance).view(len(some), phrases.shape[1], -1).cpu())
        shape = torch.arange(len(codes)) // self.config.views + first
        views = Views(shape, torch.cat(depths), phrases, torch.cat(masks))
        content = {"shape": views.shape, "depth": views.depth.half(), "phrases": views.phrases,
                   "masks": views.masks}  # fmt: skip
        save_weights(file, content, kind=KIND, config={})
        return views

    def forget(self) -> None:
        """Remove what was kept."""
        for file in self.folder.glob("part-*.safetensors"):
            file.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()
