"""Points a second of the whole field, by every backend that runs here."""

from __future__ import annotations

import statistics

import torch

from clipnerf.commands.bench.timing import Figure, say, timed
from clipnerf.config.generator import GeneratorConfig
from clipnerf.fields.hash_grid import BACKENDS, choose
from clipnerf.fields.layout import GridLayout
from clipnerf.gan.build import build_field

OBJECTS, CPU_POINTS, GPU_POINTS = 4, 2**14, 2**18
"""Objects, and points of each."""
GOALS = {"forward": ">= 3", "with backward": ">= 2.5"}
"""Of the field in C, times plain PyTorch in float32."""


def fields(config: GeneratorConfig, seconds: float, device: torch.device) -> list[Figure]:
    """Geometry and color of random points: forward, and with gradients of all weights.

    Backends take turns, so that what else the machine does meets them all.
    """
    say("field")
    field = build_field(config).to(device)
    count = CPU_POINTS if device.type == "cpu" else GPU_POINTS
    draw = torch.Generator().manual_seed(0)
    points = (torch.rand(OBJECTS, count, 3, generator=draw) * 2 - 1).to(device)
    codes = torch.randn(2, OBJECTS, config.field.code_dim, generator=draw).to(device)
    both = codes if field.entangled else (None, None)
    directions = torch.ones_like(points) if field.view_direction else None

    def look() -> torch.Tensor:
        features, sigma = field.geometry(points, field.shape_style(codes[0], both[1]))
        rgb = field.color(features, field.appearance_style(codes[1], both[0]), directions)
        return sigma.mean() + rgb.mean()

    def forward() -> None:
        with torch.no_grad():
            look()

    def backward() -> None:
        field.zero_grad(set_to_none=True)
        look().backward()

    figures = []
    for what, action in (("forward", forward), ("with backward", backward)):
        took: dict[str, list[float]] = {name: [] for name in _running(device, field.grid.layout)}
        while len(took["torch"]) < 4 or sum(map(sum, took.values())) < seconds:
            for name, times in took.items():
                field.grid.backend = name
                times.append(timed(action, device))
        medians = {name: statistics.median(times[1:]) for name, times in took.items()}
        for name, median in medians.items():
            rate = OBJECTS * count / median / 1e6
            note = str(choose("auto", device, field.grid.layout)) if name == "native" else "float32"
            figures.append(Figure(f"field {name}, {what}", rate, "Mpoints/s", "", note))
        if "native" in medians:
            ratio = medians["torch"] / medians["native"]
            figures.append(Figure(f"  native, times torch, {what}", ratio, "x", GOALS[what]))
    return figures


def _running(device: torch.device, layout: GridLayout) -> list[str]:
    names = []
    for name in BACKENDS[1:]:
        try:
            choose(name, device, layout)
        except ValueError:
            continue
        names.append(name)
    return names
