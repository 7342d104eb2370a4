"""Images a second of the training, and where a step's time goes."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from clipnerf.commands.bench.timing import Figure, peak_memory_gb, repeat, say, timed, wait
from clipnerf.config.pretrain import AutoencoderConfig, PretrainConfig
from clipnerf.gan.trainer import Trainer

GRAPH_WARM_UP = 60
"""Steps in which most of the shapes of a step are seen, and recorded."""

GPU_STEP = {"batch": 32, "patch": 64, "samples": 48, "size": 256}
"""The step of the promise: batch, rays along a patch's side, samples a ray, picture size."""


def training(config: PretrainConfig, seconds: float, device: torch.device) -> list[Figure]:
    """The preset's step from the middle of its schedule, on pictures of noise; on a GPU the
    promise's step too."""
    say("training")
    # untrained features cost what trained ones do, and have to be had from nowhere
    config = dataclasses.replace(
        config, features=dataclasses.replace(config.features, weights="random")
    )
    figures = _step(config, seconds, device, ">= 25" if device.type == "cpu" else "")
    if config.autoencoder.weight > 0:
        say("training, nothing given back")
        config = dataclasses.replace(config, autoencoder=AutoencoderConfig())
        alone = _step(config, seconds, device, "", stages=False)[0]
        figures.append(dataclasses.replace(alone, name="training, nothing given back"))
    if device.type == "cuda":
        say("training, with CUDA graphs")
        graphed = dataclasses.replace(config, cuda_graphs=True)
        figures += _step(graphed, seconds, device, "", stages=False)
        say("training, the large step")
        figures += _step(large(config), seconds, device, "")
    memory = peak_memory_gb(device)
    if memory is not None:
        goal = "< 3" if device.type == "cpu" else ""
        figures.append(Figure("peak memory so far", memory, "GB", goal, "whole process"))
    return figures


def large(config: PretrainConfig) -> PretrainConfig:
    """The promise's step with the preset's networks."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, size=GPU_STEP["size"]),
        generator=dataclasses.replace(config.generator, samples=GPU_STEP["samples"]),
        discriminator=dataclasses.replace(config.discriminator, patch=GPU_STEP["patch"]),
        batch=GPU_STEP["batch"],
    )


def _step(
    config: PretrainConfig,
    seconds: float,
    device: torch.device,
    goal: str,
    *,
    stages: bool = True,
) -> list[Figure]:
    trainer = Trainer(config, device)
    trainer.jump(config.steps // 2)
    size, every = config.data.size, config.loss.r1_every
    draw = torch.Generator().manual_seed(0)
    real = torch.rand(config.batch, 3, size, size, generator=draw).to(device)

    def steps() -> None:
        # as many as make R1 come once; a GPU is let run ahead, as in a training
        for _ in range(every):
            trainer.train_step(real)

    if trainer.graphs is not None:
        for _ in range(GRAPH_WARM_UP):
            trainer.train_step(real)
    total = statistics.fmean(repeat(steps, seconds, device, at_least=2)) / every
    patch = config.discriminator.patch
    note = f"batch {config.batch}, {patch} x {patch} rays, {config.generator.samples} samples"
    if trainer.graphs is not None:
        note += f", {len(trainer.graphs)} CUDA graphs"
    figures = [Figure("training", config.batch / total, "images/s", goal, note)]
    if device.type == "cuda":
        promised = GPU_STEP["patch"] == patch
        goals = (">= 10", ">= 85") if promised else ("", "")
        figures += [
            Figure("  steps", 1 / total, "steps/s", goals[0]),
            Figure("  GPU busy", 100 * _busy(steps, device), "%", goals[1]),
        ]
    return figures + (_stages(trainer, real, seconds, device) if stages else [])


def _busy(steps: Callable[[], None], device: torch.device) -> float:
    """Share of the time in which a kernel runs; there is one stream, so their times add up."""
    from torch.profiler import ProfilerActivity, profile

    wait(device)
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        took = timed(steps, device)
    return sum(event.self_device_time_total for event in recorded.key_averages()) / 1e6 / took


def _stages(trainer: Trainer, real: Tensor, seconds: float, device: torch.device) -> list[Figure]:
    """Milliseconds a step of each stage, with a GPU made to wait between them."""
    loss = trainer.config.loss
    spent: dict[str, list[float]] = {}
    with_r1: list[bool] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result: list[Any] = []
            took = timed(lambda: result.append(function(*args, **kwargs)), device)
            spent.setdefault(name, []).append(took)
            return result[0]

        return call

    def step() -> None:
        with_r1.append(loss.r1_gamma > 0 and trainer.step % loss.r1_every == 0)
        trainer.train_step(real)

    stages = {
        "draw": "draws",
        "sample_real_and_fake": "generator forward",
        "_discriminator_step": "discriminator",
        "_feature_step": "feature heads",
        "_generator_step": "generator backward and step",
        "_update_average": "average",
    }
    for method, name in stages.items():
        setattr(trainer, method, watched(name, getattr(trainer, method)))
    try:
        totals = repeat(step, seconds / 2, device, at_least=2 * loss.r1_every)
    finally:
        for method in stages:
            delattr(trainer, method)
    mean = {name: statistics.fmean(values[1:]) for name, values in spent.items()}
    both = spent["discriminator"]
    plain = [d for d, r1 in zip(both[1:], with_r1[1:], strict=True) if not r1]
    without = statistics.fmean(plain) if plain else mean["discriminator"]
    total = statistics.fmean(totals)
    parts = {
        "draws": mean["draws"],
        "generator forward": mean["generator forward"],
        "generator backward and step": mean["generator backward and step"],
        "discriminator without R1": without,
        "feature heads": mean.get("feature heads", 0.0),
        "R1, spread over its steps": max(mean["discriminator"] - without, 0.0),
        "average": mean["average"],
    }
    parts["the rest"] = max(total - sum(parts.values()), 0.0)
    return [Figure(f"  {n}", 1000 * p, "ms/step", "", f"{p / total:.0%}") for n, p in parts.items()]
