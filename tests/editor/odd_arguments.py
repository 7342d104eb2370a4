"""The Python face, given things of every other type, where nobody checks types but we.

Prints a line for each call that neither works nor is refused by a UsageError of one line; with a
word after the module's name, also what was taken.
"""

import math
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipnerf import Codes, Editor, UsageError
from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import text_embedding
from clipnerf.config.inversion import InversionConfig
from clipnerf.editor import Painted
from clipnerf.gan.generator import Generator
from clipnerf.inversion.result import load_codes
from clipnerf.segmentation.segmenter import Segmenter
from tests.tiny_bundle import tiny_bundle, tiny_parts

ODD: tuple[Any, ...] = (
    None,
    True,
    5,
    -1,
    1.5,
    math.nan,
    10**400,
    "",
    "words",
    "words\0",
    b"words",
    bytearray(b"ab"),
    [],
    [None],
    [b"words"],
    [5],
    ["words", 5],
    [[0]],
    (0, 1.5),
    {},
    {"words": None},
    {5: 1.0},
    {"words": "words"},
    {1, 2},
    object(),
    np.array([0.5]),
    np.array(["words"]),
    torch.tensor([0.5]),
    Path("words"),
    iter(["words"]),
)
FEW = InversionConfig(steps=1, rough_steps=1)


def calls(folder: Path) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """What a person calls, and which of its arguments is another thing."""
    editor = Editor.load(folder, "cpu")
    codes, clip = editor.sample([0, 1]), editor.clip
    segmenter = Segmenter.load(folder)
    picture = torch.rand(1, 3, 32, 32)
    out = folder / "o.mp4"
    (mesh,) = editor.mesh(codes[0], 16)
    assert clip is not None
    yield "sample seeds", lambda x: editor.sample(x)
    yield "from_seeds", lambda x: Codes.from_seeds(x)
    yield "load path", lambda x: Editor.load(x)
    yield "load device", lambda x: Editor.load(folder, x)
    yield "load mapper", lambda x: Editor.load(folder, "cpu", x)
    yield "edit codes", lambda x: editor.edit(x, "a red chair")
    yield "edit text", lambda x: editor.edit(codes, x)
    yield "edit shape", lambda x: editor.edit(codes, "a red chair", x)
    yield "edit appearance", lambda x: editor.edit(codes, "a red chair", 1, x)
    yield "edit image", lambda x: editor.edit(codes, image=x)
    yield "edit region", lambda x: editor.edit(codes, "a red chair", region=x)
    yield "edit threshold", lambda x: editor.edit(codes, "red", region="a chair", threshold=x)
    yield "edit painted", lambda x: editor.edit(codes, "red", region=Painted(x))
    yield "edit_parts", lambda x: editor.edit_parts(codes, x)
    yield "edit_parts text", lambda x: editor.edit_parts(codes, {"a chair": x})
    yield "region_picture", lambda x: editor.region_picture(codes, x, size=8)
    yield "route", lambda x: editor.route(x)
    yield "invert", lambda x: editor.invert(x, FEW)
    yield "invert config", lambda x: editor.invert(picture, x if x is not None else FEW)
    yield "invert mask", lambda x: editor.invert("photo.png", FEW, mask=x)
    yield "invert background", lambda x: editor.invert("photo.png", FEW, background=x)
    yield "invert framing", lambda x: editor.invert("photo.png", FEW, framing=x)
    yield "interpolate", lambda x: editor.interpolate(codes, x)
    yield "interpolate steps", lambda x: editor.interpolate(codes, codes, x)
    yield "render codes", lambda x: editor.render(x, size=8)
    yield "render azimuth", lambda x: editor.render(codes, x, size=8)
    yield "render elevation", lambda x: editor.render(codes, 0, x, size=8)
    yield "render size", lambda x: editor.render(codes, size=x)
    yield "render samples", lambda x: editor.render(codes, size=8, samples=x)
    yield "render camera", lambda x: editor.render(codes, size=8, camera=x)
    yield "orbit codes", lambda x: editor.orbit(x, out, 2, 8)
    yield "orbit path", lambda x: editor.orbit(codes, x, 2, 8)
    yield "orbit frames", lambda x: editor.orbit(codes, out, x, 8)
    yield "orbit size", lambda x: editor.orbit(codes, out, 2, x)
    yield "orbit elevation", lambda x: editor.orbit(codes, out, 2, 8, elevation_deg=x)
    yield "orbit fps", lambda x: editor.orbit(codes, out, 2, 8, fps=x)
    yield "orbit samples", lambda x: editor.orbit(codes, out, 2, 8, samples=x)
    yield "morph stops", lambda x: editor.morph(x, out, 2, 8)
    yield "morph a stop", lambda x: editor.morph([codes, x], out, 2, 8)
    yield "morph path", lambda x: editor.morph([codes, codes], x, 2, 8)
    yield "morph frames", lambda x: editor.morph([codes, codes], out, x, 8)
    yield "morph size", lambda x: editor.morph([codes, codes], out, 2, x)
    yield "morph turns", lambda x: editor.morph([codes, codes], out, 2, 8, turns=x)
    yield "morph azimuth", lambda x: editor.morph([codes, codes], out, 2, 8, azimuth_deg=x)
    yield "morph fps", lambda x: editor.morph([codes, codes], out, 2, 8, fps=x)
    yield "frames codes", lambda x: next(iter(editor.frames(x, 2, 8)))
    yield "mesh codes", lambda x: editor.mesh(x, 16)
    yield "mesh resolution", lambda x: editor.mesh(codes[0], x)
    yield "mesh crumbs", lambda x: editor.mesh(codes[0], 16, x)
    yield "mesh path", lambda x: mesh.save(x)
    yield "mesh scale", lambda x: mesh.save(folder / "m.glb", x)
    yield "mesh name", lambda x: mesh.save(folder / "m.glb", 1.0, x)
    yield "encode_text", lambda x: clip.encode_text(x)
    yield "unknown_words", lambda x: clip.unknown_words(x)
    yield "text_embedding", lambda x: text_embedding(clip, x)
    yield "Clip.load", lambda x: Clip.load(x)
    yield "Generator.load", lambda x: Generator.load(x)
    yield "Segmenter.load", lambda x: Segmenter.load(x)
    yield "load_codes", lambda x: load_codes(x)
    yield "segment texts", lambda x: segmenter.segment(picture, x)
    yield "sentence", lambda x: segmenter.sentence(x)


def main(tell: bool) -> None:
    """Calls them all."""
    warnings.simplefilter("ignore")
    count = 0
    with tempfile.TemporaryDirectory() as name:
        folder = tiny_parts(tiny_bundle(Path(name), layers=3))
        for said, call in calls(folder):
            if len(sys.argv) > 2 and not re.search(sys.argv[2], said):
                continue
            for odd in (*ODD[:-1], iter(["words"])):
                count += 1
                try:
                    call(odd)
                    if tell:
                        print(f"TAKEN {said}: {odd!r:.80}")
                except UsageError as error:
                    if "\n" in str(error) or len(str(error)) > 600:
                        print(f"{said}: {odd!r:.80}: {str(error)[:700]!r}")
                except Exception as error:
                    print(f"{said}: {odd!r:.80}: {type(error).__name__}: {str(error)[:120]!r}")
    print(count)


if __name__ == "__main__":
    main(len(sys.argv) > 1)
