"""Silhouettes of meshes beside those of the field they come from, object by object.

python scripts/mesh_silhouettes.py data/pretrained/chairs
"""

from __future__ import annotations

import argparse

import torch
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from clipnerf.editor import Editor
from clipnerf.errors import one_line_failures
from clipnerf.gan.codes import Codes
from clipnerf.io.mesh import Mesh
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import pixel_grid, rays_through

AZIMUTHS_DEG = torch.tensor([20.0, 80.0, 140.0, 200.0, 260.0, 320.0])
ELEVATIONS_DEG = torch.tensor([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
SIZE = 96


def silhouette_iou(editor: Editor, codes: Codes, mesh: Mesh) -> tuple[float, float]:
    """Of one object from six sides: IoU of what a ray meets and what is more than half opaque.

    The sides are others than those from which the level of the mesh was chosen.

    Returns:
        The IoU, and the share of the object's opaque pixels that are neither clear nor opaque
        (opacity 0.1 to 0.9; it may be above 1): how soft its matter is.
    """
    opacity = editor.render(codes, AZIMUTHS_DEG, ELEVATIONS_DEG, SIZE).opacity.flatten().cpu()
    lens = editor.generator.config.camera
    # no front_azimuth_deg: the mesh has its front at +x
    camera = Camera.orbit(
        AZIMUTHS_DEG, ELEVATIONS_DEG, fov_deg=lens.fov_deg, radius=lens.radius, size=SIZE
    )
    rays = rays_through(camera, pixel_grid(SIZE, SIZE), torch.full((3,), 9.0))
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    hit = RayMeshIntersector(solid).intersects_any(
        rays.origins.reshape(-1, 3).numpy(), rays.directions.reshape(-1, 3).numpy()
    )
    met, opaque = torch.from_numpy(hit), opacity > 0.5
    soft = (opacity > 0.1) & (opacity < 0.9)
    return float((met & opaque).sum() / (met | opaque).sum()), float(soft.sum() / opaque.sum())


def main() -> None:
    """Prints a line for each object, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    editor = Editor.load(options.bundle, "cpu")
    found, softness, closed = [], [], 0
    for seed in range(options.objects):
        codes = editor.sample([seed])
        (mesh,) = editor.mesh(codes, options.resolution)
        iou, soft = silhouette_iou(editor, codes, mesh)
        watertight = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
        print(f"seed {seed}: IoU {iou:.3f}, soft {soft:.2f}, watertight {watertight}", flush=True)
        found.append(iou)
        softness.append(soft)
        closed += watertight
    values = torch.tensor(found)
    print(
        f"{options.bundle}: IoU mean {values.mean():.3f}, least {values.min():.3f}, "
        f"{int((values >= 0.95).sum())} of {len(found)} at 0.95 or more; "
        f"soft {sum(softness) / len(found):.2f}; watertight {closed} of {len(found)}"
    )


if __name__ == "__main__":
    with one_line_failures():
        main()
