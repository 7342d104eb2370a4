"""The training step as CUDA graphs: hundreds of launches become one.

A step is a function of tensors of few sizes and waits for nothing (``gan/step_inputs.py``), so it
can be recorded once for each of its shapes (rays kept, with R1 or without) and replayed on other
numbers.
Meant for small steps, which are bound by the launches of their kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clipnerf.gan.step_inputs import StepInputs

Body = Callable[[Tensor, StepInputs], dict[str, Tensor]]
Record = Callable[[Callable[[], dict[str, Tensor]]], tuple[Callable[[], None], dict[str, Tensor]]]

EAGER_FIRST = 3
"""Steps of a shape that run as usual before it is recorded: kernels are compiled in them, and
optimizers get their state."""


@dataclass
class _Recorded:
    """Inputs that a graph reads, what replays it, and the outputs that it writes."""

    real: Tensor
    drawn: StepInputs
    replay: Callable[[], None]
    outputs: dict[str, Tensor]


class StepGraphs:
    """Calls a step's body, or replays what it did for the same shapes.

    Outputs of a replayed step hold until the next call.

    Args:
        body: the step; no random numbers inside, and nothing that waits for the device.
        record: makes a replayable recording of a call, whose effects come with the replay alone;
            by CUDA graphs where None.
    """

    def __init__(self, body: Body, record: Record | None = None) -> None:
        self._body = body
        self._record = record or _CudaRecorder()
        self._seen: dict[tuple[Any, ...], int] = {}
        self._graphs: dict[tuple[Any, ...], _Recorded] = {}

    def __len__(self) -> int:
        return len(self._graphs)

    def __call__(self, real: Tensor, drawn: StepInputs, *, kind: str) -> dict[str, Tensor]:
        """One step on these inputs.

        Args:
            kind: what else decides which kernels run, such as R1.
        """
        key = (kind, drawn.kept, drawn.size, tuple(real.shape), drawn.density_noise is None)
        if key not in self._graphs:
            self._seen[key] = self._seen.get(key, 0) + 1
            if self._seen[key] <= EAGER_FIRST:
                return self._body(real, drawn)
            held_real, held = real.clone(), copy(drawn)
            replay, outputs = self._record(lambda: self._body(held_real, held))
            self._graphs[key] = _Recorded(held_real, held, replay, outputs)
        graph = self._graphs[key]
        graph.real.copy_(real)
        for to, value in zip(tensors(graph.drawn), tensors(drawn), strict=True):
            to.copy_(value)
        graph.replay()
        return graph.outputs


class _CudaRecorder:
    """Records CUDA graphs into one pool of memory, for they never run side by side."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(
        self, call: Callable[[], dict[str, Tensor]]
    ) -> tuple[Callable[[], None], dict[str, Tensor]]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = call()
        self._pool = graph.pool()
        return graph.replay, outputs


def tensors(drawn: StepInputs) -> list[Tensor]:
    """All tensors of a draw, always in one order."""
    found: list[Tensor] = []

    def collect(value: Any) -> None:
        if isinstance(value, Tensor):
            found.append(value)
        elif dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                collect(getattr(value, field.name))

    collect(drawn)
    return found


def copy(drawn: StepInputs) -> StepInputs:
    """A draw with tensors of its own."""

    def copied(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.clone()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = {f.name: copied(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return type(value)(**parts)
        return value

    return copied(drawn)
