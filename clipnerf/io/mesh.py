"""Meshes as files: .glb, .obj, .ply and .stl, written as their specifications say.

Axes: a :class:`Mesh` is in the project's world, +Z up and its front at +X. glTF (.glb) wants +Y up,
the front at +Z and meters, and gets them; .obj is turned likewise, as is the custom; .ply and .stl
stay +Z up. One world unit becomes ``scale`` meters, or whatever a program takes the numbers for.

Colors are sRGB in .obj and .ply, linear in .glb as glTF asks; .stl has none. A texture goes into a
.glb, in the place of the colors of vertices.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from clipnerf.config.export import SUFFIXES
from clipnerf.config.ranges import Caption, Positive, check
from clipnerf.errors import ClipNerfError, UsageError, printable
from clipnerf.io.atomic import atomic_write

_FLOAT, _SHORT, _INT = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_LINEAR, _MIPMAPS = 9729, 9987
_CLAMPED = {"wrapS": 33071, "wrapT": 33071}


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal and a color at each vertex.

    Attributes:
        vertices: world units, +Z up, the front at +X.
        faces: three vertices each, counter-clockwise seen from outside.
        normals: of unit length, outwards.
        colors: sRGB in [0, 1]; the light that the category's pictures were taken in is part of it.
        uv: where each vertex lies in the texture, in [0, 1] from its upper left corner, or None.
        texture: sRGB, 8 bits, in the place of ``colors`` in a .glb, or None.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    normals: Float[np.ndarray, "vertices 3"]
    colors: Float[np.ndarray, "vertices 3"]
    uv: Float[np.ndarray, "vertices 2"] | None = None
    texture: UInt8[np.ndarray, "height width 3"] | None = None

    def save(self, path: str | Path, scale: float = 1.0, name: str = "object") -> Path:
        """Writes the mesh, whole or not at all; the suffix says how: .glb, .obj, .ply or .stl.

        Args:
            scale: meters (or what else the program reads) a world unit, above 0.
            name: of the object, for formats that name it.
        Raises:
            UsageError: another suffix, or a scale that is not above 0.
            ClipNerfError: there is nothing in it, or what is not finite, or the file cannot be
                written; nothing is left behind.
        """
        path = check_mesh_path(path)
        check("scale", scale, Positive)
        check("name", name, Caption)
        if not len(self.vertices) or not len(self.faces):
            raise ClipNerfError("a mesh without triangles is not written")
        if not all(np.isfinite(part).all() for part in (self.vertices, self.normals, self.colors)):
            raise ClipNerfError("a mesh that holds NaN or infinity is not written")
        scaled = replace(self, vertices=(self.vertices * np.float32(scale)))
        with atomic_write(path) as temporary:
            temporary.write_bytes(_WRITERS[path.suffix.lower()](scaled, printable(name)))
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
    arrays = {
        "POSITION": (mesh.vertices.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        "NORMAL": (mesh.normals.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
        "indices": (mesh.faces.astype("<u4").ravel(), _INT, "SCALAR", _INDICES),
    }
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    scene: dict[str, Any] = {}
    images: list[bytes] = []
    if mesh.uv is None or mesh.texture is None:
        linear = np.where(
            mesh.colors <= 0.04045, mesh.colors / 12.92, ((mesh.colors + 0.055) / 1.055) ** 2.4
        )
        shorts = np.full((len(linear), 4), 65535, "<u2")  # 8 bits would band where it is dark
        shorts[:, :3] = np.rint(linear * 65535)
        arrays["COLOR_0"] = (shorts, _SHORT, "VEC4", _VERTICES)
    else:
        arrays["TEXCOORD_0"] = (mesh.uv.astype("<f4"), _FLOAT, "VEC2", _VERTICES)
        surface["baseColorTexture"] = {"index": 0}
        images.append(_png(mesh.texture))
        scene["images"] = [{"bufferView": len(arrays), "mimeType": "image/png"}]
        scene["textures"] = [{"source": 0, "sampler": 0}]
        scene["samplers"] = [{"magFilter": _LINEAR, "minFilter": _MIPMAPS, **_CLAMPED}]
    views: list[dict[str, int]] = []
    accessors: list[dict[str, Any]] = []
    data = b""
    for key, (array, kind, shape, target) in arrays.items():
        size = {"byteOffset": len(data), "byteLength": array.nbytes, "target": target}
        accessor = {"bufferView": len(views), "componentType": kind, "count": len(array)}
        if key == "POSITION":
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        if key == "COLOR_0":
            accessor["normalized"] = True
        views.append({"buffer": 0, **size})
        accessors.append({**accessor, "type": shape})
        data += array.tobytes()
    for image in images:
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(image)})
        data += image + bytes(-len(image) % 4)
    numbers = {key: number for number, key in enumerate(arrays)}
    primitive = {"indices": numbers.pop("indices"), "attributes": numbers, "material": 0}
    scene |= {
        "asset": {"version": "2.0", "generator": "clipnerf"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": surface}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }
    return _packed(scene, data)


def _packed(scene: dict[str, Any], data: bytes) -> bytes:
    """glTF's binary container: a piece of JSON and one of bytes."""
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        (
            struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data)),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(data), b"BIN\0"),
            data,
        )
    )


def _png(picture: UInt8[np.ndarray, "height width 3"]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    return out.getvalue()


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
