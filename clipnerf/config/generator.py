"""Configuration of the generator, the discriminator and the prior over cameras."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from clipnerf.config.ranges import (
    Azimuth,
    Config,
    Elevation,
    PositiveShare,
    Precision,
    Range,
    RaySamples,
    Rule,
    Width,
)


@dataclass
class FieldConfig(Config):
    """The conditional field: deformation, hash grid, density and color."""

    conditioning: Literal["disentangled", "entangled"] = "disentangled"
    """'disentangled': z_s deforms and shapes, z_a colors; 'entangled': the paper's baseline."""
    code_dim: Annotated[int, Range(1, 4096)] = 128
    """Numbers in a shape code, and in an appearance code."""
    style_dim: Annotated[int, Range(1, 4096)] = 64
    """Width of the network between a code and the layers it modulates."""
    levels: Annotated[int, Range(1, 24)] = 8
    """Levels of the hash grid."""
    features: Annotated[int, Range(1, 8, power_of_two=True)] = 2
    """Features of a hash-grid entry: 1, 2, 4 or 8."""
    log2_rows: Annotated[int, Range(3, 24)] = 14
    """Rows of a level at most, as a power of two."""
    base_resolution: Annotated[int, Range(2, 65536)] = 8
    """Grid vertices along an axis on the coarsest level."""
    finest_resolution: Annotated[int, Range(2, 65536)] = 96
    """Grid vertices along an axis on the finest level; 2-4 times the picture's width."""
    backend: Literal["auto", "tcnn", "triton", "native", "torch"] = "auto"
    """Backend: 'auto' (the first that runs), 'tcnn', 'triton', 'native' (on a CPU) or 'torch'."""
    deform_octaves: Annotated[int, Range(0, 16)] = 5
    """Octaves of the frequency encoding that the deformation sees."""
    deform_width: Annotated[int, Range(1, 4096)] = 48
    """Width of the deformation network."""
    deform_limit: Annotated[float, Range(0, 2)] = 0.2
    """Largest displacement along an axis, in world units (the object fits in [-1, 1])."""
    position_octaves: Annotated[int, Range(0, 16)] = 2
    """Octaves of low-frequency position beside the hash features."""
    density_width: Annotated[int, Range(1, 4096)] = 64
    """Width of the density network."""
    color_width: Annotated[int, Range(1, 4096)] = 48
    """Width of the color network."""
    view_direction: bool = False
    """Let the color depend on the viewing direction; off keeps highlights out of the geometry."""
    density_bias: Annotated[float, Range(-100, 100)] = -3.0
    """Added before the softplus of the density: below zero, space starts nearly empty."""
    density_scale: Annotated[float, Range(above=0, most=10_000)] = 10.0
    """Factor of the softplus: density in 1 / world unit for an activation of one."""
    mirror: bool = False
    """Geometry is symmetric about the plane y = 0, for categories whose left is their right: twice
    the detail a row of the table, parts in pairs, and objects that face along x or against it."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        low, high = self.base_resolution, self.finest_resolution
        yield low <= high, "base_resolution", f"2 to finest_resolution ({high})"


@dataclass
class CameraPriorConfig(Config):
    """Where the pictures may have been taken from: cameras on a sphere that look at the origin."""

    fov_deg: Annotated[float, Range(1, 120, note=" degrees")] = 30.0
    """Field of view of the whole picture, degrees."""
    radius: Annotated[float, Range(above=1, most=1000)] = 4.0
    """Distance of the camera from the origin, world units."""
    azimuth_min_deg: Azimuth = 0.0
    """Smallest azimuth, degrees; 0 looks at the front (+X), growing counter-clockwise."""
    azimuth_max_deg: Azimuth = 360.0
    """Largest azimuth, degrees."""
    elevation_min_deg: Elevation = 0.0
    """Smallest elevation above the horizon, degrees."""
    elevation_max_deg: Elevation = 50.0
    """Largest elevation above the horizon, degrees."""
    elevation_by_area: bool = False
    """True: cameras are uniform on the sphere's area; False: elevation itself is uniform."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        low, high = self.elevation_min_deg, self.elevation_max_deg
        yield low <= high, "elevation_min_deg", f"-90 to elevation_max_deg ({high})"
        low, high = self.azimuth_min_deg, self.azimuth_max_deg
        yield low <= high, "azimuth_min_deg", f"up to azimuth_max_deg ({high})"


@dataclass
class GeneratorConfig(Config):
    """The generator: field, cameras, box and sampling."""

    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    """The conditional field."""
    camera: CameraPriorConfig = dataclasses.field(default_factory=CameraPriorConfig)
    """The prior over cameras."""
    box: list[PositiveShare] = dataclasses.field(default_factory=lambda: [1.0, 1.0, 1.0])
    """Half the extent of the box that holds the object along x, y, z; world units, at most 1."""
    samples: RaySamples = 12
    """Samples a ray in training; a first pass over a grid says where on the ray they lie."""
    render_samples: RaySamples = 16
    """Samples a ray in finished pictures."""
    grid_cells: Annotated[int, Range(2, 256)] = 28
    """Cells of the first pass in training, along the longest axis of the box."""
    front_azimuth_deg: Azimuth = 0.0
    """Azimuth at which this generator's objects turned out to face the camera, degrees. No poses
    are given in training, so it is found afterwards; 'azimuth 0' of a person means this."""
    precision: Precision = "auto"
    """Networks in 'float32' or 'bfloat16'; 'auto' takes bfloat16 in training where the hardware
    multiplies it natively. Rendering itself is always float32, and so is the field where it is
    computed in C (field.backend 'native')."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield len(self.box) == 3, "box", "three numbers above 0, at most 1"


@dataclass
class DiscriminatorConfig(Config):
    """The scale-aware patch discriminator."""

    patch: Annotated[int, Range(8, 1024, power_of_two=True)] = 32
    """Width and height of the patches it sees, pixels; a power of two, 8 or more."""
    width: Width = 48
    """Channels of the first layer; doubled with every halving of the patch, up to max_width."""
    max_width: Width = 192
    """Channels at most."""
    pose: bool = False
    """It also guesses where the camera stood; set by loss.pose, and kept in its file."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield self.width <= self.max_width, "max_width", f"width ({self.width}) or more"
