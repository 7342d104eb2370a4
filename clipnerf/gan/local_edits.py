"""Local edits of codes, folded into styles: which codes apply within which mask."""

from __future__ import annotations

from dataclasses import replace

from clipnerf.fields.field import ConditionalField
from clipnerf.fields.masks import AnyOf, ColorLayer, Mask, ShapeLayer
from clipnerf.fields.styles import AppearanceStyle, ShapeStyle
from clipnerf.gan.codes import Codes


def with_layers(
    field: ConditionalField, codes: Codes, shape: ShapeStyle, appearance: AppearanceStyle
) -> tuple[ShapeStyle, AppearanceStyle]:
    """The styles of the codes alone, with a layer for each local edit.

    A color is looked for on every shape that the object has by then: a part that an edit of its
    shape made new is found by that shape's code.
    """
    detail = codes.detail
    of_shape, of_color = (None, None) if detail is None else (detail.shape, detail.appearance)
    shapes, shape_layers, color_layers = [codes.shape], [], []
    for layer in codes.layers:
        masks: list[Mask] = [layer.region.bind(field.shape_mapping, z_s) for z_s in shapes]
        if layer.shape is not None:
            there = field.shape_style(layer.shape, detail=of_shape)
            after = layer.region.bind(field.shape_mapping, layer.shape)
            shape_layers.append(
                ShapeLayer(there.deform, there.density, AnyOf(tuple(masks)), after, layer.strength)
            )
            shapes.append(layer.shape)
            masks.append(after)
        if layer.appearance is not None:
            color = field.appearance_style(layer.appearance, detail=of_color).color
            color_layers.append(ColorLayer(color, AnyOf(tuple(masks)), layer.strength, layer.paint))
    return (
        replace(shape, layers=tuple(shape_layers)),
        replace(appearance, layers=tuple(color_layers)),
    )
