"""Procedural categories: objects with known attributes, poses and part masks.

A category is a module with PARTS (names for the masks), EDITS (attribute -> values), and the
functions `sample(rng) -> Object`, `edit(object, key, value) -> Object`,
`possible_edits(object) -> {key: values}`, `caption(attributes, rng, about=()) -> str` and
`contrasts(attributes, rng) -> [[true caption, false caption]]`.
"""

from types import ModuleType

from clipnerf.data.procedural import car_regions, cars, chair_regions, chairs
from clipnerf.errors import UsageError

CATEGORIES: dict[str, ModuleType] = {"chairs": chairs, "cars": cars}

REGIONS: dict[str, ModuleType] = {"chairs": chair_regions, "cars": car_regions}
"""The fine regions of a category, and the phrases that refer to them."""


def category(name: str) -> ModuleType:
    """The category of that name; UsageError names the known ones."""
    if name not in CATEGORIES:
        raise UsageError(
            f"there is no procedural category '{name}'; choose one of {', '.join(CATEGORIES)}"
        )
    return CATEGORIES[name]


def regions_of(name: str) -> ModuleType:
    """The regions of the category of that name; UsageError names the known ones."""
    category(name)
    return REGIONS[name]
