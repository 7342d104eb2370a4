"""A start from which words are learned: embeddings that differ.

Freshly made, a CLIP gives all captions of one domain nearly the same embedding, and all pictures
too. A word that pictures do not show yet is then worth nothing, and the training removes what
difference it makes: after a hundred steps "with armrests" and "without armrests" were one point,
and stayed so. Moving the mean embedding to zero makes texts differ by their words from the start
(a cosine of 0.6 between these two), and texts that stand still at first (text_delay_steps) give
the pictures time to learn what tells them apart.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

BATCH = 64
"""Pictures at a time."""


@torch.no_grad()
def centre(
    model: Any,
    pictures: Float[Tensor, "pictures 3 size size"],
    tokens: Int[Tensor, "texts context"],
) -> None:
    """Sets two biases of a compact model so that the mean embeddings of a sample are zero.

    Args:
        pictures: preprocessed. tokens: of captions, with the end mark as the largest number.
    """
    visual = model.visual
    head = visual.projection if hasattr(visual, "projection") else visual.attnpool.c_proj
    head.bias -= torch.cat([model.encode_image(some) for some in pictures.split(BATCH)]).mean(0)
    seen: list[Tensor] = []
    hook = model.text.ln_final.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        model.encode_text(tokens)
    finally:
        hook.remove()
    at_end = seen[0][torch.arange(len(tokens)), tokens.argmax(1)]
    model.text.ln_final.bias -= at_end.mean(0)
