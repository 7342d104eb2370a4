"""How well a mapper follows its library: matching, and a sheet to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from clipnerf.gan.codes import Codes
from clipnerf.io.sheet import contact_sheet
from clipnerf.mappers.objective import Objective, edit_codes
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import UniversalMapper

SHEET_OBJECTS = 4
SHEET_PIXELS = 96
AZIMUTHS_DEG = (35.0, 325.0)
ELEVATION_DEG = 20.0


@dataclass(frozen=True)
class Matching:
    """Share of edited pictures that are nearest, of all the group's prompts, to their own."""

    share: float
    """Over all prompts, [0, 1]; pictures that ignore the prompt get one over their number."""
    by_prompt: dict[str, float]
    """The same for each prompt."""


@torch.no_grad()
def measure(
    mapper: Mapper | UniversalMapper, objective: Objective, objects: int = 4
) -> tuple[Matching, UInt8[np.ndarray, "height width 3"]]:
    """Edits the objects of seeds 0, 1, ... by every prompt of the library.

    Returns:
        The matching over two views of each, and a sheet: an object a row, unedited first, then
        one column a prompt.
    """
    prompts, generator = objective.prompts, objective.generator
    codes = Codes.from_seeds(list(range(objects)), generator.config.field.code_dim)
    codes = codes.to(objective.device)
    camera = generator.camera(
        torch.tensor(AZIMUTHS_DEG * objects), ELEVATION_DEG, objective.config.size
    ).to(objective.device)
    views = len(AZIMUTHS_DEG)

    def render(edited: Codes) -> Tensor:
        row = torch.arange(objects, device=objective.device).repeat_interleave(views)
        return objective.render(edited[row], camera).rgb

    columns = [render(codes)[::views]]
    shares = []
    for row in range(len(prompts.prompts)):
        change = mapper(prompts.own[row : row + 1], getattr(codes, mapper.which))
        rgb = render(edit_codes(codes, mapper.which, change))
        nearest = (objective.clip.encode_image(rgb) @ prompts.own.T).argmax(1)
        shares.append(float((nearest == row).float().mean()))
        columns.append(rgb[::views])
    matching = Matching(float(np.mean(shares)), dict(zip(prompts.prompts, shares, strict=True)))
    return matching, _sheet(columns, ["unedited", *prompts.prompts])


def _sheet(columns: list[Tensor], labels: list[str]) -> UInt8[np.ndarray, "height width 3"]:
    rows = min(SHEET_OBJECTS, len(columns[0]))
    pictures = torch.stack([column[:rows] for column in columns], 1).flatten(0, 1)
    # Pictures of 32 pixels are enlarged, so that a person can look at them.
    enlarge = max(1, SHEET_PIXELS // pictures.shape[-1])
    pictures = pictures.repeat_interleave(enlarge, -1).repeat_interleave(enlarge, -2)
    return contact_sheet(pictures, len(columns), labels * rows)
