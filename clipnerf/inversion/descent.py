"""How codes and poses go down a loss: what moves, what is kept, at which rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.inversion import InversionConfig
from clipnerf.gan.codes import Codes
from clipnerf.inversion.objective import StyleSpread, Target
from clipnerf.inversion.pose import Pose
from clipnerf.inversion.result import Moment

SNAPSHOT_EVERY = 5
"""Steps between the moments of the history that keep codes and poses."""
OnProgress = Callable[..., None]


@dataclass
class BestSoFar:
    """The best of each picture so far; what is left when a person stops."""

    codes: Codes
    pose: Pose
    history: list[Moment]
    interrupted: bool = False


class LatentOptimizer:
    """What is optimized: change of pose, codes, detail, for a number of starts.

    Args:
        codes, pose: where it starts.
        layers: numbers of modulated layers, of geometry and of color; None: no detail.
    """

    def __init__(
        self,
        codes: Codes,
        pose: Pose,
        config: InversionConfig,
        spread: StyleSpread,
        layers: tuple[int, int] | None = None,
    ) -> None:
        self.config, self.spread, self.start = config, spread, pose
        count, device = len(codes), codes.shape.device
        style = len(spread.shape[0])
        self.change = torch.zeros(count, 6, device=device, requires_grad=True)
        self.shape = codes.shape.detach().clone().requires_grad_()
        self.appearance = codes.appearance.detach().clone().requires_grad_()
        self.detail: tuple[Tensor, Tensor] | None = None
        groups = [
            {"params": [self.change], "peak": config.pose_rate},
            {"params": [self.shape, self.appearance], "peak": config.code_rate},
        ]
        if layers is not None:
            self.detail = (
                torch.zeros(count, layers[0], style, device=device, requires_grad=True),
                torch.zeros(count, layers[1], style, device=device, requires_grad=True),
            )
            groups.append({"params": list(self.detail), "peak": config.detail_rate})
        self.optimizer = torch.optim.Adam(groups, lr=config.pose_rate, betas=(0.9, 0.99))

    def codes(self) -> Codes:
        """The codes now."""
        detail = None if self.detail is None else self.spread.detail(*self.detail)
        return Codes(self.shape, self.appearance, detail)

    def pose(self) -> Pose:
        """The poses now."""
        return self.start.moved(self.change, self.config.pose)

    def prior_loss(self, target: Target) -> Float[Tensor, " batch"]:
        """Weighted distance of codes, detail and pose from what is usual."""
        loss = self.config.loss
        total = loss.prior * self.spread.distance(target.generator, self.codes())
        pose = self.pose()
        roll = pose.angles()[:, 2:]
        rest = torch.cat((roll, pose.distance[:, None], pose.shift), dim=1) / 0.1
        total = total + loss.pose * 0.25 * rest.square().sum(1)
        if self.detail is not None:
            for some in self.detail:
                total = total + loss.detail * 0.5 * some.square().mean((1, 2))
        return total

    def step(self, share: float) -> None:
        """One step of Adam, at a share of the largest rates."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def snapshot(self) -> tuple[Codes, Pose]:
        """Codes of normal length and poses, without their history."""
        with torch.no_grad():
            now, pose = self.codes(), self.pose()
            root = math.sqrt(now.shape.shape[1])
            shape, appearance = (
                root * code / code.norm(dim=1, keepdim=True).clamp(min=1e-8)
                for code in (now.shape, now.appearance)
            )
            return Codes(shape, appearance, now.detail), pose.detach()


def backward(
    moving: LatentOptimizer,
    target: Target,
    total_rows: int,
    at_once: int,
    loss: Callable[[slice], tuple[Tensor, Tensor]],
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Gradients of all rows, a few at a time on a CPU (its cache), all at once on a GPU.

    Args:
        loss: of a piece of the rows: the value to go down, and the squared error to be shown.
    Returns:
        the whole loss, what is unusual included, and the squared error.
    """
    if target.generator.device.type != "cpu":
        at_once = total_rows
    totals, errors = [], []
    for start in range(0, total_rows, at_once):
        value, error = loss(slice(start, start + at_once))
        value.sum().backward()
        totals.append(value.detach())
        errors.append(error.detach())
    prior_loss = moving.prior_loss(target)
    prior_loss.sum().backward()
    return torch.cat(totals) + prior_loss.detach(), torch.cat(errors)


def update_best(found: BestSoFar, codes: Codes, pose: Pose, better: Tensor) -> None:
    """The rows that are better in the place of those that were best."""
    row = torch.arange(len(better), device=better.device)
    both = Codes.cat([found.codes, codes])
    index = torch.where(better, row + len(better), row)
    found.codes = both[index]
    found.pose = Pose.cat([found.pose, pose])[index]


def remember(found: BestSoFar, target: Target, step: int, stage: str) -> None:
    with torch.no_grad():
        rows = torch.arange(len(target.pictures), device=target.pictures.device)
        error = target.squared(target.render(found.codes, found.pose), rows)
    found.history.append(Moment(step, stage, decibels(error), found.codes, found.pose))


def decibels(error: Float[Tensor, " batch"]) -> tuple[float, ...]:
    return tuple((-10 * error.clamp(min=1e-10).log10()).tolist())


def rate_share(step: int, steps: int) -> float:
    """Of the largest rates: up in a tenth, down to a twentieth."""
    at = step / max(steps, 1)
    if at < 0.1:
        return 0.3 + 7 * at
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (at - 0.1) / 0.9))
