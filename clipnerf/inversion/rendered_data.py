"""Pictures whose pose and codes are known: the generator's own, as many as one likes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from clipnerf.config.inversion import TrainEncoderConfig
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.surface import see_surface
from clipnerf.inversion.pose import Pose
from clipnerf.io.atomic import sweep_temporaries
from clipnerf.io.weights import load_weights, save_weights
from clipnerf.training.seeds import torch_generator

KIND = "encoder pictures"


class KnownPictures:
    """Shapes, each from one camera in several appearances; drawn by (seed, part).

    Args:
        folder: where rendered parts are kept, so that an interrupted training need not render
            again.
    """

    PART = 50
    """Shapes rendered at a time."""

    def __init__(self, config: TrainEncoderConfig, generator: Generator, folder: Path) -> None:
        self.config, self.generator, self.folder = config, generator, folder
        self.parts = -(-config.shapes // self.PART)

    def draw(self, part: int) -> tuple[Codes, Pose]:
        """Codes and poses of a part's pictures, on the CPU."""
        config, prior = self.config, self.generator.config.camera
        rng = torch_generator(config.seed, 0, part, "encoder pictures")
        count, each = min(self.PART, config.shapes - part * self.PART), config.appearances
        dim = self.generator.config.field.code_dim
        shape = torch.randn(count, dim, generator=rng)
        appearance = torch.randn(count * each, dim, generator=rng)
        camera = self.generator.sample_cameras(count, config.encoder.size, rng).to("cpu")
        spread = torch.tensor(
            [0, 0, math.radians(config.roll_deg), config.distance, config.shift, config.shift]
        )
        change = spread * torch.randn(count, 6, generator=rng)
        pose = Pose.of_camera(camera, prior).moved(change, "rotation")
        every = torch.arange(count).repeat_interleave(each)
        return Codes(shape[every], appearance), pose[every]

    @torch.no_grad()
    def render(self, part: int) -> UInt8[Tensor, "pictures 3 size size"]:
        """A part's pictures; from the folder where they were rendered before."""
        file = self.folder / f"part-{part:04d}.safetensors"
        if file.is_file():
            try:
                return load_weights(file, KIND).tensors["pictures"]
            except UsageError:  # cut off by a crash of the machine: rendered again
                pass
        codes, pose = self.draw(part)
        each = self.config.appearances
        # shape by shape on a CPU, where a few megabytes stay in its cache: twice as fast
        at_once = each if self.generator.device.type == "cpu" else len(codes)
        rgb = torch.cat(
            [
                self._look(codes[rows], pose[rows])
                for rows in (slice(i, i + at_once) for i in range(0, len(codes), at_once))
            ]
        )
        pictures = rgb.clamp(0, 1).mul(255).round().byte().cpu()
        save_weights(file, {"pictures": pictures}, kind=KIND, config={})
        return pictures

    def _look(self, codes: Codes, pose: Pose) -> Float[Tensor, "pictures 3 size size"]:
        generator, each = self.generator, self.config.appearances
        device = generator.device
        codes, first = codes.to(device), torch.arange(0, len(codes), each)
        camera = pose[first].camera(generator.config.camera, self.config.encoder.size)
        surface = see_surface(
            generator, codes[first.to(device)], camera.to(device), generator.config.samples
        )
        row = torch.arange(len(first), device=device).repeat_interleave(each)
        return surface.rows(row).color(
            generator, generator.field.appearance_style(codes.appearance)
        )

    def forget(self) -> None:
        """Removes the rendered parts."""
        sweep_temporaries(self.folder)
        for file in self.folder.glob("part-*.safetensors"):
            file.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()


def as_a_photo(
    pictures: Float[Tensor, "batch 3 size size"], noise: torch.Generator
) -> Float[Tensor, "batch 3 size size"]:
    """What separates a volume rendering from another picture of the same: sharpness, light, grain.

    The object stays where it is, as its pose is to be read.
    """
    batch, device = len(pictures), pictures.device

    def uniform(low: float, high: float) -> Float[Tensor, "batch 1 1 1"]:
        u = torch.rand(batch, 1, 1, 1, generator=noise, device=device)
        return low + (high - low) * u

    soft = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    # above 1 softer, below 0 sharper than it was
    pictures = torch.lerp(pictures, soft, uniform(-1.2, 1.0))
    middle = uniform(0.3, 0.7)
    pictures = torch.where(
        pictures > 0.985, pictures, middle + (pictures - middle) * uniform(0.85, 1.2)
    )
    pictures = pictures * uniform(0.95, 1.0)
    grain = torch.randn(pictures.shape, generator=noise, device=device)
    return (pictures + uniform(0.0, 0.03) * grain).clamp(0, 1)
