"""What a step of the universal mapper is measured by.

For an object whose picture lies at a (in natural standard deviations along the direction, see
`variation.py`), the edit of strength s is to bring it to a + p(s) * max(goal - a, least move), p
from `saturate_strength`, and to change nothing at right angles:

    L = smooth_l1(after - wanted) + preserve * |change at right angles|^2 / k + prior * angle^2
        [+ contrast * cross-entropy of the prompt among its group, with text and at strength 1]

The strength is drawn from -2 to 2, so that the way in between and beyond is learned too. The
same terms serve for embeddings of the distilled CLIP and of rendered pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from clipnerf.config.mapper import UniversalConfig, Which
from clipnerf.gan.codes import Codes
from clipnerf.mappers import losses
from clipnerf.mappers.distilled_clip import DistilledClip
from clipnerf.mappers.library import PromptEmbeddings
from clipnerf.mappers.objective import Objective
from clipnerf.mappers.universal import UniversalMapper, rotate_codes, saturate_strength
from clipnerf.mappers.variation import Variation

STRENGTHS = (-2.0, 2.0)
FULL_SHARE = 0.5
"""Share of the edits that are drawn at strength 1."""
COMBINED_SHARE = 0.2
"""Share of prompts that name both codes at once, in the steps with text."""
TEMPERATURE = 0.07
VARIATION_PAIRS = 4000


@dataclass(frozen=True)
class Wanted:
    """Directions to follow, as the mapper is given them and as they are judged.

    Attributes:
        given, judged: whitened units; they differ for "a red chair with arms", of which one code
            is to see its own part.
        prompt: row in the group, where there is text.
    """

    given: Float[Tensor, "batch kept"]
    judged: Float[Tensor, "batch kept"]
    prompt: Int[Tensor, " batch"] | None = None


def measure_variation(
    distilled: DistilledClip, cameras: Float[Tensor, "some 9"], code_dim: int, rng: torch.Generator
) -> dict[Which, Variation]:
    """The variation of both codes, from pairs of objects that differ in one of them."""
    device = distilled.mean.device
    seen = _draw_cameras(cameras, 3, VARIATION_PAIRS, rng)
    with torch.no_grad():
        first = Codes.sample(VARIATION_PAIRS, code_dim, rng).to(device)
        second = Codes.sample(VARIATION_PAIRS, code_dim, rng).to(device)
        here = distilled.over_views(first, seen)
        shape = distilled.over_views(Codes(second.shape, first.appearance), seen)
        appearance = distilled.over_views(Codes(first.shape, second.appearance), seen)
    by_shape, by_appearance = shape - here, appearance - here
    return {
        "shape": Variation.of(by_shape, by_appearance),
        "appearance": Variation.of(by_appearance, by_shape),
    }


class EditGoal:
    """The loss of one half, on embeddings before and after an edit."""

    def __init__(
        self, config: UniversalConfig, half: UniversalMapper, prompts: PromptEmbeddings
    ) -> None:
        self.config = config
        self.half = half
        self.prompts = prompts
        self.goal = config.goal_shape if half.which == "shape" else config.goal_appearance
        shape = half.which == "shape"
        self.preserve = config.preserve_shape if shape else config.preserve_appearance

    def from_pictures(
        self,
        before: Float[Tensor, "batch embed"],
        after: Float[Tensor, "batch embed"],
        rng: torch.Generator,
    ) -> Wanted:
        """Directions from pictures to others, with noise; no text."""
        direction = functional.normalize(after - before, dim=1)
        noise = torch.randn(direction.shape, generator=rng).to(direction.device)
        direction = direction + self.config.noise * noise / direction.shape[1] ** 0.5
        unit = self.half.variation.aim(direction).unit
        return Wanted(unit, unit)

    def from_text(self, target: Int[Tensor, " batch"], rng: torch.Generator) -> Wanted:
        """Directions of the group's prompts; some are given together with a prompt of the other."""
        prompts, centre = self.prompts, self.half.centre
        own = prompts.own[target]
        judged = self.half.variation.aim(own - centre).unit
        given = judged
        if len(prompts.combined):
            row = torch.randint(len(prompts.combined), (len(target),), generator=rng)
            use = torch.rand(len(target), generator=rng) < COMBINED_SHARE
            row, use = row.to(target.device), use.to(target.device)
            target = torch.where(use, prompts.part[row], target)
            own = prompts.own[target]
            judged = self.half.variation.aim(own - centre).unit
            both = self.half.variation.aim(prompts.combined[row] - centre).unit
            given = torch.where(use[:, None], both, judged)
        return Wanted(given, judged, target)

    def terms(
        self,
        wanted: Wanted,
        strength: Float[Tensor, " batch"],
        before: Float[Tensor, "batch embed"],
        after: Float[Tensor, "batch embed"],
        mean: Float[Tensor, " embed"],
        way: Float[Tensor, "batch code"],
    ) -> dict[str, Float[Tensor, ""]]:
        """The terms of the loss, weighted.

        Args:
            mean: of the embeddings of the generator's pictures.
            way: what the mapper answered; its norm is the angle.
        """
        config, variation = self.config, self.half.variation
        place = (variation.whitened(before - mean) * wanted.judged).sum(1)
        change = variation.whitened(after - before)
        along = (change * wanted.judged).sum(1)
        across = change - along[:, None] * wanted.judged
        goal = saturate_strength(strength) * (self.goal - place).clamp_min(config.least_move)
        terms = {
            "aim": functional.smooth_l1_loss(along, goal),
            "preserve": self.preserve * across.square().sum(1).mean() / across.shape[1],
            "prior": config.prior * way.square().sum(1).mean(),
        }
        if wanted.prompt is not None and config.contrast > 0:
            full = strength == 1
            terms["contrast"] = config.contrast * _contrast(
                after, self.prompts.own, wanted.prompt, full
            )
        return terms


class DistilledObjective:
    """Steps through the distilled CLIP.

    Args:
        cameras: of the pictures that it learned from; drawn from again.
    """

    def __init__(
        self,
        config: UniversalConfig,
        distilled: DistilledClip,
        cameras: Float[Tensor, "some 9"],
        code_dim: int,
    ) -> None:
        self.config = config
        self.distilled = distilled
        self.cameras = cameras
        self.code_dim = code_dim

    def terms(self, goal: EditGoal, text: bool, rng: torch.Generator) -> dict[str, Tensor]:
        """The terms for a batch of random objects, each with one direction and one strength."""
        batch, device = self.config.batch, self.cameras.device
        half, distilled = goal.half, self.distilled
        codes = Codes.sample(batch, self.code_dim, rng).to(device)
        seen = _draw_cameras(self.cameras, self.config.views, batch, rng)
        with torch.no_grad():
            before = distilled.over_views(codes, seen)
            if text:
                available = len(goal.prompts.own)
                target = torch.randint(available, (batch,), generator=rng).to(device)
                wanted = goal.from_text(target, rng)
            else:
                another = torch.randn(batch, self.code_dim, generator=rng).to(device)
                there = distilled.over_views(_replace(codes, half.which, another), seen)
                wanted = goal.from_pictures(before, there, rng)
        strength = draw_strengths(batch, rng).to(device)
        own = codes.shape if half.which == "shape" else codes.appearance
        way = half.turn(wanted.given, own)
        edited = _replace(codes, half.which, rotate_codes(own, way, strength[:, None]))
        after = distilled.over_views(edited, seen)
        return goal.terms(wanted, strength, before, after, distilled.mean, way)


def draw_strengths(batch: int, rng: torch.Generator) -> Float[Tensor, " batch"]:
    """Half of them 1, the others between STRENGTHS."""
    low, high = STRENGTHS
    anywhere = low + (high - low) * torch.rand(batch, generator=rng)
    full = torch.rand(batch, generator=rng) < FULL_SHARE
    return torch.where(full, torch.ones(batch), anywhere)


def _draw_cameras(
    cameras: Float[Tensor, "some 9"], views: int, batch: int, rng: torch.Generator
) -> Float[Tensor, "views batch 9"]:
    row = torch.randint(len(cameras), (views, batch), generator=rng)
    return cameras[row.to(cameras.device)]


def _replace(codes: Codes, which: Which, code: Tensor) -> Codes:
    if which == "shape":
        return Codes(code, codes.appearance)
    return Codes(codes.shape, code)


def _contrast(
    after: Tensor, texts: Tensor, target: Tensor, use: Bool[Tensor, " batch"]
) -> Float[Tensor, ""]:
    if not bool(use.any()):
        return after.sum() * 0
    return losses.contrast_loss(after[use], texts, target[use], TEMPERATURE)


def rendered_terms(
    goal: EditGoal, objective: Objective, mean: Float[Tensor, " embed"], rng: torch.Generator
) -> dict[str, Tensor]:
    """The terms for rendered pictures, seen by CLIP itself; realism and, for shape, palette beside.

    Args:
        objective: of the code; its configuration says how many objects, edits, views, how large,
            and the weights ``discriminator`` and ``palette``.
        mean: of the embeddings of the generator's pictures.
    """
    half, weights = goal.half, objective.config.loss
    draw = objective.draw(rng)
    own = draw.codes.shape if half.which == "shape" else draw.codes.appearance
    code = own[draw.edited_object]
    edit = goal.from_text(draw.target, rng)
    assert edit.prompt is not None
    strength = draw_strengths(len(code), rng).to(code.device)
    way = half.turn(edit.given, code)
    change = rotate_codes(code, way, strength[:, None]) - code
    before, after = objective.pictures(draw, change, needs_before=True)
    assert before is not None
    seen = objective.clip.encode_image(draw.augmentation.rows(draw.view)(after.rgb, after.opacity))
    with torch.no_grad():
        unedited = objective.clip.encode_image(draw.augmentation(before.rgb, before.opacity))
    each = draw.edit
    wanted = Wanted(edit.given[each], edit.judged[each], edit.prompt[each])
    terms = goal.terms(wanted, strength[each], unedited[draw.view], seen, mean, way[each])
    if weights.discriminator > 0 and objective.discriminator is not None:
        realism = losses.realism_loss(objective.judge(after.rgb))
        terms["discriminator"] = weights.discriminator * realism
    if weights.palette > 0 and half.which == "shape":
        terms["palette"] = (
            weights.palette
            * losses.palette_distance(
                after.rgb, after.opacity, before.rgb[draw.view], before.opacity[draw.view]
            ).mean()
        )
    return terms
