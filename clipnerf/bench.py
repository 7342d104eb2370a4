"""``clipnerf bench``: the figures that the project promises, measured on this machine.

Every measure warms up, then lasts about ``seconds``; medians, so that one hiccup does not count.
What a figure is compared with (the goal) was set for two CPU cores.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipnerf.config.parse import parse
from clipnerf.config.pretrain import PretrainConfig
from clipnerf.config.verbs import BenchConfig, bundle_path
from clipnerf.editor import Editor
from clipnerf.fields.backends.torch import hash_grid, naive_hash_grid
from clipnerf.fields.layout import GridLayout
from clipnerf.gan.generator import Generator
from clipnerf.gan.trainer import Trainer
from clipnerf.runs.atomic import atomic_write, writable_dir
from clipnerf.runs.provenance import git_commit, versions

POINTS = 65_536
ORBIT_FRAMES = 48
# Prompts are never repeated, for their embeddings are kept.
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "gray")
KINDS = ("chair", "chair with armrests", "chair with a high back", "chair with a low back")


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    goal: str = ""
    """What was promised, as words; empty where nothing was."""
    note: str = ""


def bench(config: BenchConfig) -> Path | None:
    """Measures, prints a table, and writes it as JSON; returns the file's path.

    Raises:
        UsageError: an unusable preset or bundle, or an output path that cannot be written.
    """
    config.validate()
    out = Path(config.out) if config.out else None
    if out is not None:
        writable_dir(out.parent)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    preset = _preset(config.preset)
    # Training first: the peak of memory is then its own.
    figures = _training(preset, config.seconds, device)
    figures += _hash_grid(config.seconds, device)
    editor, what = _editor(config.bundle, preset, device)
    figures += _views(editor, what, config.seconds)
    machine = _machine(device)
    for line in table(figures, machine):
        print(line)
    if out is not None:
        content = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return out


def table(figures: list[Figure], machine: dict[str, Any]) -> list[str]:
    """The figures for a terminal."""
    width = max(len(figure.name) for figure in figures)
    lines = [f"{machine['cpu']}, {machine['threads']} threads, {machine['device']}"]
    for figure in figures:
        value = f"{figure.value:>12,.4g} {figure.unit:<9}"
        goal = f"goal {figure.goal}" if figure.goal else ""
        lines.append(f"{figure.name:<{width}} {value} {goal:<14} {figure.note}".rstrip())
    return lines


def _repeat(
    action: Callable[[], object], seconds: float, device: torch.device, at_least: int = 3
) -> list[float]:
    """Durations of an action, once to warm up and then for about ``seconds``."""
    action()
    durations: list[float] = []
    while len(durations) < at_least or sum(durations) < seconds:
        durations.append(_timed(action, device))
    return durations


def _timed(action: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    action()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _hash_grid(seconds: float, device: torch.device) -> list[Figure]:
    """Forward and backward, gradients to positions and table, against the textbook form."""
    _say("hash grid")
    layout = GridLayout(dim=3, levels=8, features=2, log2_rows=14)
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(POINTS, 3, generator=draw).to(device).requires_grad_()
    table = torch.randn(layout.total_rows, 2, generator=draw).to(device).requires_grad_()
    upstream = torch.randn(POINTS, layout.out_features, generator=draw).to(device)

    def run(function: Callable[[Tensor, Tensor, GridLayout], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(x, table, layout), (x, table), upstream)

    ours: list[float] = []
    naive: list[float] = []

    def both() -> None:
        # One after the other, so that a busy machine slows both alike.
        ours.append(_timed(run(hash_grid), device))
        naive.append(_timed(run(naive_hash_grid), device))

    _repeat(both, seconds, device)
    ratio = statistics.median(n / o for n, o in zip(naive[1:], ours[1:], strict=True))
    size = f"L 8, F 2, T 2^14, {POINTS:,} points, forward and backward"
    rate = POINTS / statistics.median(ours[1:])
    return [
        Figure("hash grid, times a naive one", ratio, "x", ">= 2.5", size),
        Figure("hash grid", rate / 1e6, "Mpoints/s"),
    ]


def _training(config: PretrainConfig, seconds: float, device: torch.device) -> list[Figure]:
    """Steps of the preset from the middle of its schedule, on pictures of noise."""
    _say("training")
    trainer = Trainer(config, device)
    trainer.step = config.steps // 2
    size, every = config.data.size, config.loss.r1_every
    real = torch.rand(config.batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    spent: dict[str, list[float]] = {"forward": [], "discriminator": [], "generator": []}
    with_r1: list[bool] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result: list[Any] = []
            spent[name].append(_timed(lambda: result.append(function(*args, **kwargs)), device))
            return result[0]

        return call

    def step() -> None:
        with_r1.append(config.loss.r1_gamma > 0 and trainer.step % every == 0)
        trainer.train_step(real)

    originals = (
        (trainer.generator, "render_patch", "forward"),
        (trainer, "_discriminator_step", "discriminator"),
        (trainer, "_generator_step", "generator"),
    )
    for owner, method, name in originals:
        setattr(owner, method, watched(name, getattr(owner, method)))
    totals = _repeat(step, seconds, device, at_least=2 * every)
    mean = {name: statistics.fmean(values[1:]) for name, values in spent.items()}
    plain = [d for d, r1 in zip(spent["discriminator"], with_r1, strict=True) if not r1]
    without_r1 = statistics.fmean(plain) if plain else mean["discriminator"]
    total = statistics.fmean(totals)
    parts = {
        "generator forward": mean["forward"],
        "generator backward and step": mean["generator"],
        "discriminator without R1": without_r1,
        "R1, spread over its steps": max(mean["discriminator"] - without_r1, 0.0),
    }
    parts["the rest"] = max(total - sum(parts.values()), 0.0)
    patch = config.discriminator.patch
    note = f"batch {config.batch}, {patch} x {patch} rays, {config.generator.samples} samples"
    figures = [
        Figure("training", config.batch / total, "images/s", ">= 25", note),
        *(Figure(f"  {n}", 1000 * p, "ms/step", "", f"{p / total:.0%}") for n, p in parts.items()),
    ]
    memory = peak_memory_gb(device)
    if memory is not None:
        figures.append(Figure("peak memory so far", memory, "GB", "< 3", "whole process"))
    return figures


def _views(editor: Editor, what: str, seconds: float) -> list[Figure]:
    """An edit with one view, a view alone, and an orbit written as a video."""
    device, codes = editor.device, editor.sample([0])
    prompts = iter([f"a {colour} {kind}" for kind in KINDS for colour in COLOURS])
    figures = []
    seconds_of_view = statistics.median(
        _repeat(lambda: editor.render(codes, 30.0, 20.0, 64), seconds / 2, device)
    )
    if len(editor.mappers) == 2 and editor.clip is not None:
        _say("edit")
        at_most = len(COLOURS) * len(KINDS) - 1

        def edit() -> None:
            editor.render(editor.edit(codes, next(prompts), 1.0, 1.0), 30.0, 20.0, 64)

        edit()
        durations: list[float] = []
        while len(durations) < 3 or (sum(durations) < seconds and len(durations) < at_most):
            durations.append(_timed(edit, device))
        note = f"text, both mappers and one 64 x 64 view, loaded; {what}"
        figures.append(Figure("edit", statistics.median(durations), "s", "<= 0.2", note))
    figures.append(Figure("one view, 64 x 64", seconds_of_view, "s", "", what))
    _say("orbit")
    frames = min(ORBIT_FRAMES, max(4, round(ORBIT_FRAMES * seconds / 5)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orbit.mp4"
        duration = _timed(lambda: editor.orbit(codes, path, frames=frames, size=128), device)
    note = f"{frames} frames of 128 x 128, written as a video; {what}"
    figures.append(Figure("orbit", frames / duration, "frames/s", "", note))
    whole = ORBIT_FRAMES / frames * duration
    figures.append(Figure(f"orbit of {ORBIT_FRAMES} frames", whole, "s", "<= 60"))
    return figures


def _preset(name: str) -> PretrainConfig:
    """The training's configuration; the pictures themselves are not needed."""
    return parse(["pretrain", "--config", str(bundle_path(name)), "--data.path", "."]).config


def _editor(bundle: str, preset: PretrainConfig, device: torch.device) -> tuple[Editor, str]:
    """The bundle, or a generator of the preset's sizes with random weights; and what it is."""
    folder = bundle_path(bundle)
    if (folder / "generator.safetensors").is_file():
        return Editor.load(folder, device), str(bundle)
    torch.manual_seed(0)
    generator = Generator(preset.generator).to(device).requires_grad_(False).eval()
    return Editor(generator), f"random weights, for {bundle!r} holds no generator"


def peak_memory_gb(device: torch.device) -> float | None:
    """Most memory that this process has held, 10^9 bytes; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def _machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cuda = device.type == "cuda"
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": None if load is None else round(load, 2),
        "device": torch.cuda.get_device_name(device) if cuda else "CPU only",
        "system": platform.platform(),
        "git_commit": git_commit(),
        "versions": versions(),
    }


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)
