"""Learning rates over the steps of a stage."""

import math


def one_cycle(number: int, steps: int, rise: float = 0.3) -> float:
    """The learning rate's share of its peak: up by a cosine for a third, then down to nothing."""
    at = number / max(steps, 1)
    if at < rise:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * at / rise))
    return 0.5 * (1 + math.cos(math.pi * (at - rise) / (1 - rise)))
