"""Prompts: templates around them, embeddings averaged over templates, libraries in YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.config.documents import read_yaml
from clipnerf.config.ranges import Caption, check, shown
from clipnerf.errors import UsageError

if TYPE_CHECKING:
    from clipnerf.clip.model import Clip

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a rendering of {}",
)
"""Sentences around a prompt, which has its own article: "a photo of a red chair"."""


@dataclass(frozen=True)
class Library:
    """What mappers learn from: prompts of shape, prompts of appearance, and one that says neither.

    neutral: e.g. "a chair"; directions go from it to a prompt.
    """

    shape: tuple[str, ...]
    appearance: tuple[str, ...]
    neutral: str


def text_embedding(
    clip: "Clip", prompt: str, templates: Sequence[str] = TEMPLATES
) -> Float[Tensor, " embedding"]:
    """The unit mean of the embeddings of ``prompt`` in each template.

    Raises:
        UsageError: an empty prompt, or a template without ``{}``.
    """
    check("text", prompt, Caption)
    if not prompt.strip():
        raise UsageError(f"text is empty ({prompt!r}); give at least one word")
    for template in templates:
        if "{}" not in template:
            raise UsageError(f"the template {template!r} has no {{}} for the prompt")
    texts = [template.replace("{}", prompt.strip()) for template in templates]
    return torch.nn.functional.normalize(clip.encode_text(texts).mean(0), dim=0)


def load_library(path: str | Path) -> Library:
    """Reads a text library: a YAML file with the keys shape, appearance and neutral.

    Raises:
        UsageError: missing, no YAML, a key unknown, missing or empty; one line.
    """
    found = read_yaml(path)
    known = {"shape", "appearance", "neutral"}
    if not isinstance(found, dict) or set(found) != known:
        keys = sorted(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise UsageError(
            f"the text library {str(path)!r} has the keys {keys}; needed are {sorted(known)}"
        )
    for key in ("shape", "appearance"):
        prompts = found[key]
        if not isinstance(prompts, list) or not all(
            isinstance(p, str) and p.strip() for p in prompts
        ):
            raise UsageError(
                f"{key} in {str(path)!r} is {shown(prompts)}; needed is a list of texts"
            )
        double = sorted({p for p in prompts if prompts.count(p) > 1})
        if double:
            raise UsageError(f"{key} in {str(path)!r} lists {double[0]!r} twice; remove one")
    if not found["shape"] and not found["appearance"]:
        raise UsageError(f"the text library {str(path)!r} holds no prompt; give at least one")
    if not isinstance(found["neutral"], str) or not found["neutral"].strip():
        raise UsageError(
            f"neutral in {str(path)!r} is {shown(found['neutral'])}; needed is one text"
        )
    return Library(tuple(found["shape"]), tuple(found["appearance"]), found["neutral"])
