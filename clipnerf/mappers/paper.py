"""Mappers: from an embedding to a change of one code.

z' = z + strength * M(embedding). The strength is applied here and nowhere else. A mapper knows
neither CLIP nor the generator; it keeps the hashes of both beside its weights, because an
embedding of another CLIP, or a code of another generator, would give noise without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clipnerf.config.mapper import MapperConfig, Which
from clipnerf.config.ranges import Width, check, require, shown
from clipnerf.errors import UsageError
from clipnerf.io.weights import Weights, load_weights, rebuilding, rebuilt, save_weights

KIND = "mapper"


class Mapper(nn.Module):
    """Two layers with a ReLU between (CLIP-NeRF, section 3.3); starts as the identity edit.

    What enters is the embedding's direction from `centre` (the category without an attribute),
    times sqrt(E), so that its entries are of order 1: the prompts of one category lie close
    together, and a network fed with them as they are first learns one change for all.
    `forward` takes the codes as well, because a mapper of a later kind may look at them; the
    paper's does not, and so gives one direction for all objects.

    Args:
        which: the code that it changes, shape or appearance.
        embed_dim: E, the length of an embedding.
        code_dim: the length of the code, 128.
        centre: the neutral prompt's embedding; 0 where None.
        generator_hash, clip_hash: what it is trained for.
    """

    centre: Tensor

    def __init__(
        self,
        which: Which,
        embed_dim: int,
        code_dim: int,
        config: MapperConfig | None = None,
        *,
        centre: Float[Tensor, " embed"] | None = None,
        generator_hash: str = "",
        clip_hash: str = "",
    ) -> None:
        super().__init__()
        config = config or MapperConfig()
        check("mapper.which", which, Which)
        config.validate("mapper.")
        require(config.kind == "paper", "mapper.kind", config.kind, "paper")
        for name, size in (("embed_dim", embed_dim), ("code_dim", code_dim)):
            check(f"mapper.{name}", size, Width)
        self.which: Which = which
        self.config = config
        self.embed_dim = embed_dim
        self.code_dim = code_dim
        self.generator_hash = generator_hash
        self.clip_hash = clip_hash
        self.hidden = nn.Linear(embed_dim, config.hidden)
        self.end = nn.Linear(config.hidden, code_dim)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)
        self.register_buffer("centre", torch.zeros(embed_dim) if centre is None else centre.clone())

    def forward(
        self, embedding: Float[Tensor, "#batch embed"], codes: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch code"]:
        """The change of the code at strength 1; one embedding may stand for all codes."""
        direction = (embedding - self.centre) * math.sqrt(self.embed_dim)
        change = self.end(torch.relu(self.hidden(direction)))
        return change.expand_as(codes)

    def apply_to(
        self,
        codes: Float[Tensor, "batch code"],
        embedding: Float[Tensor, "#batch embed"],
        strength: float | int | Float[Tensor, "#batch"] = 1.0,
    ) -> Float[Tensor, "batch code"]:
        """codes + strength * change. Strength 0 gives the very same codes; negative is allowed.

        Args:
            embedding: of unit norm; one for all codes, or one each.
            strength: one, or one for each code.
        Raises:
            UsageError: the strength is not a finite number.
        """
        if isinstance(strength, Tensor):
            return codes + strength[:, None] * self(embedding.expand(len(codes), -1), codes)
        check_strength(self.which, strength)
        if strength == 0:
            return codes
        return codes + strength * self(embedding.expand(len(codes), -1), codes)

    def save(self, path: str | Path) -> Path:
        """Writes weights, configuration and both hashes as one safetensors file."""
        return save_weights(
            Path(path),
            self.state_dict(),
            kind=KIND,
            config={
                "which": self.which,
                "embed_dim": self.embed_dim,
                "code_dim": self.code_dim,
                "mapper": asdict(self.config),
            },
            extra={"generator_hash": self.generator_hash, "clip_hash": self.clip_hash},
        )

    @classmethod
    def load(
        cls, path: str | Path, *, generator_hash: str | None = None, clip_hash: str | None = None
    ) -> Mapper:
        """Reads a mapper; refuses another generator or CLIP than its own.

        Args:
            generator_hash, clip_hash: what it is to work with; None does not ask.
        Raises:
            UsageError: missing, broken or foreign file, or a hash that differs.
        """

        def build(weights: Weights) -> Mapper:
            config, metadata = weights.config, weights.metadata
            return rebuilt(
                lambda: cls(
                    config["which"],
                    config["embed_dim"],
                    config["code_dim"],
                    MapperConfig(**config["mapper"]),
                    generator_hash=metadata["generator_hash"],
                    clip_hash=metadata["clip_hash"],
                ),
                weights.tensors,
            )

        return read_mapper(path, KIND, build, generator_hash, clip_hash)


def check_strength(which: str, strength: float | int) -> None:
    """UsageError unless the strength is a finite number."""
    if not (isinstance(strength, Real) and -1e6 <= strength <= 1e6):
        raise UsageError(
            f"strength of {which} is {shown(strength)}; allowed: finite, -1000000 to "
            "1000000, as a rule 0 (no change) to 1 (full change)"
        )


@runtime_checkable
class _Bound(Protocol):
    """What both kinds of mapper are: modules that name the models they are for."""

    generator_hash: str
    clip_hash: str

    def eval(self) -> Any:
        """As for reading, not for training."""
        ...


AnyKind = TypeVar("AnyKind", bound=_Bound)


def read_mapper(
    path: str | Path,
    kind: str,
    build: Callable[[Weights], AnyKind],
    generator_hash: str | None,
    clip_hash: str | None,
) -> AnyKind:
    """A mapper of either kind from its file, frozen.

    Args:
        build: makes it of the file's tensors and configuration.
        generator_hash, clip_hash: what it is to work with; None does not ask.
    Raises:
        UsageError: missing, broken or foreign file, or a hash that differs.
    """
    weights = load_weights(path, kind)
    with rebuilding(path):
        mapper = build(weights)
    for name, own, other in (
        ("generator", mapper.generator_hash, generator_hash),
        ("CLIP", mapper.clip_hash, clip_hash),
    ):
        if other is not None and own != other:
            raise UsageError(
                f"mapper '{path}' was trained for {name} {own}, not for {other}; use it with its "
                f"own {name}, or train one for this {name} with clipnerf train-mapper"
            )
    return mapper.eval().requires_grad_(False)
