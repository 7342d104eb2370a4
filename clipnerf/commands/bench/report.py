"""All measures in a row, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from clipnerf.commands.bench.fields import fields
from clipnerf.commands.bench.hash_grids import hash_grids, sweep
from clipnerf.commands.bench.memory import kept_memory
from clipnerf.commands.bench.timing import Figure
from clipnerf.commands.bench.training import training
from clipnerf.commands.bench.views import editor_of, views
from clipnerf.config.machine import BenchConfig
from clipnerf.config.paths import bundle_path
from clipnerf.config.pretrain import PretrainConfig
from clipnerf.io.atomic import atomic_write, writable_file
from clipnerf.io.provenance import git_commit, versions
from clipnerf.training.allocator import keep_freed_memory
from clipnerf.training.precision import pick_device


def bench(config: BenchConfig) -> Path | None:
    """Measures, prints a table, and writes it as JSON; returns the file's path.

    Raises:
        UsageError: an unusable preset or bundle, or an output path that cannot be written.
    """
    config.validate()
    out = writable_file(config.out) if config.out else None
    keep_freed_memory()  # as every training does
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device()
    machine = machine_of(device)
    figures = measure(config, _preset(config.preset), device)
    for line in table(figures, machine):
        print(line)
    if out is not None:
        content = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        with atomic_write(out) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return out


def measure(config: BenchConfig, preset: PretrainConfig, device: torch.device) -> list[Figure]:
    """All figures; training first, so that the peak of memory is its own."""
    figures = training(preset, config.seconds, device)
    figures += kept_memory(preset, config.seconds, device)
    figures += fields(preset.generator, config.seconds, device)
    figures += hash_grids(config.seconds, device)
    if config.sweep:
        figures += sweep(config.seconds / 25, device)
    editor, what = editor_of(bundle_path(config.bundle), preset.generator, device)
    return figures + views(editor, what, config.seconds)


def table(figures: list[Figure], machine: dict[str, Any]) -> list[str]:
    """The figures for a terminal."""
    width = max(len(figure.name) for figure in figures)
    lines = [f"{machine['cpu']}, {machine['threads']} threads, {machine['device']}"]
    for figure in figures:
        value = f"{figure.value:>12,.4g} {figure.unit:<9}"
        goal = f"goal {figure.goal}" if figure.goal else ""
        lines.append(f"{figure.name:<{width}} {value} {goal:<14} {figure.note}".rstrip())
    return lines


def _preset(name: str) -> PretrainConfig:
    """The training's configuration; the pictures themselves are not needed."""
    from clipnerf.config.parse import parse  # measure() alone does without a command line

    return parse(["pretrain", "--config", str(bundle_path(name)), "--data.path", "."]).config


def machine_of(device: torch.device) -> dict[str, Any]:
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
