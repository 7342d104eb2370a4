"""One step of a mapper's training: draw codes, prompts and cameras, render, and weigh the loss.

Generator, discriminator and CLIP are frozen: no parameter of theirs asks for a gradient, so that
autograd follows only what the edited code reaches. For the appearance mapper that is the colour
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
from clipnerf.editing import losses
from clipnerf.editing.augment import draw_augmentation
from clipnerf.editing.library import PromptEmbeddings
from clipnerf.editing.mappers import Mapper
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.volume import RenderOutput


@dataclass(frozen=True)
class Draw:
    """What a step works on: `objects` objects, each seen by `views` cameras."""

    codes: Codes
    target: Int[Tensor, " objects"]
    """Row of the prompt that each object is edited by."""
    camera: Camera
    """Cameras of all views; the views of one object are neighbours."""


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

    def draw(self, rng: torch.Generator) -> Draw:
        """Codes and cameras as in the generator's own training; prompts without repetition."""
        count = self.config.objects
        available = len(self.prompts.prompts)
        rounds = -(-count // available)
        order = [torch.randperm(available, generator=rng) for _ in range(rounds)]
        codes = Codes.sample(count, self.generator.config.field.code_dim, rng)
        camera = self.generator.sample_cameras(count * self.config.views, self.config.size, rng)
        return Draw(
            codes.to(self.device), torch.cat(order)[:count].to(self.device), camera.to(self.device)
        )

    def loss(self, mapper: Mapper, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term unweighted, as scalars of one step's draw."""
        weights = self.config.loss
        draw = self.draw(rng)
        code = getattr(draw.codes, self.config.which)
        change = mapper(self.prompts.own[draw.target], code)
        after = self.render(edit_codes(draw.codes, self.config.which, change), draw.camera)
        needs_before = weights.directional > 0 or weights.palette > 0
        augmentation = draw_augmentation(
            len(draw.camera), self.config.augment, rng, device=self.device
        )
        target = draw.target.repeat_interleave(self.config.views)
        picture = self.clip.encode_image(augmentation(after.rgb, after.opacity))
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
        if needs_before:
            with torch.no_grad():
                before = self.render(draw.codes, draw.camera)
            if weights.directional > 0:
                with torch.no_grad():
                    unedited = self.clip.encode_image(augmentation(before.rgb, before.opacity))
                terms["directional"] = losses.direction_distance(
                    unedited, picture, self.prompts.neutral, self.prompts.own[target]
                ).mean()
            if weights.palette > 0:
                terms["palette"] = losses.palette_distance(
                    after.rgb, after.opacity, before.rgb, before.opacity
                ).mean()
        terms.update(self._text_terms(mapper, code, rng))
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        return total, terms

    def render(self, codes: Codes, camera: Camera) -> RenderOutput:
        """Every object from its own cameras; `codes` has one row an object."""
        repeats = len(camera) // len(codes)
        repeated = Codes(
            codes.shape.repeat_interleave(repeats, 0), codes.appearance.repeat_interleave(repeats, 0)
        )
        return self.generator.render(repeated, camera, samples=self.samples)

    def judge(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        """Logits of the frozen discriminator for whole pictures."""
        assert self.discriminator is not None
        patch = self.discriminator.config.patch
        if rgb.shape[-1] != patch:
            rgb = functional.interpolate(
                rgb, (patch, patch), mode="bilinear", antialias=True, align_corners=False
            )
        return self.discriminator(rgb, Patches.whole(len(rgb), rgb.device))

    def _text_terms(
        self, mapper: Mapper, code: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms that need no picture: they cost next to nothing."""
        weights, prompts = self.config.loss, self.prompts
        terms = {}
        if weights.foreign > 0 and len(prompts.foreign):
            terms["foreign"] = losses.code_prior(
                mapper(prompts.foreign, code[:1].expand(len(prompts.foreign), -1))
            )
        if weights.compose > 0 and len(prompts.combined):
            row = torch.randint(len(prompts.combined), (32,), generator=rng).to(self.device)
            code = code[:1].expand(len(row), -1)
            wanted = mapper(prompts.own[prompts.part[row]], code).detach()
            terms["compose"] = functional.mse_loss(mapper(prompts.combined[row], code), wanted)
        return terms


def edit_codes(codes: Codes, which: str, change: Float[Tensor, "batch code"]) -> Codes:
    """Codes with the change added to one of the two."""
    if which == "shape":
        return Codes(codes.shape + change, codes.appearance)
    return Codes(codes.shape, codes.appearance + change)
