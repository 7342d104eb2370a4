"""Silhouettes and palettes against counted pixels, and on a generator of each kind."""

import dataclasses
import math

import pytest
import torch

from clipnerf.evaluation.metrics.disentanglement import (
    disentanglement,
    palette_distance,
    silhouette_iou,
)
from clipnerf.gan.generator import Generator


def box(left: int, right: int) -> torch.Tensor:
    opacity = torch.zeros(1, 1, 8, 8)
    opacity[..., left:right] = 1
    return opacity


def test_iou_is_counted():
    assert float(silhouette_iou(box(0, 4), box(2, 6))) == pytest.approx(2 / 6)
    assert float(silhouette_iou(box(1, 5), box(1, 5))) == 1
    assert float(silhouette_iou(box(0, 2), box(4, 6))) == 0
    assert float(silhouette_iou(box(0, 0), box(0, 0))) == 1


def test_palette_of_one_color_each():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    dark = torch.tensor([0.0, 0.5, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    distance = palette_distance(red, box(0, 8), dark, box(2, 3))
    assert float(distance) == pytest.approx(math.sqrt(1 + 0.25))


def test_a_part_that_grows_costs_nothing_and_a_new_color_does():
    picture = torch.ones(1, 3, 8, 8)
    picture[:, 1:, :, :2] = 0
    picture[:, :2, :, 2:] = 0
    grown = torch.ones(1, 3, 8, 8)
    grown[:, 1:, :, :6] = 0
    grown[:, :2, :, 6:] = 0
    assert float(palette_distance(picture, box(0, 8), grown, box(0, 8))) == 0
    green = grown.clone()
    green[:, :, :4] = torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1)
    # half the pixels of one picture have their nearest color sqrt(2) away; none of the other's
    expected = math.sqrt(2) * 0.5 / 2
    found = float(palette_distance(picture, box(0, 8), green, box(0, 8)))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_background_does_not_count_and_an_empty_object_is_nan():
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    other = picture.clone()
    other[..., 4:] = 0.5
    assert float(palette_distance(picture, box(0, 4), other, box(0, 4))) == 0
    assert math.isnan(float(palette_distance(picture, box(0, 0), other, box(0, 4))))


def test_appearance_cannot_reach_geometry(generator):
    report = disentanglement(generator, objects=6, size=16)
    assert report.silhouette_iou == 1
    assert report.shape_iou < 1 and report.objects == 6


def test_the_entangled_baseline_is_told_apart(generator):
    config = dataclasses.replace(
        generator.config, field=dataclasses.replace(generator.config.field)
    )
    config.field.conditioning = "entangled"
    torch.manual_seed(0)
    entangled = Generator(config)
    for parameter in entangled.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    entangled.requires_grad_(False).eval()
    assert disentanglement(entangled, objects=6, size=16).silhouette_iou < 1
