"""Our method: an encoder's guesses, several of them side by side, then pose and codes at once.

    guesses ─ look at each ─► best starts ─ rough: every fourth pixel ─► best ─ fine: all ─► result

Rows of a batch (starts and pictures) do not touch each other: Adam works number by number.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.inversion.descent import (
    SNAPSHOT_EVERY,
    BestSoFar,
    LatentOptimizer,
    OnProgress,
    backward,
    decibels,
    rate_share,
    remember,
    update_best,
)
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.initialize import starts
from clipnerf.inversion.objective import StyleSpread, Target, scattered
from clipnerf.inversion.result import Moment
from clipnerf.training import interrupts
from clipnerf.training.seeds import torch_generator

IMPROVEMENT = 0.005
"""Share of its loss by which a picture has to improve for the descent to go on."""

LOOK_AGAIN = 15
"""Steps after which it is looked again which pixels matter."""


def optimize(
    target: Target,
    encoder: Encoder | None,
    spread: StyleSpread,
    config: InversionConfig,
    on_progress: OnProgress,
) -> BestSoFar:
    """Fits pictures; see the head of this file.

    Args:
        on_progress: called with 1 after every step, and psnr=.
    """
    codes, pose, rows = starts(target, encoder, config)
    count = len(rows) // len(target.pictures)
    first = torch.arange(0, len(rows), count, device=rows.device)
    found = BestSoFar(codes[first], pose[first], [])
    remember(found, target, 0, "start")
    try:
        if config.rough_steps:
            moving = LatentOptimizer(codes, pose, config, spread, None)
            last = _rough(target, moving, rows, config, found, count, on_progress)
            codes, pose = moving.snapshot()
            best = last.view(-1, count).argmin(1) + first
            found.codes, found.pose = codes[best], pose[best]
        if config.steps:
            layers = target.generator.field.detail_layers if config.detail else None
            moving = LatentOptimizer(found.codes, found.pose, config, spread, layers)
            _fine(target, moving, config, found, on_progress)
    except KeyboardInterrupt:
        interrupts.seen()
        found.interrupted = True
    return found


def _rough(
    target: Target,
    moving: LatentOptimizer,
    rows: Tensor,
    config: InversionConfig,
    found: BestSoFar,
    count: int,
    on_progress: OnProgress,
) -> Float[Tensor, " starts"]:
    """All starts on scattered pixels; returns a running mean of each one's error."""
    rng = torch_generator(config.seed, 0, 0, "scattered pixels")
    mean: Tensor | None = None
    for step in range(config.rough_steps):
        index = scattered(target.size, rng).to(rows.device)

        def loss(piece: slice, index: Tensor = index) -> tuple[Tensor, Tensor]:
            rgb = target.render(moving.codes()[piece], moving.pose()[piece], index)
            error = target.squared(rgb, rows[piece], index)
            return target.loss.l2 * error, error

        _, error = backward(moving, target, len(rows), 4, loss)
        moving.step(rate_share(step, config.rough_steps))
        mean = error if mean is None else torch.lerp(mean, error, 0.2)
        leading = mean.view(-1, count).argmin(1)
        if step % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1:
            codes, pose = moving.snapshot()
            best = leading + torch.arange(0, len(rows), count, device=rows.device)
            found.codes, found.pose = codes[best], pose[best]
        shown = decibels(mean.view(-1, count).amin(1))
        kept = (found.codes, found.pose) if step % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 else ()
        found.history.append(Moment(step + 1, "rough", shown, *kept))
        on_progress(1, psnr=sum(shown) / len(shown))
    assert mean is not None
    return mean


def _fine(
    target: Target,
    moving: LatentOptimizer,
    config: InversionConfig,
    found: BestSoFar,
    on_progress: OnProgress,
) -> None:
    """The best start of each picture, whole pictures, all terms; stops where nothing improves."""
    pictures = len(target.pictures)
    rows = torch.arange(pictures, device=target.pictures.device)
    lowest = torch.full((pictures,), math.inf, device=rows.device)
    improved, done = torch.zeros(pictures, dtype=torch.long), found.history[-1].step
    best_error = lowest.clone()
    for step in range(config.steps):
        if step % LOOK_AGAIN == 0:
            relevant = target.relevant(moving.codes(), moving.pose(), rows)

        def loss(piece: slice, relevant: Tensor = relevant) -> tuple[Tensor, Tensor]:
            rgb = target.render_at(moving.codes()[piece], moving.pose()[piece], relevant[piece])
            error = target.squared(rgb.detach(), rows[piece])
            terms = target.reconstruction_losses(rgb, rows[piece])
            return torch.stack(list(terms.values())).sum(0), error

        before = moving.snapshot()
        total, error = backward(moving, target, pictures, 1, loss)
        better = total < lowest
        improved[(total < lowest * (1 - IMPROVEMENT)).cpu()] = step
        lowest = torch.where(better, total, lowest)
        best_error = torch.where(better, error, best_error)
        update_best(found, *before, better)
        moving.step(rate_share(step, config.steps))
        shown = decibels(best_error)
        kept = (found.codes, found.pose) if step % SNAPSHOT_EVERY == 0 else ()
        found.history.append(Moment(done + step + 1, "fine", shown, *kept))
        on_progress(1, psnr=sum(shown) / len(shown))
        if int(improved.max()) + config.patience <= step:
            break
