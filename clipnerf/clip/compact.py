"""The compact CLIP's file: half precision, and of the token table only what training touched.

A CLIP's text tower has a table of 49,408 rows, of which the captions of one domain use a few
dozen. ``clip.safetensors`` holds these rows with their numbers and one row for every word never
seen; loading spreads them over the whole table again, so that the model that comes out is an
ordinary open_clip model with open_clip's ordinary tokenizer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clipnerf.config.ranges import Count, check
from clipnerf.io.weights import load_weights, rebuilding, save_weights

FILE_NAME = "clip.safetensors"
KIND = "clip"
VOCABULARY = 49408
_TABLE = "token_embedding.weight"
_ROWS, _IDS, _UNKNOWN = "token_rows", "token_ids", "token_unknown"


@dataclass(frozen=True)
class CompactClip:
    """What is needed to build the model: open_clip's configurations and the whole weights."""

    model_cfg: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    state_dict: dict[str, Tensor]
    known_tokens: frozenset[int]


def save(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    *,
    token_ids: Int[Tensor, " known"],
    rows: Float[Tensor, "known width"],
    unknown: Float[Tensor, " width"],
    model_cfg: Mapping[str, Any],
    preprocess_cfg: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Writes the file.

    Args:
        state_dict: the model's weights; its token table is left out.
        token_ids: numbers of the tokens that training saw, in open_clip's tokenizer.
        rows: their embeddings.
        unknown: the embedding of every other token.
        model_cfg: open_clip's model configuration, with the whole vocabulary.
        preprocess_cfg: open_clip's preprocessing configuration (mean, std, …).
        extra: strings for the file's metadata.

    Raises:
        ClipNerfError: the file cannot be written.
    """
    tensors = {
        name: _halved(tensor) for name, tensor in state_dict.items() if not name.endswith(_TABLE)
    }
    tensors[_IDS], tensors[_ROWS] = token_ids.to(torch.int32), rows.half()
    tensors[_UNKNOWN] = unknown.half()
    config = {"model_cfg": dict(model_cfg), "preprocess_cfg": dict(preprocess_cfg)}
    return save_weights(path, tensors, kind=KIND, config=config, extra=extra)


def load(path: str | Path) -> CompactClip:
    """Reads the file and fills the token table.

    Raises:
        UsageError: missing, truncated, foreign or not a CLIP; one line.
    """
    weights = load_weights(path, KIND)
    tensors = dict(weights.tensors)
    with rebuilding(path):
        ids = tensors.pop(_IDS).long()
        rows, unknown = tensors.pop(_ROWS).float(), tensors.pop(_UNKNOWN).float()
        model_cfg, preprocess_cfg = weights.config["model_cfg"], weights.config["preprocess_cfg"]
        vocabulary = model_cfg["text_cfg"]["vocab_size"]
        check("vocab_size", vocabulary, Count)
        table = unknown.expand(vocabulary, -1).clone()
        table[ids] = rows
        prefix = "text." if model_cfg.get("custom_text") else ""
    state_dict = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    state_dict[prefix + _TABLE] = table
    return CompactClip(model_cfg, preprocess_cfg, state_dict, frozenset(ids.tolist()))


def _halved(tensor: Tensor) -> Tensor:
    """Matrices in 16 bits; vectors are small, and variances do not fit into 16 bits."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
