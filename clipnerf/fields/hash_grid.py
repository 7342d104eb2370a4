"""HashGrid: a trainable multiresolution hash encoding that picks a backend."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.fields.backends import native_library
from clipnerf.fields.backends import tcnn as tcnn_backend
from clipnerf.fields.backends import torch as torch_backend
from clipnerf.fields.backends import triton as triton_backend
from clipnerf.fields.layout import GridLayout

LOG = logging.getLogger(__name__)
BACKENDS = ("auto", "tcnn", "triton", "native", "torch")
INIT_RANGE = 1e-4


@dataclass(frozen=True)
class Choice:
    """A backend, and why it."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


def choose(backend: str, device: torch.device, layout: GridLayout) -> Choice:
    """The backend that a grid uses on a device.

    ``auto`` takes the first of tcnn, triton and torch that runs there; on a CPU native, then torch;
    on a GPU where PyTorch is asked for deterministic algorithms, torch.

    Raises:
        ValueError: a backend asked for by name that cannot run there; says why and what to do.
    """
    return _choose(backend, device, layout, torch.are_deterministic_algorithms_enabled())


@lru_cache(maxsize=64)
def _choose(backend: str, device: torch.device, layout: GridLayout, deterministic: bool) -> Choice:
    if backend == "torch":
        return Choice("torch", "asked for")
    problems = {
        "tcnn": tcnn_backend.problem(device, layout),
        "triton": triton_backend.problem(device),
        "native": native_library.problem(device, layout),
    }
    if backend != "auto":
        if problems[backend]:
            raise ValueError(
                f"generator.field.backend is {backend!r}, but {problems[backend]}; use 'auto', or "
                "install it as README says"
            )
        return Choice(backend, "asked for")
    if device.type == "cpu":
        if not problems["native"]:
            return Choice("native", f"{native_library.instructions()} on the CPU")
        LOG.debug("the field is computed by plain PyTorch; native: %s", problems["native"])
        return Choice("torch", f"on the CPU; native: {problems['native']}")
    if device.type != "cuda":
        return Choice("torch", f"on the {device.type.upper()}")
    if deterministic:
        return Choice("torch", "deterministic algorithms are asked for")
    passed_over: list[str] = []
    for name in ("tcnn", "triton"):
        why_not = problems[name]
        if not why_not:
            return Choice(name, "; ".join(passed_over))
        passed_over.append(why_not)
    return Choice("torch", "; ".join(passed_over))


class HashGrid(nn.Module):
    """Multiresolution hash encoding (Müller et al. 2022, section 3).

    Args:
        layout: sizes of the grid.
        backend: ``auto``, ``tcnn``, ``triton``, ``native`` or ``torch``; all share the layout and
            the one parameter, ``table`` [rows, features], float32.

    Raises:
        ValueError: if the backend is unknown.
    """

    def __init__(self, layout: GridLayout, backend: str = "auto") -> None:
        super().__init__()
        if backend not in BACKENDS:
            raise ValueError(
                f"encoding backend is {backend!r}; {', '.join(BACKENDS)} are possible; use 'auto'"
            )
        self.layout = layout
        self.backend = backend
        self.table = nn.Parameter(torch.empty(layout.total_rows, layout.features))
        nn.init.uniform_(self.table, -INIT_RANGE, INIT_RANGE)

    @property
    def out_features(self) -> int:
        """Features a point gets."""
        return self.layout.out_features

    @property
    def choice(self) -> Choice:
        """The backend used where the table is, and why.

        Raises:
            ValueError: the backend asked for cannot run there.
        """
        return choose(self.backend, self.table.device, self.layout)

    def forward(
        self,
        x: Float[Tensor, "points dim"],
        dtype: torch.dtype = torch.float32,
        table: Float[Tensor, "rows entry"] | None = None,
    ) -> Float[Tensor, "points features"]:
        """Features at positions in [0, 1] (clamped outside), level-major, in ``dtype``.

        Below float32 the GPU backends read the table in float16. The native backend is one of the
        whole field; the grid alone is PyTorch's there.

        Args:
            table: in the place of the grid's own.
        """
        name, table = self.choice.name, self.table if table is None else table
        if name == "triton":
            return triton_backend.hash_grid(x, table, self.layout, dtype)
        if name == "tcnn":
            return tcnn_backend.hash_grid(x, table, self.layout, dtype)
        return torch_backend.hash_grid(x, table, self.layout).to(dtype)

    def extra_repr(self) -> str:
        return f"{self.layout}, backend={self.backend}"
