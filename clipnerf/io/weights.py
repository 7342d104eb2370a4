"""Weights as safetensors that describe themselves: kind, configuration, versions, commit.

Nothing is ever unpickled. The configuration travels in the file's metadata, so that a file is
enough to rebuild the module that it belongs to. So does a digest of all that the file holds: a bit
that has flipped is found. Files from before there were digests are vouched for by a list beside
them, ``SHA256SUMS``, where there is one.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from clipnerf.config.documents import parse_json
from clipnerf.config.ranges import check, shown
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.io.atomic import atomic_write
from clipnerf.io.provenance import git_commit
from clipnerf.version import __version__

FORMAT_VERSION = 2
"""From 2 on a file holds a digest of itself."""
AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
SUMS = "SHA256SUMS"
"""Digests of a folder's files, as ``sha256sum`` writes and checks them."""
_RESERVED = ("format_version", "project_version", "git_commit", "kind", "config", "digest")


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
    metadata["digest"] = _digest(whole, metadata)
    path = Path(path)
    with atomic_write(path) as temporary:
        # Through Python's own file, so that a full disk is an OSError like any other.
        temporary.write_bytes(to_bytes(whole, metadata=metadata))
    return path


def load_weights(path: str | Path, kind: str) -> Weights:
    """Reads a file written by :func:`save_weights`.

    Raises:
        UsageError: one line: missing, truncated, damaged, foreign, of another kind or of a newer
            format.
    """
    check(f"{kind} weights", path, str)
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{str(path)!r} {what}; give the {kind} weights, a .safetensors file")
    try:
        # Not by safe_open, in which torch would take Ctrl-C for a fault of the file.
        content = path.read_bytes()
        tensors = from_bytes(content)
        head = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = dict(head.get("__metadata__", {}))
        _check(path, metadata, kind)
        _refuse_damaged(path, content, tensors, metadata)
        config = parse_json(metadata.pop("config"))
        if not isinstance(config, dict):
            raise ValueError(f"its configuration is {shown(config)}, not keys and values")
    except (SafetensorError, OSError, ValueError, LookupError, AssertionError) as error:
        if isinstance(error, UsageError):
            raise
        size = path.stat().st_size
        raise UsageError(
            f"{str(path)!r} ({size:,} bytes) is truncated or no safetensors file "
            f"({' '.join(str(error).split())[:200]}); copy or make it again"
        ) from error
    bad = list(not_finite(tensors))
    if bad:
        raise UsageError(
            f"{str(path)!r} holds NaN or infinity ({', '.join(bad[:4])}); copy or make it again"
        )
    return Weights(tensors=tensors, config=config, metadata=metadata)


@contextmanager
def rebuilding(path: str | Path) -> Iterator[None]:
    """Of what the body builds from a file's content, whatever does not fit is the file's fault.

    Raises:
        UsageError: one line that names the file, for the errors of building; others pass.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{str(path)!r} does not fit its own configuration ({reason}); it was written by "
            "another version, or is damaged: copy or make it again"
        ) from error


def rebuilt(build: Callable[[], AnyModule], tensors: Mapping[str, Tensor]) -> AnyModule:
    """A module with a file's tensors in it; within :func:`rebuilding`.

    It is first built without memory: a configuration that asks for more than the file holds is
    refused before it takes any.

    Args:
        build: makes the module of the file's configuration.

    Raises:
        ValueError: the names or shapes of its tensors are not those of ``tensors``.
    """
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name)}, its configuration {wanted.get(name)}")
    module = build()
    module.load_state_dict(tensors)
    return module


def listed_files(folder: str | Path) -> dict[str, str]:
    """Name and SHA-256 of the files that ``SHA256SUMS`` of a folder lists; empty without one.

    Raises:
        UsageError: it cannot be read.
    """
    path = Path(folder) / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
        return {name.removeprefix("*"): digest for digest, name in pairs}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(path)!r} is no list of digests; remove it, or write it again: cd "
            f"{str(folder)!r} && sha256sum *.safetensors > {SUMS}"
        ) from error


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
    return _digest(tensors)[:16]


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    digest = hashlib.sha256(
        b"" if metadata is None else json.dumps(metadata, sort_keys=True).encode()
    )
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _refuse_damaged(
    path: Path, content: bytes, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """UsageError where a digest does not match: the file's own, or without one that of SHA256SUMS.

    A file that was put in the place of a listed one is none that is damaged, and has its own.
    """
    known = {key: value for key, value in metadata.items() if key != "digest"}
    if "digest" in metadata:
        if metadata["digest"] != _digest(tensors, known):
            raise UsageError(
                f"{str(path)!r} is damaged: its digest does not match; copy or make it again"
            )
    elif int(metadata["format_version"]) > 1:
        raise UsageError(f"{str(path)!r} is damaged: it lacks its digest; copy or make it again")
    else:
        listed = listed_files(path.parent).get(path.name)
        if listed not in (None, hashlib.sha256(content).hexdigest()):
            raise UsageError(
                f"{str(path)!r} is damaged, or another file than {SUMS} beside it lists; copy or "
                f"make it again, or take it off that list"
            )


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
