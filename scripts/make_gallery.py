"""docs/gallery.md: what one can do, each with its picture or film and the lines that make it.

    python scripts/make_gallery.py            all of it: some minutes on one core
    python scripts/make_gallery.py parts      one picture alone, by its name; and the page

Every line on the page is run here as it stands, in an empty folder. Seeds are the first ones:
nothing is chosen for its looks.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import trimesh
from PIL import Image
from trimesh.ray.ray_pyembree import RayMeshIntersector

from clipnerf.cli import main as clipnerf
from clipnerf.errors import one_line_failures
from clipnerf.io.camera_path import camera_path_json
from clipnerf.io.sheet import save_png
from clipnerf.io.video import read_video
from clipnerf.rendering.cameras import Camera
from clipnerf.rendering.rays import pixel_grid, rays_through
from clipnerf.viewer import path
from clipnerf.viewer.drawing import View

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES = ROOT / "docs" / "gallery.md", ROOT / "docs" / "images" / "gallery"
CAMERA_PATH = ROOT / "examples" / "camera_path.json"
LARGEST, QUALITY = 1_000_000, 60
"""Bytes of a film, and its WebP's quality."""

HEAD = """# Gallery

What one can do, each with the lines that make it. `python scripts/make_gallery.py` runs every line
of this page and makes its pictures. Seeds are the first ones, not chosen for their looks: what is
torn or missed is shown too. The bundles learned drawn objects; films are shown as WebP, the lines
write .mp4. More to try: [the notebook](../examples/edit_and_film.ipynb).
"""


@dataclass(frozen=True)
class Work:
    """One entry of the page."""

    name: str
    title: str
    lines: str
    made: str
    said: str
    python: bool = False


WORKS = (
    Work(
        "objects",
        "New objects",
        """from clipnerf import Editor
from clipnerf.io.sheet import contact_sheet, save_png
views = [Editor.load(name).render(Editor.load(name).sample(range(8)), 30, 20, 128)
         for name in ("chairs", "cars")]
save_png("objects.png", contact_sheet([p for view in views for p in view.pictures()], 8))""",
        "objects.png",
        "Seeds 0 to 7 of both bundles that learned at 128 pixels.",
        python=True,
    ),
    Work(
        "turning",
        "From all sides",
        "clipnerf orbit cars --seeds 0,1,2,3,4 --size 128 --out turning.mp4",
        "turning.mp4",
        "Seeds 0 to 4 of the cars.",
    ),
    Work(
        "words",
        "Words",
        'clipnerf edit chairs --text "a blue chair with a high back" --seeds 0,1,2,3,4,5 '
        "--size 128 --out words.png",
        "words.png",
        "Seeds 0 to 5, above as sampled, below edited, in one forward pass each. Backs grow on "
        "all, seats are blue and legs nearly black; under seeds 1 and 4 the legs are crumbs.",
    ),
    Work(
        "words-cars",
        "Words for cars",
        'clipnerf edit cars --text "a yellow van" --seeds 0,1,2,3,4,5 --size 128 '
        "--out words-cars.png",
        "words-cars.png",
        "Seeds 0 to 5 of the cars. Yellow and a van reach all of them; what told the cars apart "
        "beside that is nearly gone, and front wheels have lost their rims.",
    ),
    Work(
        "strength",
        "Strength, and what an edit leaves alone",
        """from clipnerf import Editor
from clipnerf.io.sheet import contact_sheet, save_png
editor = Editor.load("cars")
codes, strengths = editor.sample([0, 1]), (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0)
views = [editor.render(editor.edit(codes, "a green car", 0, s), 30, 20, 128) for s in strengths]
tiles = [view.pictures()[row] for row in (0, 1) for view in views]
save_png("strength.png", contact_sheet(tiles, 6, [f"{s:g}" for s in strengths] * 2))""",
        "strength.png",
        '"A green car" on seeds 0 and 1 of the cars, appearance alone: 0 is as sampled, 1 as '
        "trained. The silhouette stays the same to the last bit.",
        python=True,
    ),
    Work(
        "parts",
        "Parts",
        'clipnerf edit cars --edit "the front wheels: red" --edit "the body: yellow" '
        "--seeds 0,1,2,3,4,5 --azimuth_deg 60 --size 96 --out parts.png",
        "parts.png",
        "Seeds 0 to 5: as sampled, where the phrases are found (tinted), and after. Outside of the "
        "tint nothing changes. On seed 0 no front wheels are found, which the command says, and "
        "the windows go with the body; the wheels of blurred cars are found in part.",
    ),
    Work(
        "parts-turn",
        "A film of it",
        'clipnerf orbit cars --edit "the front wheels: red" --edit "the body: yellow" '
        "--seeds 0,1 --size 128 --out parts-turn.mp4",
        "parts-turn.mp4",
        "Seeds 0 and 1.",
    ),
    Work(
        "morph",
        "One becomes another",
        "clipnerf morph cars --seeds 0,1,2,3 --frames 72 --size 128 --out morph.mp4",
        "morph.mp4",
        "Seeds 0 to 3 and back, while the camera goes around once.",
    ),
    Work(
        "morph-words",
        "Through words",
        'clipnerf morph chairs --seeds 0,1 --texts "a red chair,a green chair with a high '
        'back" --frames 72 --size 128 --out morph-words.mp4',
        "morph-words.mp4",
        "Seeds 0 and 1 of the chairs pass through two prompts.",
    ),
    Work(
        "path",
        "Along a camera path",
        "clipnerf orbit cars --seeds 2 --camera_path examples/camera_path.json --out path.mp4",
        "path.mp4",
        "Seed 2. Paths come from the page's tab Path or from nerfstudio's viewer.",
    ),
    Work(
        "photo",
        "A photograph's object",
        """clipnerf data synthesize chairs --count 1 --size 128 --seed 7 --out drawn
clipnerf invert chairs drawn/00000.png --out found""",
        "found/inversion.png",
        "The picture (drawn, and in no training), what was found in it, their difference, and four "
        "other sides, which the picture does not show.",
    ),
    Work(
        "photo-edited",
        "… edited like any other",
        """clipnerf data synthesize chairs --count 1 --size 128 --seed 7 --out drawn
clipnerf invert chairs drawn/00000.png --out found
clipnerf edit chairs --codes found/codes.safetensors --text "a red chair" --out edited.png""",
        "edited.png",
        "Above as found, below edited.",
    ),
    Work(
        "mesh",
        "Meshes to take along",
        'clipnerf export chairs --text "a red chair" --seeds 0 --out red.ply',
        "red.ply",
        "Seed 0 from four sides; .glb, .obj and .stl likewise. 128 cells along the longest side, "
        "vertex colors, shaded here by the normals. A leg is torn, in the field as well.",
    ),
)


def main() -> None:
    """Runs what is asked for, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of works; all where none is given")
    names = parser.parse_args().names
    if unknown := set(names) - {work.name for work in WORKS}:
        parser.error(f"no such work: {', '.join(unknown)}; {', '.join(w.name for w in WORKS)}")
    for work in WORKS:
        if not names or work.name in names:
            print(f"== {work.name}", flush=True)
            make(work)
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page's text."""
    entries = []
    for work in WORKS:
        code = "\n".join(f"    {line}" for line in work.lines.splitlines())
        picture = f"![{work.title}: {work.said}](images/gallery/{shown_as(work)})"
        entries.append(f"## {work.title}\n\n{code}\n\n{picture}\n\n{work.said}\n")
    return "\n".join([HEAD, *entries])


def shown_as(work: Work) -> str:
    """The name of a work's picture."""
    return work.name + (".webp" if work.made.endswith(".mp4") else ".png")


def make(work: Work) -> None:
    """Runs a work's lines in an empty folder, and keeps the picture of what they made."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, inside(folder):
        (Path(folder) / "examples").mkdir()
        save_camera_path()
        (Path(folder) / "examples" / CAMERA_PATH.name).write_bytes(CAMERA_PATH.read_bytes())
        if work.python:
            exec(compile(work.lines, work.name, "exec"), {})
        else:
            for line in work.lines.splitlines():
                if clipnerf(shlex.split(line)[1:]):
                    raise SystemExit(f"{work.name}: {line}")
        keep(Path(folder) / work.made, PICTURES / shown_as(work))


@contextmanager
def inside(folder: str):
    """The folder as the current one."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def keep(made: Path, shown: Path) -> None:
    """What was made, as a PNG or an animated WebP of at most LARGEST bytes."""
    if made.suffix == ".ply":
        save_png(shown, mesh_picture(made))
    elif made.suffix == ".mp4":
        frames = [Image.fromarray(frame) for frame in read_video(made)]
        buffer = io.BytesIO()
        frames[0].save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=1000 // 24,
            loop=0,
            quality=QUALITY,
            method=4,
        )
        content = buffer.getvalue()
        if len(content) > LARGEST:
            raise SystemExit(f"{shown.name} has {len(content)} bytes; allowed: {LARGEST}")
        shown.write_bytes(content)
    else:
        with Image.open(made) as picture:
            picture.convert("RGB").save(shown, optimize=True)


def mesh_picture(file: Path, size: int = 160) -> np.ndarray:
    """A .ply from four sides, in its vertex colors, darker where it turns away."""
    solid = trimesh.load(file, force="mesh", process=False)
    colors = solid.visual.vertex_colors[solid.faces].mean(1)[:, :3] / 255
    caster, views = RayMeshIntersector(solid), []
    for azimuth in (30.0, 120.0, 210.0, 300.0):
        camera = Camera.orbit(azimuth, 20.0, size=2 * size)
        rays = rays_through(camera, pixel_grid(2 * size, 2 * size), torch.full((3,), 9.0))
        origins, towards = (some.reshape(-1, 3).numpy() for some in (rays.origins, rays.directions))
        face = caster.intersects_first(origins, towards)
        light = 0.55 + 0.45 * np.abs((solid.face_normals[face] * towards).sum(1, keepdims=True))
        picture = np.where((face >= 0)[:, None], colors[face] * light, 1.0)
        picture = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
        views.append((picture.clip(0, 1) * 255).round().astype(np.uint8))
    return np.concatenate(views, axis=1)


def save_camera_path() -> None:
    """A path as the page's tab makes it: past the front, up, and close to the side."""
    views = [
        View(Camera.orbit(azimuth, elevation, radius=radius).c2w[0], 30.0, 1.5)
        for azimuth, elevation, radius in ((-60.0, 8.0, 4.5), (40.0, 35.0, 3.6), (110.0, 12.0, 2.6))
    ]
    way = path.CameraPath(path.cameras(path.along(views, 30), 128), path.FPS)
    CAMERA_PATH.write_text(
        camera_path_json(way, keyframes=path.cameras(views, 128)) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    with one_line_failures():
        main()
