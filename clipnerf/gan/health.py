"""Health: a training that has failed stops and says so, rather than burning hours."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import ClipNerfError

# A symptom has to last for this many checks in a row: GANs pass through bad moments.
PATIENCE = 8
SURE = 0.15
"""Hinge loss below which the feature discriminator is nearly always right; 2 is knowing nothing."""


class HealthMonitor:
    """Watches the fakes and the feature discriminator, and raises ClipNerfError.

    Symptoms: all-white pictures; opacity saturated; fakes whose variety has collapsed against the
    reals'.

    Args:
        grace_kimg: thousand pictures before the pictures are judged.
    """

    def __init__(self, grace_kimg: float = 4.0) -> None:
        self.grace_kimg = grace_kimg
        self.counts = {"white": 0, "saturated": 0, "collapsed": 0, "overpowered": 0}

    def pictures(
        self,
        step: int,
        kimg: float,
        real: Float[Tensor, "batch 3 size size"],
        fake: Float[Tensor, "batch 3 size size"],
        opacity: Float[Tensor, "batch 1 rays rays"],
    ) -> None:
        """Judge a batch of reals and fakes on the same patches; raise when a symptom lasts."""
        if kimg < self.grace_kimg or len(fake) < 2:
            return
        mean = float(opacity.mean())
        variety = float(fake.std(0).mean() / real.std(0).mean().clamp(min=1e-6))
        found = {
            "white": mean < 0.003,
            "saturated": mean > 0.97,
            "collapsed": variety < 0.1,
        }
        for name, present in found.items():
            self.counts[name] = self.counts[name] + 1 if present else 0
        message = {
            "white": f"all pictures are empty (mean opacity {mean:.4f})",
            "saturated": f"the box is filled (mean opacity {mean:.3f})",
            "collapsed": f"the pictures have become alike (variety {variety:.3f} of the data's)",
        }
        for name in message:
            if self.counts[name] >= PATIENCE:
                raise ClipNerfError(
                    f"step {step}: {message[name]} for {PATIENCE} checks; training stopped; try "
                    "another seed, a higher loss.r1_gamma or a lower loss.lr_discriminator"
                )

    def features(self, step: int, loss: float) -> str | None:
        """A warning when the feature discriminator has long been sure of everything.

        No failure by itself: the patch discriminator goes on teaching. But a generator that cannot
        please it gives up variety.
        """
        self.counts["overpowered"] = self.counts["overpowered"] + 1 if loss < SURE else 0
        if self.counts["overpowered"] % PATIENCE or not self.counts["overpowered"]:
            return None
        return (
            f"step {step}: the feature discriminator is sure of everything (loss_f {loss:.3f} for "
            f"{self.counts['overpowered']} checks); lower features.weight or features.lr, or let "
            "it in later by features.start_kimg"
        )

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return dict(self.counts)

    def load(self, state: dict[str, int]) -> None:
        """Take up a checkpoint's counts."""
        self.counts = {name: int(state.get(name, 0)) for name in self.counts}
