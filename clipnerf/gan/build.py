"""A field from a generator's configuration, and the configuration from a file's metadata."""

from __future__ import annotations

from clipnerf.config.generator import CameraPriorConfig, FieldConfig, GeneratorConfig
from clipnerf.fields.field import ConditionalField
from clipnerf.fields.layout import GridLayout


def build_field(config: GeneratorConfig) -> ConditionalField:
    """The field a configuration describes; its grid covers the box and all displacements."""
    f = config.field
    layout = GridLayout(
        dim=3,
        levels=f.levels,
        features=f.features,
        log2_rows=f.log2_rows,
        base_resolution=f.base_resolution,
        finest_resolution=f.finest_resolution,
    )
    return ConditionalField(
        layout,
        extent=max(config.box) + f.deform_limit,
        code_dim=f.code_dim,
        style_dim=f.style_dim,
        conditioning=f.conditioning,
        deform_octaves=f.deform_octaves,
        deform_width=f.deform_width,
        deform_limit=f.deform_limit,
        position_octaves=f.position_octaves,
        density_width=f.density_width,
        color_width=f.color_width,
        view_direction=f.view_direction,
        density_bias=f.density_bias,
        density_scale=f.density_scale,
        backend=f.backend,
        mirror=f.mirror,
    )


def generator_config(values: dict) -> GeneratorConfig:
    """GeneratorConfig from the nested dict that travels in a file; TypeError or KeyError for one
    with unknown keys, or without the nested ones."""
    rest = {k: v for k, v in values.items() if k not in ("field", "camera")}
    field, camera = FieldConfig(**values["field"]), CameraPriorConfig(**values["camera"])
    return GeneratorConfig(field=field, camera=camera, **rest)
