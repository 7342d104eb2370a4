"""Milliseconds an edit with one view, and frames a second of an orbit."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from clipnerf.commands.bench.timing import Figure, median_seconds, say, timed
from clipnerf.config.generator import GeneratorConfig
from clipnerf.editor import Editor
from clipnerf.gan.generator import Generator
from clipnerf.io.video import video_problem

ORBIT_FRAMES = 48
SIZES = (64, 128, 256)
ORBIT_SIZES = (128, 256)
# Prompts are never repeated, for their embeddings are kept.
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "gray")
KINDS = ("chair", "chair with armrests", "chair with a high back", "chair with a low back")
EDIT_GOALS = {("cpu", 64): "<= 200", ("cuda", 128): "<= 10", ("cuda", 256): "<= 25"}
ORBIT_GOALS = {("cpu", 128): ">= 0.8", ("cuda", 256): ">= 60"}


def views(editor: Editor, what: str, seconds: float) -> list[Figure]:
    """An edit with one view of 64, 128 and 256 pixels, the view alone, and orbits as videos."""
    device, codes = editor.device, editor.sample([0])
    figures = []
    edits = len(editor.mappers) == 2 and editor.clip is not None
    say("edit" if edits else "view")
    prompts = iter([f"a {color} {kind}" for kind in KINDS for color in COLORS])
    for size in SIZES:
        if edits:
            took = _edits(editor, prompts, size, seconds / 3)
            goal = EDIT_GOALS.get((device.type, size), "")
            note = f"a new text, both mappers and one view, loaded; {what}"
            figures.append(Figure(f"edit, {size} x {size}", 1000 * took, "ms", goal, note))
        view = median_seconds(partial(editor.render, codes, 30.0, 20.0, size), seconds / 6, device)
        figures.append(Figure(f"one view, {size} x {size}", 1000 * view, "ms", "", what))
    for size in ORBIT_SIZES:
        figures += _orbit(editor, what, size, seconds)
    return figures


def _orbit(editor: Editor, what: str, size: int, seconds: float) -> list[Figure]:
    """Frames a second of the pictures alone, and of a video of them."""
    say(f"orbit of {size} pixels")
    device, codes = editor.device, editor.sample([0])
    frames = ORBIT_FRAMES
    if device.type == "cpu":
        # a slow machine need not film them all
        frames = min(frames, max(4, round(frames * seconds / 5 * 128**2 / size**2)))

    def turn() -> None:
        for _ in editor.frames(codes, frames, size):
            pass

    if device.type == "cuda":
        turn()
    alone = frames / timed(turn, device)
    name = f"orbit, {size} x {size}"
    figures = [Figure(f"{name}, rendered", alone, "frames/s", "", f"{frames} frames; {what}")]
    missing = video_problem()
    if missing:
        say(f"no video, since {missing}")
        return figures
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orbit.mp4"
        film = partial(editor.orbit, codes, path, frames=frames, size=size)
        took = timed(film, device)
    goal = ORBIT_GOALS.get((device.type, size), "")
    figures.append(Figure(name, frames / took, "frames/s", goal, "written as a video"))
    return figures


def _edits(editor: Editor, prompts: Iterator[str], size: int, seconds: float) -> float:
    """Median seconds of an edit; every prompt is a new one."""
    codes = editor.sample([0])

    def edit() -> None:
        prompt = next(prompts)
        editor.render(editor.edit(codes, prompt, 1.0, 1.0), 30.0, 20.0, size)

    edit()
    durations: list[float] = []
    at_most = len(COLORS) * len(KINDS) // len(SIZES) - 1
    while len(durations) < 3 or (sum(durations) < seconds and len(durations) < at_most):
        durations.append(timed(edit, editor.device))
    return statistics.median(durations)


def editor_of(
    bundle: Path, generator_config: GeneratorConfig, device: torch.device
) -> tuple[Editor, str]:
    """The bundle, or a generator of the given sizes with random weights; and what it is."""
    file = bundle / "generator.safetensors"
    if file.is_file():
        try:
            return Editor.load(bundle, device), str(bundle)
        except ImportError as error:
            say(f"no edit, since {error}")
            return Editor(Generator.load(file).to(device)), str(bundle)
    torch.manual_seed(0)
    generator = Generator(generator_config).to(device).requires_grad_(False).eval()
    return Editor(generator), f"random weights, for '{bundle}' holds no generator"
