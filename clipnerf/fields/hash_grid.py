"""HashGrid: a trainable multiresolution hash encoding that picks a backend."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.fields.backends import torch as torch_backend
from clipnerf.fields.layout import GridLayout

# Triton and tinycudann kernels of the same layout take their place here once they exist.
BACKENDS = ("auto", "torch")
INIT_RANGE = 1e-4


class HashGrid(nn.Module):
    """Multiresolution hash encoding (Müller et al. 2022, section 3).

    Args:
        layout: sizes of the grid.
        backend: ``auto`` or ``torch``; all backends share the layout and the parameter.

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
        self.backend = "torch"
        self.table = nn.Parameter(torch.empty(layout.total_rows, layout.features))
        nn.init.uniform_(self.table, -INIT_RANGE, INIT_RANGE)

    @property
    def out_features(self) -> int:
        """Features a point gets."""
        return self.layout.out_features

    def forward(self, x: Float[Tensor, "points dim"]) -> Float[Tensor, "points features"]:
        """Features at positions in [0, 1] (clamped outside), level-major."""
        return torch_backend.hash_grid(x, self.table, self.layout)

    def extra_repr(self) -> str:
        return f"{self.layout}, backend={self.backend}"
