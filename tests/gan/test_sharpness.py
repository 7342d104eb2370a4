"""Reals are as sharp as fakes: one box, drawn and rendered, has edges of one width."""

import numpy as np
import pytest
import torch

from clipnerf.data.procedural.parts import block
from clipnerf.data.procedural.render import render
from clipnerf.gan.codes import Codes
from clipnerf.gan.patches import Patches

SIZE = (0.9, 0.7, 1.1)
DARK = 0.1
PATCH = 32
PICTURE = 256


@pytest.fixture
def box_field(make_generator, monkeypatch):
    """A generator whose object is the box, all but opaque."""
    generator = make_generator(box=[0.6, 0.6, 0.8], grid_cells=28)
    half = torch.tensor(SIZE) / 2

    def density(points, style):
        return torch.where((points.abs() <= half).all(-1), 1e5, 0.0)

    monkeypatch.setattr(generator.field, "deform", lambda points, *_: points)
    monkeypatch.setattr(generator.field, "features", lambda points, dtype: points)
    monkeypatch.setattr(generator.field, "density", density)
    monkeypatch.setattr(generator.field, "color", lambda points, *_: torch.zeros_like(points))
    return generator


def drawn_box(size: int, oversampling: int) -> torch.Tensor:
    """Coverage of the box seen from the front, where its front face alone is seen."""
    part = block("box", (0, 0, 0), SIZE, "box", (DARK,) * 3)
    picture = render((part,), 0.0, 0.0, size, ("box",), oversampling=oversampling)
    values = torch.from_numpy(picture.rgb[..., :1].astype(np.float32)).permute(2, 0, 1) / 255
    return (1 - values) / (1 - values.min())


def edge_width(patches: torch.Tensor) -> float:
    """Mean distance of the crossings of 10 and 90 %, in samples, over all rises along rows."""
    widths = []
    for row in patches.flatten(0, -2).numpy():
        low = np.flatnonzero((row[:-1] < 0.1) & (row[1:] >= 0.1))
        for start in low:
            after = np.flatnonzero(row[start:] >= 0.9)
            if len(after) and (np.diff(row[start : start + after[0] + 1]) >= 0).all():
                end = start + after[0]
                first = start + (0.1 - row[start]) / (row[start + 1] - row[start])
                last = end - 1 + (0.9 - row[end - 1]) / (row[end] - row[end - 1])
                widths.append(last - first)
    assert len(widths) > 100
    return float(np.mean(widths))


def patches_over_the_left_edge(scale: float, count: int = 48) -> Patches:
    """Each a little farther to the right, so that the edge falls anywhere between samples."""
    shift = torch.linspace(0, 0.03, count)
    x, y = (0.2 if scale < 1 else 0.0), (0.35 if scale < 1 else 0.0)
    if scale == 1:  # whole pictures do not move: all but whole ones do
        scale = 0.97
    return Patches(torch.full((count,), scale), torch.stack((x + shift, y + 0 * shift), dim=1))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_box_has_the_same_edges_as_a_picture_and_as_a_field(box_field, scale):
    patches = patches_over_the_left_edge(scale)
    picture = drawn_box(PICTURE, oversampling=1).expand(len(patches), -1, -1, -1)
    real = edge_width(patches.pick(picture, PATCH))
    codes = Codes.from_seeds([0], 8)[[0] * len(patches)]
    draw = torch.Generator().manual_seed(0)
    view = box_field.render_patch(
        codes,
        box_field.camera(torch.zeros(len(patches)), 0.0, PICTURE),
        patches,
        PATCH,
        samples=12,
        jitter=torch.rand(len(patches), PATCH**2, 12, generator=draw),
        lattice=PICTURE,
        precision="float32",
    )
    fake = edge_width(view.opacity)
    assert abs(fake / real - 1) < 0.15
    # the same silhouette, not only the same width
    assert float((view.opacity - patches.pick(picture, PATCH)).abs().mean()) < 0.01


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_pictures_as_coarse_as_the_patch_would_be_smoother(scale):
    """What was wrong: pictures of 64 pixels, each a mean of 3 x 3 rays, sampled between them."""
    patches = patches_over_the_left_edge(scale)
    sharp = drawn_box(PICTURE, oversampling=1).expand(len(patches), -1, -1, -1)
    coarse = drawn_box(64, oversampling=3).expand(len(patches), -1, -1, -1)
    was = edge_width(patches.crop(coarse, PATCH))
    assert was > 1.3 * edge_width(patches.pick(sharp, PATCH))


def test_points_on_a_lattice_are_pixels_centers():
    draw = torch.Generator().manual_seed(0)
    patches = Patches.sample(50, 0.25, 1.0, draw)
    points = patches.points(32, 128)
    pixels = points * 128 - 0.5
    assert torch.equal(pixels, pixels.round()) and 0 <= pixels.min() and pixels.max() <= 127
    assert float((points - patches.points(32)).abs().max()) <= 0.5 / 128 + 1e-6
    picture = torch.rand(50, 3, 128, 128, generator=draw)
    taken = patches.pick(picture, 32)
    column, row = pixels.long().unbind(-1)
    for n in (0, 17, 49):
        assert torch.equal(taken[n].flatten(1), picture[n][:, row[n], column[n]])
