"""What a segmenter sees of a generator's objects: points, and to which phrases each belongs. The
teacher of a region field.

Points are drawn as a picture is made of them: pixels by opacity, depths by the weights along the
ray. So the field, composited, gives the verdict back also where matter is soft, as in glass, and
where it is thin.

A verdict is yes or no (``metrics.found``). Probabilities would teach the field that a part of which
the segmenter is never quite sure, such as a thin armrest, is nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from clipnerf.config.segmentation import TrainRegionConfig
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import sweep_temporaries
from clipnerf.io.weights import load_weights, save_weights
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import place_samples
from clipnerf.rendering.rays import pixel_grid, rays_through
from clipnerf.rendering.volume import render_weights
from clipnerf.segmentation.metrics import found
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.training.seeds import torch_generator

KIND = "region pictures"
POINTS = 512
"""Of each view."""
_AT_ONCE = 4


@dataclass(frozen=True)
class Views:
    """Points of pictures of known objects, and what the segmenter says of them.

    Attributes:
        shape: row of the shape code of each view.
        points: in the world.
        phrases: numbers of the phrases that were segmented.
        masks: whether the pixel that a point is seen in was found, phrase by phrase.
    """

    shape: Int64[Tensor, " views"]
    points: Float[Tensor, "views points 3"]
    phrases: Int64[Tensor, "views phrases"]
    masks: Bool[Tensor, "views phrases points"]


def draw_points(
    generator: Generator,
    codes: Codes,
    camera: Camera,
    opacity: Float[Tensor, "views pixels"],
    count: int,
    rng: torch.Generator,
) -> tuple[Float[Tensor, "views points 3"], Int64[Tensor, "views points"]]:
    """Points of what views show, each as likely as it is a share of the picture; and their pixels.

    Args:
        opacity: of the views, as they were rendered.
        count: points of each.
        rng: of the generator's device.
    """
    pixel = torch.multinomial(opacity + 1e-6, count, replacement=True, generator=rng)
    grid = pixel_grid(camera.width, camera.height, opacity.device)
    rays = rays_through(camera, grid, generator.box).gather(pixel)
    shape, _ = generator.styles(codes)
    weights = generator.density_grid(shape).along(rays)
    t, delta = place_samples(weights, rays, generator.config.render_samples)
    along = rays.origins[..., None, :] + t[..., None] * rays.directions[..., None, :]
    _, sigma = generator.field.geometry(along.flatten(1, 2), shape)
    weights = render_weights(sigma.view_as(t), delta) + 1e-9
    which = torch.multinomial(weights.flatten(0, 1), 1, generator=rng).view(*pixel.shape, 1)
    points = along.gather(2, which[..., None].expand(-1, -1, -1, 3)).squeeze(2)
    return points, pixel


class PseudoLabels:
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
    def render_and_segment(self, part: int) -> Views:
        """A part's views; from the folder where they were seen before."""
        file = self.folder / f"part-{part:04d}.safetensors"
        first = part * self.PART
        if file.is_file():
            try:
                kept = load_weights(file, KIND).tensors
                return Views(kept["shape"], kept["points"].float(), kept["phrases"], kept["masks"])
            except (UsageError, KeyError):  # cut off by a crash, or of an earlier version
                pass
        codes, camera, phrases = self.draw(part)
        points, masks, device = [], [], self.generator.device
        rng = torch_generator(self.config.seed, 0, part, "region points", device)
        for some in torch.arange(len(codes)).split(_AT_ONCE):
            seen, place = codes[some].to(device), camera[some].to(device)
            view = self.generator.render(seen, place)
            texts = [self.config.phrases[n] for row in phrases[some] for n in row.tolist()]
            of = [row for row in range(len(some)) for _ in range(phrases.shape[1])]
            chance = self.segmenter.segment_many(view.rgb.clamp(0, 1), texts, of)
            drawn, pixel = draw_points(
                self.generator, seen, place, view.opacity.flatten(1), POINTS, rng
            )
            mask = found(chance).view(len(some), phrases.shape[1], -1)
            wide = pixel[:, None].expand(-1, phrases.shape[1], -1)
            points.append(drawn.cpu())
            masks.append(mask.gather(2, wide.to(mask.device)).cpu())
        shape = torch.arange(len(codes)) // self.config.views + first
        views = Views(shape, torch.cat(points), phrases, torch.cat(masks))
        content = {
            "shape": views.shape,
            "points": views.points.half(),
            "phrases": views.phrases,
            "masks": views.masks,
        }
        save_weights(file, content, kind=KIND, config={})
        return views

    def forget(self) -> None:
        """Remove what was kept."""
        sweep_temporaries(self.folder)
        for file in self.folder.glob("part-*.safetensors"):
            file.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()
