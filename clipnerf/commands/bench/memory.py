"""A step with freed memory kept against one that gives it back, in the same process."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from clipnerf.commands.bench.timing import Figure, say, timed
from clipnerf.config.pretrain import PretrainConfig
from clipnerf.gan.trainer import Trainer
from clipnerf.training.allocator import allocator, set_thresholds


def kept_memory(config: PretrainConfig, seconds: float, device: torch.device) -> list[Figure]:
    """How much faster a step is with freed memory kept, and its page faults; on a CPU only, and
    nothing where the allocator is left alone."""
    if device.type != "cpu":
        return []
    if not allocator().keeps:
        say(f"nothing of the allocator, since {allocator().why}")
        return []
    say("training, freed memory kept and given back")
    trainer = Trainer(config, device)
    trainer.jump(config.steps // 2)
    size = config.data.size
    real = torch.rand(config.batch, 3, size, size, generator=torch.Generator().manual_seed(0))

    def steps() -> None:
        for _ in range(config.loss.r1_every):
            trainer.train_step(real)

    times, faults = _alternated(steps, seconds, device)
    ratio = statistics.median(g / k for k, g in zip(times[True], times[False], strict=True))
    each = {keep: statistics.median(n) / config.loss.r1_every for keep, n in faults.items()}
    note = f"page faults a step: {each[True]:,.0f} against {each[False]:,.0f}"
    return [Figure("training, freed memory kept", ratio, "x", "", note)]


def _alternated(
    action: Callable[[], None], seconds: float, device: torch.device
) -> tuple[dict[bool, list[float]], dict[bool, list[int]]]:
    """Durations and page faults of an action, with memory kept and given back by turns."""
    times: dict[bool, list[float]] = {True: [], False: []}
    faults: dict[bool, list[int]] = {True: [], False: []}
    spent, rounds = 0.0, 0
    try:
        action()
        while rounds < 3 or spent < seconds:
            # the one that was first is second in the next round: a drift of the machine cancels
            for keep in (True, False) if rounds % 2 else (False, True):
                set_thresholds(keep)
                before = page_faults()
                times[keep].append(timed(action, device))
                faults[keep].append(page_faults() - before)
                spent += times[keep][-1]
            rounds += 1
    finally:
        set_thresholds(True)
    return times, faults


def page_faults() -> int:
    """Pages that the kernel has given this process so far, those of its files apart."""
    import resource  # not on Windows, where no allocator is kept either

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
