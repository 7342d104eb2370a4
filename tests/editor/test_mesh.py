"""Surfaces: closed, where the field is opaque, the same under every color."""

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from clipnerf.editor import Editor, mesh
from clipnerf.editor.mesh import surface
from clipnerf.editor.texture import bake
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.fields.masks import BoxRegion
from clipnerf.gan.codes import Codes, LocalEdit
from clipnerf.gan.generator import Generator
from clipnerf.rendering.density_grid import DensityGrid
from tests.tiny_bundle import tiny_generator

ROOT = Path(__file__).resolve().parents[2]


class _Ball(torch.nn.Module):
    """A field that is a ball off the centre, a small one far from it, and a hollow."""

    density_scale, view_direction, entangled = 10.0, False, False

    def geometry(self, points, shape, dtype=torch.float32):
        big = 0.5 - (points - torch.tensor([0.2, 0.0, 0.0])).norm(dim=-1)
        hollow = (points - torch.tensor([0.2, 0.0, 0.0])).norm(dim=-1) - 0.15
        small = 0.06 - (points - torch.tensor([-0.7, 0.6, 0.0])).norm(dim=-1)
        raw = 200 * torch.maximum(torch.minimum(big, hollow), small)
        return points, 10 * torch.nn.functional.softplus(raw)

    def color(self, features, style, directions=None, points=None):
        return (features[..., :3] + 1) / 2


@pytest.fixture
def ball(monkeypatch):
    monkeypatch.setattr(mesh, "VIEW_SIZE", 32)
    generator = tiny_generator()
    styles = generator.styles(_codes(generator))
    generator.field = _Ball()
    generator.config = dataclasses.replace(
        generator.config, box=[1.0, 1.0, 1.0], front_azimuth_deg=90.0
    )
    generator.box = torch.ones(3)
    monkeypatch.setattr(Generator, "styles", lambda self, codes: styles)

    def grid(self, shape):
        return DensityGrid.build(lambda p: self.field.geometry(p, shape)[1], self.box, [32] * 3)

    monkeypatch.setattr(Generator, "density_grid", grid)
    return generator


def _codes(generator, seeds=(0,)):
    return Codes.from_seeds(list(seeds), generator.config.field.code_dim)


def test_a_ball_is_a_ball_with_its_front_at_x_and_without_crumbs_and_hollows(ball):
    found = surface(ball, _codes(ball), 48)
    solid = trimesh.Trimesh(found.vertices, found.faces, process=False)
    assert solid.is_watertight and solid.body_count == 1
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)
    # the front was at azimuth 90 degrees, so what was at +x is on its right
    assert np.allclose(solid.centroid, [0, -0.2, 0], atol=0.005)
    outwards = found.vertices - np.array([0, -0.2, 0])
    assert ((outwards / 0.5 * found.normals).sum(1) > 0.97).all()
    # a color is that of the place: it came along when the ball was turned
    before = np.stack((-found.vertices[:, 1], found.vertices[:, 0], found.vertices[:, 2]), 1)
    assert np.abs(found.colors - (before + 1) / 2).max() < 0.03


def test_a_texture_has_the_colors_of_its_places(ball):
    plain = surface(ball, _codes(ball), 32)
    found = surface(ball, _codes(ball), 32, texture=256)
    assert plain.texture is None and found.texture.shape == (256, 256, 3)
    # cut open, it is the same surface: face by face, corner by corner
    assert np.array_equal(found.vertices[found.faces], plain.vertices[plain.faces])
    assert found.uv.min() >= 0 and found.uv.max() <= 1 and len(found.uv) == len(found.vertices)
    # at each corner, and in the middle of each triangle, the picture has that place's color
    corners, uv = found.vertices[found.faces], found.uv[found.faces]
    area = trimesh.triangles.area(corners)
    wide = area > 0.02 * np.median(area)
    places = np.concatenate((found.vertices, corners[wide].mean(1)))
    wanted = (np.stack((-places[:, 1], places[:, 0], places[:, 2]), 1) + 1) / 2
    at = np.concatenate((found.uv, uv[wide].mean(1)))
    column, row = (at * 256).astype(int).clip(0, 255).T
    error = np.abs(found.texture[row, column] / 255 - wanted).max(1)
    assert np.quantile(error, 0.998) < 0.04  # pieces smaller than a texel share theirs


def test_no_texel_is_left_bare_and_no_piece_bleeds():
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.2], [0.9, 0.9], [0.2, 0.9]])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    colors = np.eye(3)[:2]
    picture = bake(uv, faces, 64, lambda triangle, weights: colors[triangle])
    assert {tuple(color) for color in picture.reshape(-1, 3).tolist()} == {
        (255, 0, 0), (0, 255, 0),
    }  # fmt: skip
    assert (picture[0, 0] == [255, 0, 0]).all() and (picture[63, 63] == [0, 255, 0]).all()
    weighted = bake(uv, faces[:1], 64, lambda triangle, weights: weights)
    assert np.abs(weighted[7, 7] / 255 - [1, 0, 0]).max() < 0.05  # a corner is its own
    assert weighted[32, 7, 2] == pytest.approx(255 / 2, abs=5)  # half way to the third


def test_crumbs_may_be_kept(ball):
    found = surface(ball, _codes(ball), 48, crumbs=0.0)
    assert trimesh.Trimesh(found.vertices, found.faces, process=False).body_count == 2


def test_what_ends_at_the_box_is_closed_there(ball):
    ball.box = torch.tensor([0.5, 1.0, 1.0])
    ball.config = dataclasses.replace(ball.config, box=[0.5, 1.0, 1.0], front_azimuth_deg=0.0)
    found = surface(ball, _codes(ball), 48)
    assert trimesh.Trimesh(found.vertices, found.faces, process=False).is_watertight
    assert found.vertices[:, 0].max() == pytest.approx(0.5, abs=1e-6)


def test_an_empty_object_is_an_error_of_one_line(ball):
    ball.field.geometry = lambda points, shape, dtype=None: (points, points.sum(-1) * 0)
    with pytest.raises(ClipNerfError, match="nothing to make a mesh of"):
        surface(ball, _codes(ball), 16)


def test_crumbs_alone_are_an_error(ball):
    def two(points, shape, dtype=torch.float32):
        far = (points.abs() - torch.tensor([0.7, 0.6, 0.0])).norm(dim=-1)
        return points, 10 * torch.nn.functional.softplus(200 * (0.06 - far))

    ball.field.geometry = two
    with pytest.raises(ClipNerfError, match="below 0.9"):
        surface(ball, _codes(ball), 48, crumbs=0.9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resolution": 15}, "16 to 512"),
        ({"resolution": 513}, "16 to 512"),
        ({"crumbs": 1.5}, "0 to 1"),
        ({"texture": 63}, "64 to 4096 texels, or 0"),
    ],
)
def test_values_out_of_range(options, said):
    generator = tiny_generator()
    with pytest.raises(UsageError, match=said):
        surface(generator, _codes(generator), **options)


def test_too_little_memory_names_the_largest_that_fits(monkeypatch):
    generator = tiny_generator()
    little = "MemTotal: 9 kB\nMemAvailable: 10000 kB\n"
    monkeypatch.setattr(mesh.Path, "read_text", lambda *a, **k: little)
    with pytest.raises(ClipNerfError, match="largest that fits is (6[0-9])"):
        surface(generator, _codes(generator), 128)


def test_a_missing_library_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(mesh.importlib.util, "find_spec", lambda name: None)
    generator = tiny_generator()
    with pytest.raises(UsageError, match=r"pip install 'clipnerf\[mesh\]'"):
        surface(generator, _codes(generator))
    monkeypatch.setattr(
        mesh.importlib.util, "find_spec", lambda name: None if name == "xatlas" else name
    )
    with pytest.raises(UsageError, match=r"xatlas.*pip install 'clipnerf\[mesh\]'"):
        surface(generator, _codes(generator), texture=64)


@pytest.fixture
def editor(monkeypatch):
    monkeypatch.setattr(mesh, "VIEW_SIZE", 16)
    return Editor(tiny_generator())


def test_another_appearance_has_the_same_geometry_to_the_last_vertex(editor):
    codes = editor.sample([0, 1])
    other = dataclasses.replace(codes, appearance=codes.appearance.flip(0))
    for before, after in zip(editor.mesh(codes, 24), editor.mesh(other, 24), strict=True):
        assert before.vertices.tobytes() == after.vertices.tobytes()
        assert before.faces.tobytes() == after.faces.tobytes()
        assert before.normals.tobytes() == after.normals.tobytes()
        assert np.abs(before.colors - after.colors).max() > 0.1
    before, after = (editor.mesh(some[0], 16, texture=64)[0] for some in (codes, other))
    for part in ("vertices", "faces", "normals", "uv"):
        assert getattr(before, part).tobytes() == getattr(after, part).tobytes()
    assert (before.texture != after.texture).any()


def test_a_batch_is_its_objects(editor):
    codes = editor.sample([0, 1])
    alone = editor.mesh(codes[1], 24)[0]
    assert alone.vertices.tobytes() == editor.mesh(codes, 24)[1].vertices.tobytes()


def test_local_edits_bring_their_colors_and_move_nothing(editor):
    codes = editor.sample([0])
    half = BoxRegion(torch.tensor([[-2.0, -2.0, 0.0]]), torch.full((1, 3), 2.0))
    red = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    layer = LocalEdit(half, None, codes.appearance, torch.ones(1, 1), "the top: red", red)
    before, after = (
        editor.mesh(some, 32)[0] for some in (codes, dataclasses.replace(codes, layers=(layer,)))
    )
    assert before.vertices.tobytes() == after.vertices.tobytes()
    high, low = before.vertices[:, 2] > 0.4, before.vertices[:, 2] < -0.4
    assert high.any() and low.any()
    assert np.abs(after.colors[high] - [1, 0, 0]).max() < 0.05
    assert np.array_equal(after.colors[low], before.colors[low])


@pytest.mark.parametrize("bundle", ["chairs", "cars"])
def test_the_silhouette_is_the_fields(bundle):
    """Of one object each; docs/editing.md says what 16 have."""
    measure = runpy.run_path(str(ROOT / "scripts" / "mesh_silhouettes.py"))["silhouette_iou"]
    editor = Editor.load(ROOT / "data" / "pretrained" / bundle, "cpu")
    codes = editor.sample([0])
    (found,) = editor.mesh(codes, 96)
    assert measure(editor, codes, found)[0] > 0.97
    solid = trimesh.Trimesh(found.vertices, found.faces, process=False)
    assert solid.is_watertight and solid.volume > 0
