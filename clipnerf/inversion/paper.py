"""The paper's method: pose, shape and appearance in turn, with noise that fades (eq. 10 to 12).

    L_v = |F(v, z_s, z_a) - I|_2 + lambda_v D_CLIP
    L_s = |F(v, z_s + lambda_n z_n, z_a) - I|_2 + lambda_s D_CLIP,  L_a likewise

The paper prints neither steps, nor a start, nor how a pose is written; here it starts at one random
object from the best of a ring of cameras, and takes Adam with the rates of our own method. Its
norm is taken as the root of the mean square, so that it does not depend on the picture's size.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from clipnerf.config.inversion import InversionConfig
from clipnerf.gan.codes import Codes
from clipnerf.inversion.descent import (
    SNAPSHOT_EVERY,
    BestSoFar,
    LatentOptimizer,
    OnProgress,
    decibels,
    rate_share,
    remember,
    update_best,
)
from clipnerf.inversion.initialize import starts
from clipnerf.inversion.objective import StyleSpread, Target
from clipnerf.inversion.result import Moment
from clipnerf.training import interrupts
from clipnerf.training.seeds import torch_generator

LOOK_AGAIN = 5
"""Rounds after which it is looked again which pixels matter to the pose; noise on the codes moves
matter anywhere, so their turns see all pixels."""
POSE_CLIP, CODE_CLIP = 0.1, 0.2
"""lambda_v, and lambda_s = lambda_a."""


def alternate(
    target: Target, spread: StyleSpread, config: InversionConfig, on_progress: OnProgress
) -> BestSoFar:
    """Fits pictures; the arguments and the result are those of ``optimize.optimize``."""
    config = replace(config, starts=1)
    codes, pose, _ = starts(target, None, config)
    found = BestSoFar(codes, pose, [])
    remember(found, target, 0, "start")
    device = target.pictures.device
    lowest = 10 ** (-torch.tensor(found.history[0].psnr, device=device) / 10)
    moving = LatentOptimizer(codes, pose, config, spread)
    rng = torch_generator(config.seed, 0, 0, "paper's noise")
    steps = config.paper_steps
    try:
        for step in range(steps):
            share = rate_share(step, steps)
            noise = config.paper_noise * (1 - step / steps)
            if step % LOOK_AGAIN == 0:
                rows = torch.arange(len(codes), device=device)
                relevant = target.relevant(moving.codes(), moving.pose(), rows)
            now = moving.snapshot()
            error = _turn(target, moving, moving.codes(), POSE_CLIP * config.paper_clip, relevant)
            better = error < lowest
            lowest = torch.where(better, error, lowest)
            update_best(found, *now, better)
            _step(moving, [moving.change], share)
            for which in ("shape", "appearance"):
                codes = moving.codes()
                shaken = getattr(codes, which)
                shaken = shaken + noise * torch.randn(shaken.shape, generator=rng).to(device)
                whole = torch.ones_like(relevant)
                shaken = replace(codes, **{which: shaken})
                _turn(target, moving, shaken, CODE_CLIP * config.paper_clip, whole)
                _step(moving, [getattr(moving, which)], share)
            shown = decibels(lowest)
            kept = (found.codes, found.pose) if step % SNAPSHOT_EVERY == 0 else ()
            found.history.append(Moment(step + 1, "paper", shown, *kept))
            on_progress(1, psnr=sum(shown) / len(shown))
    except KeyboardInterrupt:
        interrupts.seen()
        found.interrupted = True
    return found


def _turn(
    target: Target,
    moving: LatentOptimizer,
    codes: Codes,
    clip_weight: float,
    relevant: Bool[Tensor, "batch rays"],
) -> Float[Tensor, " batch"]:
    """Gradients of the loss with these codes; returns the squared error."""
    errors = []
    count, pose = len(codes), moving.pose()
    each = 1 if target.pictures.device.type == "cpu" else count
    for start in range(0, count, each):
        piece = slice(start, start + each)
        rows = torch.arange(count, device=target.pictures.device)[piece]
        rgb = target.render_at(codes[piece], pose[piece], relevant[piece])
        error = target.squared(rgb, rows)
        loss = error.clamp(min=1e-12).sqrt()
        if target.clip is not None and target.embedding is not None and clip_weight > 0:
            seen = target.clip.encode_image(rgb.mT.unflatten(2, (target.size, target.size)))
            cosine = functional.cosine_similarity(seen, target.embedding[rows], dim=1)
            loss = loss + clip_weight * (1 - cosine)
        # codes and pose belong to all pieces
        loss.sum().backward(retain_graph=True)
        errors.append(error.detach())
    return torch.cat(errors)


def _step(moving: LatentOptimizer, wanted: list[Tensor], share: float) -> None:
    """A step of some of what moves; the others' gradients are thrown away."""
    for group in moving.optimizer.param_groups:
        for parameter in group["params"]:
            if not any(parameter is one for one in wanted):
                parameter.grad = None
    moving.step(share)
