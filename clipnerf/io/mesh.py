"""Meshes as files: .glb, .obj, .ply and .stl, written as their specifications say.

Axes: a :class:`Mesh` is in the project's world, +Z up and its front at +X. glTF (.glb) wants +Y up,
the front at +Z and meters, and gets them; .obj is turned likewise, as is the custom; .ply and .stl
stay +Z up. One world unit becomes ``scale`` meters, or whatever a program takes the numbers for.

Colors are sRGB in .obj and .ply, linear in .glb as glTF asks; .stl has none.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from clipnerf.config.export import SUFFIXES
from clipnerf.config.ranges import Caption, Positive, check
from clipnerf.errors import UsageError
from clipnerf.io.atomic import atomic_write

_FLOAT, _SHORT, _INT = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal and a color at each vertex.

    Attributes:
        vertices: world units, +Z up, the front at +X.
        faces: three vertices each, counter-clockwise seen from outside.
        normals: of unit length, outwards.
        colors: sRGB in [0, 1]; the light that the category's pictures were taken in is part of it.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float[np.ndarray, "vertices 3"]
    colors: Float[np.ndarray, "vertices 3"]

    def save(self, path: str | Path, scale: float = 1.0, name: str = "object") -> Path:
        """Writes the mesh, whole or not at all; the suffix says how: .glb, .obj, .ply or .stl.

        Args:
            scale: meters (or what else the program reads) a world unit, above 0.
            name: of the object, for formats that name it.
        Raises:
            UsageError: another suffix, or a scale that is not above 0.
            ClipNerfError: the file cannot be written; nothing is left behind.
        """
        path = check_mesh_path(path)
        check("scale", scale, Positive)
        check("name", name, Caption)
        scaled = replace(self, vertices=(self.vertices * np.float32(scale)))
        with atomic_write(path) as temporary:
            temporary.write_bytes(_WRITERS[path.suffix.lower()](scaled, name))
        return path

    def y_up(self) -> Mesh:
        """With +Y up, the front at +Z, and the object's left at +X."""
        order = [1, 2, 0]
        return replace(self, vertices=self.vertices[:, order], normals=self.normals[:, order])


def check_mesh_path(path: str | Path) -> Path:
    """The path, if its suffix is one that is written; UsageError otherwise."""
    check("mesh path", path, str)
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"mesh path is '{path}'; end the name in {', '.join(SUFFIXES)}")
    return path


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals: of the triangles around each vertex, by their area."""
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    each = np.repeat(across, 3, axis=0)
    flat = faces.ravel()
    total = np.stack([np.bincount(flat, w, len(vertices)) for w in each.T], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    # opposite triangles alone: any direction is as good
    total = np.where(length > 0, total / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])
    return total.astype(np.float32)


def _glb(mesh: Mesh, name: str) -> bytes:
    mesh = mesh.y_up()
    linear = np.where(
        mesh.colors <= 0.04045, mesh.colors / 12.92, ((mesh.colors + 0.055) / 1.055) ** 2.4
    )
    shorts = np.full((len(linear), 4), 65535, "<u2")  # 8 bits would band where it is dark
    shorts[:, :3] = np.rint(linear * 65535)
    arrays = (
        (mesh.vertices.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        (mesh.normals.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        (shorts, _SHORT, "VEC4", _VERTICES),
        (mesh.faces.astype("<u4").ravel(), _INT, "SCALAR", _INDICES),
    )
    views: list[dict] = []
    accessors: list[dict] = []
    data = b""
    for number, (array, kind, shape, target) in enumerate(arrays):
        size = {"byteOffset": len(data), "byteLength": array.nbytes, "target": target}
        views.append({"buffer": 0, **size})
        accessors.append(
            {"bufferView": number, "componentType": kind, "count": len(array), "type": shape}
        )
        data += array.tobytes()
    accessors[0] |= {"min": arrays[0][0].min(0).tolist(), "max": arrays[0][0].max(0).tolist()}
    accessors[2]["normalized"] = True
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    scene = {
        "asset": {"version": "2.0", "generator": "clipnerf"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {"name": name, "primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}
        ],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(data)
    return b"".join(
        (
            struct.pack("<4sII", b"glTF", 2, length),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(data), b"BIN\0"),
            data,
        )
    )


def _obj(mesh: Mesh, name: str) -> bytes:
    mesh = mesh.y_up()
    places = np.concatenate((mesh.vertices, mesh.colors), axis=1)
    lines = [f"o {name}"]
    lines += ["v {:.6g} {:.6g} {:.6g} {:.4f} {:.4f} {:.4f}".format(*row) for row in places.tolist()]
    lines += ["vn {:.4f} {:.4f} {:.4f}".format(*row) for row in mesh.normals.tolist()]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in (mesh.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _ply(mesh: Mesh, name: str) -> bytes:
    names = ("x", "y", "z", "nx", "ny", "nz")
    rows = np.empty(
        len(mesh.vertices), [*((n, "<f4") for n in names), *((c, "u1") for c in _CHANNELS)]
    )
    for number, axis in enumerate(names):
        rows[axis] = (mesh.vertices if number < 3 else mesh.normals)[:, number % 3]
    for number, channel in enumerate(_CHANNELS):
        rows[channel] = np.rint(mesh.colors[:, number] * 255)
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {name}",
        f"element vertex {len(rows)}",
        *(f"property float {n}" for n in names),
        *(f"property uchar {c}" for c in _CHANNELS),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode() + rows.tobytes() + faces.tobytes()


def _stl(mesh: Mesh, name: str) -> bytes:
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    rows = np.zeros(
        len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    )
    rows["normal"] = across / np.where(length > 0, length, 1)
    rows["corners"] = corners
    return (
        name.encode("ascii", "replace")[:80].ljust(80)
        + struct.pack("<I", len(rows))
        + rows.tobytes()
    )


_CHANNELS = ("red", "green", "blue")
_WRITERS: dict[str, Callable[[Mesh, str], bytes]] = dict(
    zip(SUFFIXES, (_glb, _obj, _ply, _stl), strict=True)
)
