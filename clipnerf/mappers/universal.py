"""The universal mapper: any prompt or exemplar, seen together with the code that it is to change.

Where the paper's mapper gives one direction a prompt for all objects, this one looks at the
object's own code, so that an object that already is what the words ask for is left alone, and
another is moved by what it lacks. A change is a turn: the generator looks at the direction of a
code alone, so codes are moved along the great circle towards which the network points, by strength
times the angle that it asks for (beyond 1 more slowly, see `saturate_strength`).

One file holds the halves for shape and for appearance and the router between them.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.config.mapper import MapperConfig, Which
from clipnerf.config.ranges import Width, check
from clipnerf.fields.modulated import CodeMapping
from clipnerf.io.weights import Weights, rebuilt, save_weights
from clipnerf.mappers.paper import check_strength, read_mapper
from clipnerf.mappers.routing import Route, Router
from clipnerf.mappers.variation import Variation

KIND = "universal-mapper"
FILE_NAME = "mapper_universal.safetensors"
BEYOND = 0.2
"""Pace of the turn beyond strength 1."""
WHICH: tuple[Which, ...] = get_args(Which)


class UniversalMapper(nn.Module):
    """One half: the change of one code from a direction and that code.

    The direction enters in the whitened coordinates of what the code can do to a picture
    (`variation.py`), so that every prompt and every exemplar arrives as a vector of norm 1. The
    code enters through a copy of the generator's own mapping network, which tells objects apart far
    better than the bare code does.

    Args:
        which: the code that it changes, shape or appearance.
        variation: of that code.
        centre: the neutral prompt's embedding, where directions begin.
        code_dim, style_dim: of the generator's mapping network.
    """

    centre: Float[Tensor, " embed"]

    def __init__(
        self,
        which: Which,
        variation: Variation,
        centre: Float[Tensor, " embed"],
        code_dim: int,
        style_dim: int,
        config: MapperConfig,
    ) -> None:
        super().__init__()
        check("mapper.which", which, Which)
        config.validate("mapper.")
        self.which: Which = which
        self.config = config
        self.code_dim = code_dim
        self.style_dim = style_dim
        self.variation = variation
        self.register_buffer("centre", centre.clone())
        hidden, kept = config.hidden, len(variation.spread)
        self.object = CodeMapping(code_dim, style_dim).requires_grad_(False)
        self.from_aim = nn.Linear(kept, hidden)
        self.from_object = nn.Linear(style_dim, hidden)
        self.hidden = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(style_dim, hidden)
        self.end = nn.Linear(hidden, code_dim)
        for layer in (self.gate, self.end):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def turn(
        self, unit: Float[Tensor, "batch kept"], codes: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch code"]:
        """Where to turn at strength 1: a tangent at the code; its norm is the angle, rad."""
        style = self.object(codes)
        x = functional.silu(
            self.from_aim(unit * math.sqrt(unit.shape[1])) + self.from_object(style)
        )
        x = functional.silu(self.hidden(x) * (1 + self.gate(style)))
        way = self.end(x)
        towards = functional.normalize(codes, dim=1)
        return way - (way * towards).sum(1, keepdim=True) * towards

    def forward(
        self, embedding: Float[Tensor, "#batch embed"], codes: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch code"]:
        """The change of the code at strength 1; one embedding may stand for all codes."""
        return rotate_codes(codes, self._turn(embedding, codes), 1.0) - codes

    def apply_to(
        self,
        codes: Float[Tensor, "batch code"],
        embedding: Float[Tensor, "#batch embed"],
        strength: float | int | Float[Tensor, "#batch"] = 1.0,
    ) -> Float[Tensor, "batch code"]:
        """The codes, turned by strength times the angle. Strength 0 gives the very same codes.

        Args:
            embedding: of words, or what `exemplar.py` makes of a picture; any length.
            strength: from -2 to 2 as a rule; below 0 it turns away. One, or one for each code.
        Raises:
            UsageError: the strength is not a finite number.
        """
        if isinstance(strength, Tensor):
            if not bool(strength.any()):
                return codes
            return rotate_codes(codes, self._turn(embedding, codes), strength[:, None])
        check_strength(self.which, strength)
        if strength == 0:
            return codes
        return rotate_codes(codes, self._turn(embedding, codes), strength)

    def _turn(self, embedding: Tensor, codes: Tensor) -> Tensor:
        unit = self.variation.aim(embedding - self.centre).unit
        return self.turn(unit.expand(len(codes), -1), codes)


class Universal(nn.Module):
    """Both halves and the router; what `mapper_universal.safetensors` holds."""

    def __init__(
        self,
        shape: UniversalMapper,
        appearance: UniversalMapper,
        router: Router,
        *,
        generator_hash: str = "",
        clip_hash: str = "",
    ) -> None:
        super().__init__()
        self.shape = shape
        self.appearance = appearance
        self.router = router
        self.generator_hash = generator_hash
        self.clip_hash = clip_hash

    def of(self, which: Which) -> UniversalMapper:
        """The mapper of one code."""
        return self.shape if which == "shape" else self.appearance

    def route(self, embedding: Float[Tensor, "batch embed"]) -> Route:
        """Of which code words speak, by where their direction lies.

        Args:
            embedding: of prompts, averaged over templates.
        """
        direction = embedding - self.shape.centre
        energy = [self.of(which).variation.aim(direction).energy for which in WHICH]
        return self.router(energy[0], energy[1], direction.norm(dim=1))

    def save(self, path: str | Path) -> Path:
        """Writes everything as one safetensors file, matrices in half precision."""
        tensors = {
            name: tensor.half() if tensor.ndim > 1 else tensor
            for name, tensor in self.state_dict().items()
        }
        one = self.shape
        return save_weights(
            Path(path),
            tensors,
            kind=KIND,
            config={
                "embed_dim": len(one.centre),
                "code_dim": one.code_dim,
                "style_dim": one.style_dim,
                "kept": {which: len(self.of(which).variation.spread) for which in WHICH},
                "rejected": {which: self.of(which).variation.other.shape[1] for which in WHICH},
                "mapper": asdict(one.config),
            },
            extra={"generator_hash": self.generator_hash, "clip_hash": self.clip_hash},
        )

    @classmethod
    def load(
        cls, path: str | Path, *, generator_hash: str | None = None, clip_hash: str | None = None
    ) -> Universal:
        """Reads both halves; refuses another generator or CLIP than their own.

        Args:
            generator_hash, clip_hash: what it is to work with; None does not ask.
        Raises:
            UsageError: missing, broken or foreign file, or a hash that differs.
        """

        def build(weights: Weights) -> Universal:
            tensors = {name: tensor.float() for name, tensor in weights.tensors.items()}
            universal = rebuilt(lambda: _empty(weights.config), tensors)
            universal.generator_hash = weights.metadata["generator_hash"]
            universal.clip_hash = weights.metadata["clip_hash"]
            return universal

        return read_mapper(path, KIND, build, generator_hash, clip_hash)


def rotate_codes(
    codes: Float[Tensor, "batch code"],
    way: Float[Tensor, "batch code"],
    strength: float | Float[Tensor, "#batch 1"],
) -> Float[Tensor, "batch code"]:
    """Codes after a turn towards ``way``; their norms stay.

    The angle is |way| radians times :func:`saturate_strength`.

    Args:
        way: tangents: at right angles to the codes.
    """
    length = codes.norm(dim=1, keepdim=True)
    # the square root of 0 has no slope, and 0 is where training starts
    angle = torch.sqrt(way.square().sum(1, keepdim=True) + 1e-12)
    by = saturate_strength(strength) * angle
    return codes * by.cos() + length * (way / angle) * by.sin()


def saturate_strength(strength: float | Float[Tensor, "*any"]) -> float | Float[Tensor, "*any"]:
    """Strength as a share of the angle: itself up to 1 either way, beyond it a fifth as fast.

    At strength 1 an object is nearly all that is asked for. Turning as fast beyond it led past the
    point where there is most of it, and the way was no longer steady.
    """
    if isinstance(strength, Tensor):
        near = strength.clamp(-1, 1)
        return near + BEYOND * (strength - near)
    within = max(-1.0, min(1.0, strength))
    return within + BEYOND * (strength - within)


def _empty(config: dict) -> Universal:
    for name in ("embed_dim", "code_dim", "style_dim"):
        check(name, config[name], Width)
    for name in ("kept", "rejected"):
        check(name, config[name], dict[str, Width])
    embed, mapper = config["embed_dim"], MapperConfig(**config["mapper"])
    halves = []
    for which in WHICH:
        kept, rejected = config["kept"][which], config["rejected"][which]
        variation = Variation(
            torch.zeros(embed, kept), torch.ones(kept), torch.zeros(embed, rejected)
        )
        centre = torch.zeros(embed)
        halves.append(
            UniversalMapper(
                which, variation, centre, config["code_dim"], config["style_dim"], mapper
            )
        )
    return Universal(halves[0], halves[1], Router())
