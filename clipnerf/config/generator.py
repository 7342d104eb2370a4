"""Configuration of the generator, the discriminator and the prior over cameras."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clipnerf.errors import UsageError


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value}; allowed: {allowed}")


@dataclass
class FieldConfig:
    """The conditional field: deformation, hash grid, density and colour."""

    conditioning: str = "disentangled"
    """'disentangled': z_s deforms and shapes, z_a colours; 'entangled': the paper's baseline."""
    code_dim: int = 128
    """Numbers in a shape code, and in an appearance code."""
    style_dim: int = 64
    """Width of the network between a code and the layers it modulates."""
    levels: int = 8
    """Levels of the hash grid."""
    features: int = 2
    """Features of a hash-grid entry: 1, 2, 4 or 8."""
    log2_rows: int = 14
    """Rows of a level at most, as a power of two."""
    base_resolution: int = 8
    """Grid vertices along an axis on the coarsest level."""
    finest_resolution: int = 96
    """Grid vertices along an axis on the finest level; 2-4 times the picture's width."""
    backend: str = "auto"
    """Backend: 'auto' (the first that runs), 'tcnn', 'triton', 'native' (on a CPU) or 'torch'."""
    deform_octaves: int = 5
    """Octaves of the frequency encoding that the deformation sees."""
    deform_width: int = 48
    """Width of the deformation network."""
    deform_limit: float = 0.2
    """Largest displacement along an axis, in world units (the object fits in [-1, 1])."""
    position_octaves: int = 2
    """Octaves of low-frequency position beside the hash features."""
    density_width: int = 64
    """Width of the density network."""
    color_width: int = 48
    """Width of the colour network."""
    view_direction: bool = False
    """Let the colour depend on the viewing direction; off keeps highlights out of the geometry."""
    density_bias: float = -3.0
    """Added before the softplus of the density: below zero, space starts nearly empty."""
    density_scale: float = 10.0
    """Factor of the softplus: density in 1 / world unit for an activation of one."""
    mirror: bool = False
    """Geometry is symmetric about the plane y = 0, for categories whose left is their right: twice
    the detail a row of the table, parts in pairs, and objects that face along x or against it."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        _check(
            self.conditioning in ("disentangled", "entangled"),
            "generator.field.conditioning",
            repr(self.conditioning),
            "'disentangled' or 'entangled'",
        )
        for key in ("code_dim", "style_dim", "deform_width", "density_width", "color_width"):
            _check(
                getattr(self, key) >= 1, f"generator.field.{key}", getattr(self, key), "1 or more"
            )
        _check(1 <= self.levels <= 24, "generator.field.levels", self.levels, "1 to 24")
        _check(
            self.features in (1, 2, 4, 8), "generator.field.features", self.features, "1, 2, 4, 8"
        )
        _check(3 <= self.log2_rows <= 24, "generator.field.log2_rows", self.log2_rows, "3 to 24")
        _check(
            2 <= self.base_resolution <= self.finest_resolution,
            "generator.field.base_resolution",
            self.base_resolution,
            "2 to finest_resolution",
        )
        _check(
            self.backend in ("auto", "tcnn", "triton", "native", "torch"),
            "generator.field.backend",
            repr(self.backend),
            "'auto', 'tcnn', 'triton', 'native' or 'torch'",
        )


@dataclass
class CameraPriorConfig:
    """Where the pictures may have been taken from: cameras on a sphere that look at the origin."""

    fov_deg: float = 30.0
    """Field of view of the whole picture, degrees."""
    radius: float = 4.0
    """Distance of the camera from the origin, world units."""
    azimuth_min_deg: float = 0.0
    """Smallest azimuth, degrees; 0 looks at the front (+X), growing counter-clockwise."""
    azimuth_max_deg: float = 360.0
    """Largest azimuth, degrees."""
    elevation_min_deg: float = 0.0
    """Smallest elevation above the horizon, degrees."""
    elevation_max_deg: float = 50.0
    """Largest elevation above the horizon, degrees."""
    elevation_by_area: bool = False
    """True: cameras are uniform on the sphere's area; False: elevation itself is uniform."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        _check(1 <= self.fov_deg <= 120, "generator.camera.fov_deg", self.fov_deg, "1 to 120")
        _check(self.radius > 1, "generator.camera.radius", self.radius, "more than 1")
        _check(
            -90 <= self.elevation_min_deg <= self.elevation_max_deg <= 90,
            "generator.camera.elevation_min_deg",
            self.elevation_min_deg,
            "-90 to elevation_max_deg, which is at most 90",
        )
        _check(
            self.azimuth_min_deg <= self.azimuth_max_deg,
            "generator.camera.azimuth_min_deg",
            self.azimuth_min_deg,
            "up to azimuth_max_deg",
        )


@dataclass
class GeneratorConfig:
    """The generator: field, cameras, box and sampling."""

    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    """The conditional field."""
    camera: CameraPriorConfig = dataclasses.field(default_factory=CameraPriorConfig)
    """The prior over cameras."""
    box: list[float] = dataclasses.field(default_factory=lambda: [1.0, 1.0, 1.0])
    """Half the extent of the box that holds the object along x, y, z; world units, at most 1."""
    samples: int = 12
    """Samples a ray in training; a first pass over a grid says where on the ray they lie."""
    render_samples: int = 16
    """Samples a ray in finished pictures."""
    grid_cells: int = 28
    """Cells of the first pass in training, along the longest axis of the box."""
    front_azimuth_deg: float = 0.0
    """Azimuth at which this generator's objects turned out to face the camera, degrees. No poses
    are given in training, so it is found afterwards; 'azimuth 0' of a person means this."""
    precision: str = "auto"
    """Networks in 'float32' or 'bfloat16'; 'auto' takes bfloat16 in training where the hardware
    multiplies it natively. Rendering itself is always float32, and so is the field where it is
    computed in C (field.backend 'native')."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        self.field.validate()
        self.camera.validate()
        _check(
            len(self.box) == 3 and all(0 < b <= 1 for b in self.box),
            "generator.box",
            self.box,
            "three numbers above 0, at most 1",
        )
        _check(2 <= self.grid_cells <= 256, "generator.grid_cells", self.grid_cells, "2 to 256")
        for key in ("samples", "render_samples"):
            _check(
                2 <= getattr(self, key) <= 4096, f"generator.{key}", getattr(self, key), "2 to 4096"
            )
        _check(
            self.precision in ("auto", "float32", "bfloat16"),
            "generator.precision",
            repr(self.precision),
            "'auto', 'float32' or 'bfloat16'",
        )


@dataclass
class DiscriminatorConfig:
    """The scale-aware patch discriminator."""

    patch: int = 32
    """Width and height of the patches it sees, pixels; a power of two, 8 or more."""
    width: int = 48
    """Channels of the first layer; doubled with every halving of the patch, up to max_width."""
    max_width: int = 192
    """Channels at most."""
    pose: bool = False
    """It also guesses where the camera stood; set by loss.pose, and kept in its file."""

    def validate(self) -> None:
        """Raise UsageError for a value out of range."""
        power = self.patch >= 8 and self.patch & (self.patch - 1) == 0
        _check(power, "discriminator.patch", self.patch, "a power of two, 8 or more")
        _check(self.width >= 1, "discriminator.width", self.width, "1 or more")
        _check(
            self.max_width >= self.width, "discriminator.max_width", self.max_width, "width or more"
        )
