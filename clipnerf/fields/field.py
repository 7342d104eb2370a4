"""ConditionalField: what is at a point, given a shape code and an appearance code.

    p' = p + limit * tanh(T(p, z_s))        deformation
    sigma = density(p', z_s)                topology: FiLM by z_s, faded in during training
    rgb = color(p', v, z_a)                 FiLM by z_a, on the hash features at p' alone

``density`` cannot be given z_a, and ``color`` does not see the trunk that z_s modulates: two
appearance codes have one geometry, bit for bit (CLIP-NeRF, section 3.1, tightened). With
``conditioning='entangled'`` there is no deformation and both codes reach everything: the paper's
baseline.

With ``mirror`` the geometry is symmetric about the plane y = 0 (the object's own left and right):
what is at p is what is at (x, |y|, z), and the hash table holds one half in the place of two. |y|
is rounded off at 0, or every object would have a groove there. The color is told the side beside
it, for light comes from one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.fields.encoding import frequency_features, octave_window
from clipnerf.fields.hash_grid import HashGrid
from clipnerf.fields.layout import GridLayout
from clipnerf.fields.modulated import Affine, CodeMapping, ModulatedLinear
from clipnerf.fields.operations import FieldOperations
from clipnerf.fields.styles import (
    AppearanceStyle,
    ShapeStyle,
    fold,
    modulated,
    wide,
)

EMPTY, SOLID = 0.5, 5.0
"""sigma, in 1 / world unit, below which a point is taken for empty, and from which for matter."""


class ConditionalField(FieldOperations):
    """The field of one object category.

    Args:
        layout: sizes of the hash grid (three dimensions).
        extent: half the width of the cube, in world units, that the grid covers.
        code_dim, style_dim: widths of a code and of the network behind it.
        conditioning: ``disentangled`` or ``entangled``.
        deform_octaves, deform_width, deform_limit: the deformation; the limit in world units.
        position_octaves: low-frequency position beside the hash features.
        density_width, color_width: widths of the heads.
        view_direction: whether color sees the viewing direction.
        density_bias, density_scale: sigma = scale * softplus(. + bias).
        backend: hash-grid backend.
        mirror: geometry is symmetric about y = 0; features of points then end with their side.

    The buffer ``progress`` holds (octaves let into the deformation, strength of the density's
    modulation); the trainer raises it, and it travels with the weights.
    """

    progress: Tensor

    def __init__(
        self,
        layout: GridLayout,
        *,
        extent: float = 1.0,
        code_dim: int = 128,
        style_dim: int = 64,
        conditioning: str = "disentangled",
        deform_octaves: int = 5,
        deform_width: int = 48,
        deform_limit: float = 0.2,
        position_octaves: int = 2,
        density_width: int = 64,
        color_width: int = 48,
        view_direction: bool = False,
        density_bias: float = -3.0,
        density_scale: float = 10.0,
        backend: str = "auto",
        mirror: bool = False,
    ) -> None:
        super().__init__()
        if conditioning not in ("disentangled", "entangled"):
            raise ValueError(
                f"conditioning is {conditioning!r}; 'disentangled' and 'entangled' are possible"
            )
        self.entangled = conditioning == "entangled"
        self.extent = extent
        self.deform_octaves, self.position_octaves = deform_octaves, position_octaves
        self.deform_limit = deform_limit
        self.view_direction = view_direction
        self.density_bias, self.density_scale = density_bias, density_scale
        self.mirror = mirror
        self.grid = HashGrid(layout, backend)
        seen = code_dim * 2 if self.entangled else code_dim
        self.shape_mapping = CodeMapping(seen, style_dim)
        self.appearance_mapping = CodeMapping(seen, style_dim)
        at_point = self.grid.out_features + frequency_features(3, position_octaves)
        waves = frequency_features(3, deform_octaves)
        self.deform_layers = nn.ModuleList()
        if not self.entangled:
            self.deform_layers.extend(_hidden(waves, deform_width, style_dim))
            # the last layer starts at zero, its modulation too: no displacement at first
            last = ModulatedLinear(deform_width, 3, style_dim, gain=0.0)
            assert last.film is not None
            nn.init.zeros_(last.film.weight)
            self.deform_layers.append(last)
        self.density_layers = nn.ModuleList(
            _hidden(at_point, density_width, style_dim)
            + [ModulatedLinear(density_width, 1, gain=1.0)]
        )
        seen = at_point + mirror + 3 * view_direction
        self.color_layers = nn.ModuleList(
            _hidden(seen, color_width, style_dim)
            + [ModulatedLinear(color_width, 3, style_dim, gain=1.0)]
        )
        self.register_buffer("progress", torch.tensor([float(deform_octaves), 1.0]))

    def set_progress(self, octaves: float, topology: float) -> None:
        """Let ``octaves`` into the deformation and modulate density by ``topology`` in [0, 1]."""
        # filled by value: a copy from the CPU would make a GPU's queue run dry
        self.progress[0].fill_(min(octaves, self.deform_octaves))
        self.progress[1].fill_(topology)

    @property
    def detail_layers(self) -> tuple[int, int]:
        """Layers that a style modulates, of geometry (deformation first) and of color."""
        shape = modulated(self.deform_layers) + modulated(self.density_layers)
        return shape, modulated(self.color_layers)

    def shape_style(
        self,
        z_s: Float[Tensor, "batch code"],
        z_a: Float[Tensor, "batch code"] | None = None,
        detail: Float[Tensor, "batch layers style"] | None = None,
    ) -> ShapeStyle:
        """Fold z_s into the geometry's weights. Only the entangled baseline takes (needs) z_a.

        Args:
            detail: added to the style of each modulated layer, in the order of ``detail_layers``.
        """
        if self.entangled != (z_a is not None):
            raise ValueError("z_a reaches geometry in the entangled baseline only, and must there")
        code = z_s if z_a is None else torch.cat((z_s, z_a), dim=1)
        style = self.shape_mapping(code)
        warped = len(self.deform_layers)
        own = (None, None) if detail is None else (detail[:, :warped], detail[:, warped:])
        deform = fold(self.deform_layers, style, detail=own[0])
        if deform:
            window = octave_window(3, self.deform_octaves, self.progress[0])
            deform = (Affine(deform[0].weight * window[:, None], deform[0].bias), *deform[1:])
        density = fold(self.density_layers, style, self.progress[1], own[1])
        if self.mirror:  # no weight for the side: geometry must not see it
            first = Affine(F.pad(density[0].weight, (0, 0, 0, 1)), density[0].bias)
            density = (first, *density[1:])
        return ShapeStyle(deform, density)

    def appearance_style(
        self,
        z_a: Float[Tensor, "batch code"],
        z_s: Float[Tensor, "batch code"] | None = None,
        detail: Float[Tensor, "batch layers style"] | None = None,
    ) -> AppearanceStyle:
        """Fold z_a into the color's weights. Only the entangled baseline takes (needs) z_s."""
        if self.entangled != (z_s is not None):
            raise ValueError("z_s reaches color in the entangled baseline only, and must there")
        style = self.appearance_mapping(z_a if z_s is None else torch.cat((z_s, z_a), dim=1))
        return AppearanceStyle(fold(self.color_layers, style, detail=detail))

    def geometry(
        self,
        points: Float[Tensor, "batch points 3"],
        style: ShapeStyle,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Float[Tensor, "batch points features"], Float[Tensor, "batch points"]]:
        """Features at the points' canonical places, and sigma; local edits of shape applied.

        A layer's displacement and its density are blended in by its mask: where that is 0, both
        are what they were, bit for bit.
        """
        plain = self.features(self.deform(points, style, dtype), dtype)
        if not style.layers:
            return plain, self.density(plain, style)
        solid = self._solid(self._mlp(plain, style.density))
        deformed, masks = self.deform(points, style, dtype), []
        for layer in style.layers:
            other = self._moved(points, layer.deform, dtype)
            seen = self.features(other, dtype)
            # off an object's matter a region field was never taught
            before = layer.before(points, plain) * solid
            after = layer.after(points, seen) * self._solid(self._mlp(seen, layer.density))
            mask = torch.maximum(before, after) * layer.strength
            deformed = deformed + mask[..., None] * (other - deformed)
            masks.append(mask[..., None])
        features = self.features(deformed, dtype)
        raw = self._mlp(features, style.density)
        for layer, mask in zip(style.layers, masks, strict=True):
            raw = raw + mask * (self._mlp(features, layer.density) - raw)
        return features, self._sigma(raw)

    def deform(
        self,
        points: Float[Tensor, "batch points 3"],
        style: ShapeStyle,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "batch points 3"]:
        """p' = p + limit * tanh(T(p, z_s)), without local edits; networks run in ``dtype``."""
        return self._moved(points, style.deform, dtype)

    def density(
        self, features: Float[Tensor, "batch points features"], style: ShapeStyle
    ) -> Float[Tensor, "batch points"]:
        """sigma >= 0 in 1 / world unit, float32, without local edits."""
        return self._sigma(features, style.density)

    def density_and_raw(
        self, features: Float[Tensor, "batch points features"], style: ShapeStyle
    ) -> tuple[Float[Tensor, "batch points"], Float[Tensor, "batch points"]]:
        """sigma, and the number that the softplus is taken of before its bias."""
        raw = self._mlp(features, style.density)
        return self._sigma(raw), wide(raw.squeeze(-1))

    def _solid(self, raw: Float[Tensor, "batch points 1"]) -> Float[Tensor, "batch points"]:
        """How much matter there is, 0 to 1; exactly 0 in what is as good as empty."""
        return ((self._sigma(raw) - EMPTY) / (SOLID - EMPTY)).clamp(0, 1)

    def color(
        self,
        features: Float[Tensor, "batch points features"],
        style: AppearanceStyle,
        directions: Float[Tensor, "batch points 3"] | None = None,
        points: Float[Tensor, "batch points 3"] | None = None,
    ) -> Float[Tensor, "batch points 3"]:
        """rgb in [0, 1], float32.

        Args:
            directions: are needed if the field sees them.
            points: in the world; are needed if the style has layers.
        """
        seen = features
        if self.view_direction:
            if directions is None:
                raise ValueError("this field's color depends on the direction; none was given")
            seen = torch.cat((features, directions.to(features.dtype)), dim=-1)
        rgb = self._rgb(seen, style.color)
        for layer in style.layers:
            if points is None:
                raise ValueError("this style has local edits; give the points as well")
            mask = (layer.mask(points, features) * layer.strength)[..., None]
            other = layer.painted(self._rgb(seen, layer.color))
            rgb = rgb + mask * (other - rgb)
        return rgb


def _hidden(inputs: int, width: int, style_dim: int) -> list[nn.Module]:
    return [
        ModulatedLinear(inputs, width, style_dim),
        ModulatedLinear(width, width, style_dim),
    ]
