"""Mesh files: read back by trimesh, by the formats' own rules, and nothing half-written."""

import dataclasses
import errno
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.mesh import Mesh, vertex_normals

SUFFIXES = (".glb", ".obj", ".ply", ".stl")


@pytest.fixture
def box() -> Mesh:
    """Long to the front, less so to the left, low; another color at each corner."""
    shape = trimesh.creation.box((1.6, 0.8, 0.4))
    vertices = shape.vertices.astype(np.float32)
    faces = shape.faces.astype(np.int32)
    colors = (np.arange(24, dtype=np.float32) / 23).reshape(8, 3)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colors)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read_back_closed_and_upright(box, tmp_path, suffix):
    path = box.save(tmp_path / f"a{suffix}", scale=2.0, name="a chair")
    found = trimesh.load(path, force="mesh", process=suffix == ".stl")  # stl shares no vertices
    assert found.is_watertight and found.is_winding_consistent
    assert found.volume == pytest.approx(1.6 * 0.8 * 0.4 * 8, rel=1e-4)
    y_up = suffix in (".glb", ".obj")
    assert found.extents == pytest.approx([1.6, 0.8, 3.2] if y_up else [3.2, 1.6, 0.8], rel=1e-5)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_vertices_keep_their_order_and_colors(box, tmp_path, suffix):
    path = box.save(tmp_path / f"a{suffix}")
    found = trimesh.load(path, force="mesh", process=False, maintain_order=True)
    wanted = box.y_up() if suffix == ".obj" else box
    assert np.allclose(found.vertices, wanted.vertices, atol=1e-5)
    assert np.array_equal(found.faces, box.faces)
    colors = np.asarray(found.visual.vertex_colors)[:, :3].astype(float)
    assert np.abs(colors - 255 * box.colors).max() <= 1


def _parts(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    rest, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0" and 28 + size + rest == len(data)
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def test_a_glb_holds_linear_colors_and_no_metal(box, tmp_path):
    scene, data = _parts(box.save(tmp_path / "a.glb", name="a chair"))
    assert scene["nodes"][0]["name"] == "a chair"
    assert scene["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    accessor = scene["accessors"][scene["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = scene["bufferViews"][accessor["bufferView"]]["byteOffset"]
    linear = np.frombuffer(data, "<u2", 32, start).reshape(8, 4)[:, :3] / 65535
    back = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert accessor["normalized"] and np.abs(back - box.colors).max() < 1e-3
    vertices = np.frombuffer(data, "<f4", 24).reshape(8, 3)
    assert np.array_equal(vertices, box.vertices[:, [1, 2, 0]])
    normals = np.frombuffer(data, "<f4", 24, scene["bufferViews"][1]["byteOffset"]).reshape(8, 3)
    assert np.array_equal(normals, box.normals[:, [1, 2, 0]])
    places = scene["accessors"][0]
    assert places["min"] == pytest.approx([-0.4, -0.2, -0.8])
    assert places["max"] == pytest.approx([0.4, 0.2, 0.8])


@pytest.fixture
def textured(box) -> Mesh:
    """The box with a picture of four colors."""
    uv = np.linspace(0, 1, 16, dtype=np.float32).reshape(8, 2)
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :, 0], picture[:, :2, 1] = 255, 200
    return dataclasses.replace(box, uv=uv, texture=picture)


def test_a_texture_is_the_picture_from_the_upper_left_corner(textured, tmp_path):
    path = textured.save(tmp_path / "a.glb")
    found = trimesh.load(path, force="mesh", process=False)
    assert found.is_watertight
    # trimesh counts v from below
    assert np.allclose(found.visual.uv, np.stack((textured.uv[:, 0], 1 - textured.uv[:, 1]), 1))
    picture = np.asarray(found.visual.material.baseColorTexture.convert("RGB"))
    assert np.array_equal(picture, textured.texture)
    scene, _ = _parts(path)
    assert "COLOR_0" not in scene["meshes"][0]["primitives"][0]["attributes"]  # it would darken


@pytest.mark.parametrize("which", ["box", "textured"])
def test_khronos_validator_has_nothing_to_say(which, request, tmp_path):
    path = request.getfixturevalue(which).save(tmp_path / "a.glb")
    code = (
        "const v=require('gltf-validator'),fs=require('fs');"
        f"v.validateBytes(new Uint8Array(fs.readFileSync({json.dumps(str(path))})))"
        ".then(r=>console.log(JSON.stringify(r.issues)))"
    )
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    run = subprocess.run(["node", "-e", code], capture_output=True, text=True, timeout=60)
    if "Cannot find module" in run.stderr:
        pytest.skip("npm's gltf-validator is not where node looks (NODE_PATH)")
    issues = json.loads(run.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_normals_look_outwards_and_lone_vertices_have_one(box):
    lone = np.concatenate((box.vertices, np.zeros((1, 3), np.float32)))
    normals = vertex_normals(lone, box.faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((normals[:8] * box.vertices).sum(1) > 0).all()


@pytest.mark.parametrize("name", ["a.gltf", "a.fbx", "a", "glb"])
def test_another_suffix_is_refused(box, tmp_path, name):
    with pytest.raises(UsageError, match=r"end the name in \.glb, \.obj, \.ply, \.stl"):
        box.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(box, tmp_path, scale):
    with pytest.raises(UsageError, match="scale is"):
        box.save(tmp_path / "a.glb", scale=scale)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_keeps_the_old_file(box, tmp_path, monkeypatch, suffix):
    path = box.save(tmp_path / f"a{suffix}")
    old = path.read_bytes()

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ClipNerfError, match="the disk is full"):
        box.save(path, scale=3.0)
    assert path.read_bytes() == old and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_mesh_is_not_written(box, tmp_path, suffix):
    for part in ("vertices", "normals", "colors"):
        broken = dataclasses.replace(box, **{part: getattr(box, part) * np.float32("nan")})
        with pytest.raises(ClipNerfError, match="NaN or infinity"):
            broken.save(tmp_path / f"a{suffix}")
    empty = dataclasses.replace(box, faces=box.faces[:0])
    with pytest.raises(ClipNerfError, match="without triangles"):
        empty.save(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a\nb", "\udcff.png", "ü \U0001f600"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_name_is_a_line(box, tmp_path, suffix, name):
    path = box.save(tmp_path / f"a{suffix}", name=name)
    found = trimesh.load(path, force="mesh", process=suffix == ".stl")
    assert len(found.faces) == len(box.faces)
