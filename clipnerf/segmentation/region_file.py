"""region.safetensors: a region field, bound to its generator and its segmenter."""

from __future__ import annotations

from pathlib import Path

from clipnerf.config.ranges import Width, check
from clipnerf.errors import UsageError
from clipnerf.fields.region import RegionField
from clipnerf.io.weights import load_weights, rebuilding, rebuilt, save_weights

FILE_NAME = "region.safetensors"
KIND = "region"


def save_region(
    path: str | Path,
    field: RegionField,
    *,
    generator_hash: str,
    segmenter_hash: str,
    noun: str = "",
    extra: dict[str, str] | None = None,
) -> Path:
    """Writes the field in half precision; ``noun`` is the category's, such as "chair"."""
    return save_weights(
        path,
        {name: value.half() for name, value in field.state_dict().items()},
        kind=KIND,
        config=field.sizes,
        extra={
            "generator_hash": generator_hash,
            "segmenter_hash": segmenter_hash,
            "noun": noun,
            **(extra or {}),
        },
    )


def load_region(
    path: str | Path, *, generator_hash: str, segmenter_hash: str
) -> tuple[RegionField, str]:
    """Reads a region field, frozen, and the noun of its category.

    Raises:
        UsageError: missing, broken or foreign file, or one of another generator or segmenter.
    """
    weights = load_weights(path, KIND)
    for what, wanted in (("generator", generator_hash), ("segmenter", segmenter_hash)):
        found = weights.metadata.get(f"{what}_hash")
        if found != wanted:
            raise UsageError(
                f"the region field '{path}' belongs to the {what} {found}, this one is {wanted}; "
                "make one for it with clipnerf train-region"
            )
    with rebuilding(path):
        for name, size in weights.config.items():
            check(name, size, Width)
        tensors = {name: value.float() for name, value in weights.tensors.items()}
        field = rebuilt(lambda: RegionField(**weights.config), tensors)
    return field.requires_grad_(False).eval(), weights.metadata.get("noun", "")
