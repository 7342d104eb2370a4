"""All that is random in one step of the training, drawn beforehand.

Draws depend on (seed, rank, step) alone: a resumed run equals an uninterrupted one. They are drawn
before the step, so that the step itself is a function of tensors of known sizes: it never asks the
device for a number, which would let a GPU's queue run dry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.generator import CameraPriorConfig
from clipnerf.config.pretrain import PretrainConfig, ScheduleConfig
from clipnerf.gan.codes import Codes
from clipnerf.gan.patches import Patches
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.density_grid import grid_cells
from clipnerf.rendering.rays import rays_through
from clipnerf.training.seeds import torch_generator

# Random points an object at which the priors on the volume are judged, and as many neighbors.
PRIOR_POINTS = 192
# Rays are kept in so many sizes on a GPU: its allocator and its matrix products like few.
GPU_SIZES = 8
CPU_STEP = 64


@dataclass(frozen=True)
class StepInputs:
    """Random inputs of one step on one rank: B pictures of R = patch x patch rays, S samples a ray.

    Attributes:
        codes: of the fakes.
        camera: one a fake, from the prior.
        patches: where reals and fakes are seen.
        jitter: place of each sample inside its interval, [0, 1).
        density_noise: noise on the density, relative to 1 / length of the interval; None once faded
            out.
        places: of the first pass's points in their cells, [0, 1).
        points: where the priors on the volume are judged, in units of the box, [-1, 1).
        offsets: standard normal; to the neighbors of ``points``, in units of their distance.
        kept: rays of a picture that may meet the box; R at most. Known on the host.
        directions: where the cameras of the reals stand as seen from the origin; None where that is
            not known. The trainer adds them.
    """

    codes: Codes
    camera: Camera
    patches: Patches
    jitter: Float[Tensor, "batch rays samples"]
    density_noise: Float[Tensor, "batch rays samples"] | None
    places: Float[Tensor, "batch x y z 3"]
    points: Float[Tensor, "batch points 3"]
    offsets: Float[Tensor, "batch points 3"]
    kept: int
    directions: Float[Tensor, "batch 3"] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def size(self) -> int:
        """Rays along a side of the patches."""
        return math.isqrt(self.jitter.shape[1])

    def to(self, device: torch.device) -> StepInputs:
        """The same numbers on a device; does not wait for it."""
        noise = self.density_noise
        return StepInputs(
            codes=Codes(send(self.codes.shape, device), send(self.codes.appearance, device)),
            camera=Camera(
                send(self.camera.c2w, device),
                send(self.camera.K, device),
                self.camera.width,
                self.camera.height,
            ),
            patches=Patches(send(self.patches.scale, device), send(self.patches.offset, device)),
            jitter=send(self.jitter, device),
            density_noise=None if noise is None else send(noise, device),
            places=send(self.places, device),
            points=send(self.points, device),
            offsets=send(self.offsets, device),
            kept=self.kept,
        )


def draw(
    config: PretrainConfig,
    box: Float[Tensor, " 3"],
    *,
    rank: int,
    step: int,
    batch: int,
    device: torch.device,
) -> StepInputs:
    """The random inputs of ``batch`` pictures on ``rank`` in ``step``.

    What is small is drawn on the CPU, the same for every device; the noise of rays on ``device``.

    Args:
        config: sizes, schedule and seed.
        box: half the extent of the objects' box, world units, on the CPU.
    """
    kimg = step * config.batch / 1000
    noise = torch_generator(config.seed, rank, step, "noise")
    soft = kimg < config.schedule.soft_kimg
    pixels = config.schedule.soft_size if soft else config.data.size
    finest = max(config.schedule.smallest_scale, config.discriminator.patch / pixels)
    patches = sample_patches(config.schedule, kimg, batch, noise, finest)
    codes = Codes.sample(batch, config.generator.field.code_dim, noise)
    camera = sample_cameras(config.generator.camera, batch, pixels, noise)
    points = torch.rand(batch, PRIOR_POINTS, 3, generator=noise) * 2 - 1
    offsets = torch.randn(batch, PRIOR_POINTS, 3, generator=noise)
    coarse = kimg < config.schedule.coarse_kimg
    size = config.discriminator.patch // (2 if coarse else 1)
    # rays twice as far apart see nothing as thin
    longest = config.generator.grid_cells * 2 // (3 if coarse else 2)
    cells = grid_cells(config.generator.box, longest)
    kept = count_kept(camera, patches, size, box, device)
    rays = torch_generator(config.seed, rank, step, "rays", device)
    shape = (batch, size * size, config.generator.samples)
    jitter = torch.rand(shape, generator=rays, device=device)
    places = torch.rand(batch, *cells, 3, generator=rays, device=device)
    strength = config.schedule.density_noise * (1 - ramp(kimg, config.schedule.noise_kimg))
    density_noise = None
    if strength > 0:
        density_noise = strength * torch.randn(shape, generator=rays, device=device)
    drawn = StepInputs(codes, camera, patches, jitter, density_noise, places, points, offsets, kept)
    return drawn.to(device)


def sample_patches(
    schedule: ScheduleConfig, kimg: float, batch: int, noise: torch.Generator, finest: float
) -> Patches:
    """Patches at ``kimg``; whole pictures at first."""
    concentration = schedule.scale_concentration * ramp(kimg, schedule.scale_kimg)
    return Patches.sample(batch, finest, concentration, noise)


def sample_cameras(
    prior: CameraPriorConfig, batch: int, size: int, noise: torch.Generator
) -> Camera:
    """Cameras from the prior, for pictures of ``size`` pixels, on the device of ``noise``."""
    u = torch.rand(batch, 2, generator=noise, device=noise.device)
    azimuth = prior.azimuth_min_deg + u[:, 0] * (prior.azimuth_max_deg - prior.azimuth_min_deg)
    low, high = prior.elevation_min_deg, prior.elevation_max_deg
    if prior.elevation_by_area:
        limits = torch.deg2rad(torch.tensor([low, high], device=u.device)).sin()
        elevation = torch.rad2deg(torch.asin(limits[0] + u[:, 1] * (limits[1] - limits[0])))
    else:
        elevation = low + u[:, 1] * (high - low)
    return Camera.orbit(
        azimuth, elevation, fov_deg=prior.fov_deg, radius=prior.radius, size=size, device=u.device
    )


def count_kept(
    camera: Camera, patches: Patches, size: int, box: Float[Tensor, " 3"], device: torch.device
) -> int:
    """Rays of a patch to be traced: the most that meet the box in any picture, rounded up.

    Computed on the host; a ray that merely grazes the box may count otherwise on a device, and
    shows nothing either way.
    """
    pixels = patches.points(size, camera.width) * camera.width
    step = max(size * size // GPU_SIZES, 1) if device.type == "cuda" else CPU_STEP
    return rays_through(camera, pixels, box).most_hits(step)


def ramp(kimg: float, length: float) -> float:
    """From 0 to 1 while ``kimg`` goes from 0 to ``length``."""
    return 1.0 if length <= 0 else min(kimg / length, 1.0)


def send(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on ``device``, without waiting for what the device still has to do."""
    if device.type == "cuda" and value.device.type == "cpu":
        return value.pin_memory().to(device, non_blocking=True)
    return value.to(device)
