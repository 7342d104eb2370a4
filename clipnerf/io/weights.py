"""Weights as safetensors that describe themselves: kind, configuration, versions, commit.

Nothing is ever unpickled. The configuration travels in the file's metadata, so that a file is
enough to rebuild the module that it belongs to.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from clipnerf.config.documents import parse_json
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.atomic import atomic_write
from clipnerf.io.provenance import git_commit
from clipnerf.version import __version__

FORMAT_VERSION = 1
_RESERVED = ("format_version", "project_version", "git_commit", "kind", "config")


@dataclass(frozen=True)
class Weights:
    """What :func:`load_weights` found in a file."""

    tensors: dict[str, Tensor]
    """Name to tensor, on the CPU."""
    config: dict[str, Any]
    """The configuration that the module was built with."""
    metadata: dict[str, str] = field(default_factory=dict)
    """format_version, project_version, git_commit, kind, and the ``extra`` given at saving."""


def save_weights(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    *,
    kind: str,
    config: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Writes ``tensors`` (any device, any dtype) to ``path`` as one whole safetensors file.

    Args:
        kind: what the file is, e.g. ``generator``; asked for again by :func:`load_weights`.
        config: what rebuilds the module; must be JSON (``dataclasses.asdict`` is).
        extra: further strings for the metadata, e.g. the hash of the generator a mapper is for.

    Raises:
        ClipNerfError: a tensor is not finite, or the file cannot be written; one line.
    """
    bad = list(not_finite(tensors))
    if bad:
        raise ClipNerfError(f"{kind} weights are not finite ({', '.join(bad[:4])}): not written")
    extra = dict(extra or {})
    for name in _RESERVED:
        if name in extra:
            raise ValueError(f"extra has the key {name!r}, which save_weights itself writes")
    metadata = {
        "format_version": str(FORMAT_VERSION),
        "project_version": __version__,
        "git_commit": git_commit(),
        "kind": kind,
        "config": json.dumps(dict(config), sort_keys=True, default=_plain),
        **extra,
    }
    # Clones, because safetensors refuses tensors that share memory (tied weights).
    whole = {name: t.detach().to("cpu").contiguous().clone() for name, t in tensors.items()}
    path = Path(path)
    with atomic_write(path) as temporary:
        # Through Python's own file, so that a full disk is an OSError like any other.
        temporary.write_bytes(to_bytes(whole, metadata=metadata))
    return path


def load_weights(path: str | Path, kind: str) -> Weights:
    """Reads a file written by :func:`save_weights`.

    Raises:
        UsageError: one line: missing, truncated, foreign, of another kind or of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{str(path)!r} {what}; give the {kind} weights, a .safetensors file")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            _check(path, metadata, kind)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            config = parse_json(metadata.pop("config"))
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        size = path.stat().st_size
        raise UsageError(
            f"{str(path)!r} ({size:,} bytes) is truncated or no safetensors file "
            f"({' '.join(str(error).split())}); copy or make it again"
        ) from error
    bad = list(not_finite(tensors))
    if bad:
        raise UsageError(
            f"{str(path)!r} holds NaN or infinity ({', '.join(bad[:4])}); copy or make it again"
        )
    return Weights(tensors=tensors, config=config, metadata=metadata)


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of anybody's safetensors file, by name, on the CPU; raises what safetensors does."""
    with safe_open(str(path), framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def not_finite(values: Any, name: str = "") -> Iterator[str]:
    """Names of the tensors and numbers that hold NaN or infinity, in mappings and lists of them."""
    if isinstance(values, Tensor):
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            yield name
    elif isinstance(values, float):
        if not math.isfinite(values):
            yield name
    elif isinstance(values, Mapping | list | tuple):
        pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in pairs:
            yield from not_finite(value, f"{name}.{key}" if name else str(key))


def weights_hash(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits that change with any name, dtype, shape or bit of ``tensors``."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _check(path: Path, metadata: dict[str, str], kind: str) -> None:
    if "kind" not in metadata or "format_version" not in metadata or "config" not in metadata:
        raise UsageError(
            f"{str(path)!r} is a safetensors file, but clipnerf did not write it "
            f"(no kind and configuration in its metadata); give {kind} weights made by clipnerf"
        )
    if metadata["kind"] != kind:
        raise UsageError(
            f"{str(path)!r} holds {metadata['kind']} weights, but {kind} weights are needed here"
        )
    if int(metadata["format_version"]) > FORMAT_VERSION:
        raise UsageError(
            f"{str(path)!r} has format version {metadata['format_version']}, this clipnerf "
            f"({__version__}) reads up to {FORMAT_VERSION}; update clipnerf"
        )


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a configuration holds {value!r}, which JSON cannot carry")
