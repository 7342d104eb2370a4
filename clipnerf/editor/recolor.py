"""Recoloring: a color on a part that the generator never gives that color.

"A blue chair" has a blue seat and a blue back; its legs stay black, as the legs of nearly all
chairs of the data are. Where the part that is to be blue would not become so, it takes the color
that the same edit gives to what it does change.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.editor.mapping import CodeChange
from clipnerf.fields.field import SOLID
from clipnerf.gan.codes import Codes, LocalEdit
from clipnerf.gan.generator import Generator

POINTS = 6000
"""Random points of the box, of each object."""
OTHERS = 8
"""Random appearances that show what an edit changes, whatever color an object has before."""
FAR = 0.15
"""Distance of two colors in [0, 1]^3 from which a part counts as not having taken the color."""


def random_appearances(generator: Generator) -> Codes:
    """OTHERS objects that show what an edit makes of any colors; always the same ones."""
    _, codes = _draw(generator.config.field.code_dim)
    return Codes(codes.to(generator.device), codes.to(generator.device))


@torch.no_grad()
def recolored(generator: Generator, codes: Codes, edit: LocalEdit, random: CodeChange) -> LocalEdit:
    """The local edit, with paint for the objects whose part does not take the color.

    Args:
        codes: the objects before.
        edit: a local edit of color.
        random: the same edit of :func:`random_appearances`.
    """
    if edit.appearance is None or generator.field.view_direction:
        return edit
    field, device = generator.field, generator.device
    points = (_draw(codes.appearance.shape[1])[0].to(device) * generator.box)[None]
    usual, changed = random.before.appearance.to(device), random.after.appearance
    rows = []
    for row in range(len(codes)):
        one = replace(codes[row], layers=())
        shape, _ = generator.styles(one)
        features, sigma = field.geometry(points, shape)
        index = (sigma[0] > SOLID).nonzero().squeeze(1)
        if not len(index):
            rows.append(torch.zeros(4, device=device))
            continue
        features, places = features[:, index], points[:, index]

        def colors(appearance: Tensor, detail: Tensor | None, seen: Tensor = features) -> Tensor:
            style = field.appearance_style(appearance, detail=detail)
            return field.color(seen.expand(len(appearance), -1, -1), style)

        weight = (colors(changed, None) - colors(usual, None)).square().sum(-1).mean(0)
        detail = None if one.detail is None else one.detail.appearance
        own = colors(edit.appearance[row : row + 1], detail)[0]
        mask = edit[[row]].region.bind(field.shape_mapping, one.shape)(places, features)[0]
        wanted, there = _mean(own, weight), _mean(own, mask)
        far = (wanted - there).norm() > FAR
        rows.append(torch.cat((wanted, far.float()[None])))
    return replace(edit, paint=torch.stack(rows))


def _draw(dim: int) -> tuple[Float[Tensor, "points 3"], Float[Tensor, "others code"]]:
    """Points in [-1, 1]^3 and appearance codes, always the same."""
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(POINTS, 3, generator=rng) * 2 - 1
    return points, torch.randn(OTHERS, dim, generator=rng)


def _mean(
    colors: Float[Tensor, "points 3"], weight: Float[Tensor, " points"]
) -> Float[Tensor, " 3"]:
    return (colors * weight[:, None]).sum(0) / weight.sum().clamp(min=1e-6)
