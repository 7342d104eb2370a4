"""One step of a mapper's training: draw codes, prompts and cameras, render, and weigh the loss.

Generator, discriminator and CLIP are frozen: no parameter of theirs asks for a gradient, so that
autograd follows only what the edited code reaches. For the appearance mapper that is the color
network; geometry is computed without a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from clipnerf.clip.model import Clip
from clipnerf.config.mapper import TrainMapperConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.gan.surface import see_surface
from clipnerf.mappers import losses
from clipnerf.mappers.augment import Augmentation, draw_augmentation
from clipnerf.mappers.library import PromptEmbeddings
from clipnerf.mappers.paper import Mapper
from clipnerf.rendering.cameras import Camera

COMBINED_A_STEP = 32
"""Prompts of both groups in one that a step looks at."""


@dataclass(frozen=True)
class Picture:
    """What losses look at: a picture on white, in [0, 1], and how opaque its pixels are."""

    rgb: Float[Tensor, "batch 3 height width"]
    opacity: Float[Tensor, "batch 1 height width"]


@dataclass(frozen=True)
class EditBatch:
    """What a step works on: O objects, each edited E ways and seen by V cameras.

    Pictures after an edit are ordered object, edit, view; before it, object, view.
    """

    codes: Codes
    """O objects."""
    target: Int[Tensor, " edits"]
    """Row of the prompt of each of the O x E edits."""
    camera: Camera
    """O x V cameras."""
    augmentation: Augmentation
    """One for each of the O x V views; shared by its edits."""

    @property
    def edited_object(self) -> Int[Tensor, " edits"]:
        """The object of each edit."""
        count = len(self.codes)
        return self._range(count).repeat_interleave(len(self.target) // count)

    @property
    def seen_object(self) -> Int[Tensor, " views"]:
        """The object of each view."""
        count = len(self.codes)
        return self._range(count).repeat_interleave(len(self.camera) // count)

    @property
    def edit(self) -> Int[Tensor, " pictures"]:
        """The edit of each picture."""
        return self._range(len(self.target)).repeat_interleave(len(self.camera) // len(self.codes))

    @property
    def view(self) -> Int[Tensor, " pictures"]:
        """The view of each picture."""
        count = len(self.codes)
        of_object = self._range(len(self.camera)).view(count, 1, -1)
        return of_object.expand(-1, len(self.target) // count, -1).flatten()

    def _range(self, count: int) -> Tensor:
        return torch.arange(count, device=self.target.device)


class Objective:
    """The loss of a mapper, and the frozen models that it is measured with."""

    def __init__(
        self,
        config: TrainMapperConfig,
        generator: Generator,
        discriminator: Discriminator | None,
        clip: Clip,
        prompts: PromptEmbeddings,
        device: torch.device,
    ) -> None:
        self.config = config
        self.generator = generator
        self.discriminator = discriminator
        self.clip = clip
        self.prompts = prompts
        self.device = device
        self.samples = config.samples or generator.config.samples
        # Only where appearance cannot reach geometry may a surface be colored twice.
        self.one_surface = config.which == "appearance" and not generator.field.entangled

    def draw(self, rng: torch.Generator) -> EditBatch:
        """Codes and cameras as in the generator's own training; prompts evenly."""
        config = self.config
        views = config.objects * config.views
        codes = Codes.sample(config.objects, self.generator.config.field.code_dim, rng)
        camera = self.generator.sample_cameras(views, config.size, rng)
        augmentation = draw_augmentation(views, config.augment, rng, self.device)
        edits = config.objects * config.edits
        available = len(self.prompts.prompts)
        order = [torch.randperm(available, generator=rng) for _ in range(-(-edits // available))]
        target = torch.cat(order)[:edits].to(self.device)
        return EditBatch(codes.to(self.device), target, camera.to(self.device), augmentation)

    def loss(self, mapper: Mapper, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term unweighted, as scalars of one step's draw."""
        weights = self.config.loss
        draw = self.draw(rng)
        code = getattr(draw.codes, self.config.which)[draw.edited_object]
        change = mapper(self.prompts.own[draw.target], code)
        needs_before = weights.directional > 0 or weights.palette > 0
        before, after = self.pictures(draw, change, needs_before)
        target = draw.target[draw.edit]
        picture = self.clip.encode_image(
            draw.augmentation.rows(draw.view)(after.rgb, after.opacity)
        )
        terms = {
            "clip": losses.clip_distance(picture, self.prompts.own[target]).mean(),
            "prior": losses.code_prior(change),
        }
        if weights.contrast > 0:
            terms["contrast"] = losses.contrast_loss(
                picture, self.prompts.own, target, weights.contrast_temperature
            )
        if weights.discriminator > 0 and self.discriminator is not None:
            terms["discriminator"] = losses.realism_loss(self.judge(after.rgb))
        if before is not None and weights.directional > 0:
            with torch.no_grad():
                unedited = self.clip.encode_image(draw.augmentation(before.rgb, before.opacity))
            terms["directional"] = losses.direction_distance(
                unedited[draw.view], picture, self.prompts.neutral, self.prompts.own[target]
            ).mean()
        if before is not None and weights.palette > 0:
            terms["palette"] = losses.palette_distance(
                after.rgb, after.opacity, before.rgb[draw.view], before.opacity[draw.view]
            ).mean()
        terms.update(self._text_terms(mapper, rng))
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return total, terms

    def pictures(
        self, draw: EditBatch, change: Tensor, needs_before: bool
    ) -> tuple[Picture | None, Picture]:
        """The views before (None where they are not needed) and after the edits."""
        which = self.config.which
        edited = edit_codes(draw.codes[draw.edited_object], which, change)
        viewed = draw.codes[draw.seen_object]
        if self.one_surface:
            surface = see_surface(self.generator, viewed, draw.camera, self.samples)
            opacity = surface.opacity
            style = self.generator.field.appearance_style(edited.appearance).rows(draw.edit)
            rgb = surface.rows(draw.view).color(self.generator, style)
            after = Picture(rgb, opacity[draw.view])
            if not needs_before:
                return None, after
            with torch.no_grad():
                style = self.generator.field.appearance_style(viewed.appearance)
                return Picture(surface.color(self.generator, style), opacity), after
        after = self.render(edited[draw.edit], draw.camera[draw.view])
        if not needs_before:
            return None, after
        with torch.no_grad():
            return self.render(viewed, draw.camera), after

    def render(self, codes: Codes, camera: Camera) -> Picture:
        """Whole pictures the way training sees them: every ray and sample, none left out."""
        view = self.generator.render_patch(
            codes,
            camera,
            Patches.whole(len(codes), self.device),
            camera.width,
            samples=self.samples,
            precision="float32",
        )
        return Picture(view.rgb, view.opacity)

    def judge(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        """Logits of the frozen discriminator for whole pictures."""
        assert self.discriminator is not None
        patch = self.discriminator.config.patch
        if rgb.shape[-1] != patch:
            rgb = functional.interpolate(
                rgb, (patch, patch), mode="bilinear", antialias=True, align_corners=False
            )
        return self.discriminator(rgb, Patches.whole(len(rgb), rgb.device))

    def _text_terms(self, mapper: Mapper, rng: torch.Generator) -> dict[str, Tensor]:
        """Terms that need no picture: they cost next to nothing."""
        weights, prompts = self.config.loss, self.prompts
        code = Codes.sample(COMBINED_A_STEP, mapper.code_dim, rng).shape.to(self.device)
        terms = {}
        if weights.foreign > 0 and len(prompts.foreign):
            terms["foreign"] = losses.code_prior(
                mapper(prompts.foreign, code[:1].expand(len(prompts.foreign), -1))
            )
        if weights.compose > 0 and len(prompts.combined):
            row = torch.randint(len(prompts.combined), (len(code),), generator=rng).to(self.device)
            wanted = mapper(prompts.own[prompts.part[row]], code).detach()
            terms["compose"] = functional.mse_loss(mapper(prompts.combined[row], code), wanted)
        return terms


def edit_codes(codes: Codes, which: str, change: Float[Tensor, "batch code"]) -> Codes:
    """Codes with the change added to one of the two."""
    if which == "shape":
        return Codes(codes.shape + change, codes.appearance)
    return Codes(codes.shape, codes.appearance + change)
