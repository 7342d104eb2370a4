"""What fades in and out along a training, as numbers of the coming step."""

from __future__ import annotations

import math

from clipnerf.config.pretrain import PretrainConfig
from clipnerf.gan.step_inputs import ramp


class Schedules:
    """Schedules of a training: functions of its configuration and of the pictures shown so far."""

    config: PretrainConfig
    step: int

    @property
    def kimg(self) -> float:
        """Thousand pictures shown so far, by all ranks."""
        return self.step * self.config.batch / 1000

    @property
    def kimg_after_soft(self) -> float:
        """Thousand pictures shown since pictures are seen in full."""
        return max(self.kimg - self.config.schedule.soft_kimg, 0.0)

    @property
    def with_r1(self) -> bool:
        """Whether the coming step has the gradient penalty."""
        return self.config.loss.r1_gamma > 0 and self.step % self.config.loss.r1_every == 0

    @property
    def r1_gamma(self) -> float:
        """Weight of that penalty in the coming step."""
        loss = self.config.loss
        if loss.r1_gamma_end is None:
            return loss.r1_gamma
        done = 0.5 - 0.5 * math.cos(math.pi * ramp(self.kimg_after_soft, loss.r1_kimg))
        return loss.r1_gamma + (loss.r1_gamma_end - loss.r1_gamma) * done

    @property
    def smoothness(self) -> float:
        """Weight of the smoothness of density in the coming step."""
        loss = self.config.loss
        gone = ramp(self.kimg_after_soft, loss.smoothness_kimg) if loss.smoothness_kimg > 0 else 0.0
        return loss.smoothness * (1 - gone)

    @property
    def deform_ramp(self) -> float:
        """How far the octaves of the deformation are opened in the coming step, 0 to 1."""
        return ramp(self.kimg, self.config.schedule.deform_kimg)

    @property
    def topology(self) -> float:
        """How far the shape code modulates density in the coming step, 0 to 1."""
        start = self.config.schedule.topology_start
        return start + (1 - start) * ramp(self.kimg, self.config.schedule.topology_kimg)

    @property
    def lr_factor(self) -> float:
        """What the learning rates are multiplied by in the coming step."""
        half = self.config.loss.lr_half_kimg
        return 0.5 ** (self.kimg / half) if half > 0 else 1.0

    @property
    def hardness(self) -> float:
        """Scale of the density in the coming step, relative to the configuration's."""
        schedule = self.config.schedule
        return schedule.density_start ** (1 - ramp(self.kimg, schedule.density_kimg))

    @property
    def density_scale(self) -> float:
        """Scale of the density in the coming step."""
        return self.config.generator.field.density_scale * self.hardness

    @property
    def feature_weight(self) -> float:
        """Weight of the feature discriminator for the generator in the coming step."""
        features = self.config.features
        if features.weight == 0 or self.kimg < features.start_kimg:
            return 0.0
        # above zero from its first step on, for the heads learn while it is
        done = ramp(self.kimg - features.start_kimg + 1e-3, features.fade_kimg)
        return features.weight * done

    @property
    def softness(self) -> float:
        """Blur of reals and fakes in the coming step, standard deviation in patch pixels."""
        schedule = self.config.schedule
        return schedule.blur_sigma * (1 - ramp(self.kimg, schedule.blur_kimg))
