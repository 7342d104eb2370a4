"""What a run was asked, as config.yaml and manifest.json say it, and whether another asks the same.

Both files hold a digest of themselves: a damaged or edited one is refused.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from clipnerf.config.documents import parse_json, parse_yaml, read_text
from clipnerf.config.renamed import current_name, current_value
from clipnerf.errors import UsageError
from clipnerf.io.provenance import git_commit, versions
from clipnerf.training import distributed

MAY_CHANGE = (
    "out",
    "steps",
    "log_every",
    "preview_every",
    "checkpoint_every",
    "device",
    "workers",
    "threads",
    "backend",
    "cuda_graphs",
)
"""Keys (the whole dotted name, or its last part) that a resumed run may give anew."""
_DIGEST = "# sha256 of what follows: "


def config_text(config: Mapping[str, Any]) -> str:
    """What config.yaml holds."""
    text = yaml.safe_dump(dict(config), sort_keys=False)
    return f"{_DIGEST}{_sha256(text)}\n{text}"


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """What manifest.json holds."""
    return json.dumps({**manifest, "digest": _digest(manifest)}, indent=2) + "\n"


def this_start() -> dict[str, Any]:
    """When, by which command and with which versions the run is begun or resumed."""
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "arguments": sys.argv[1:],
        "git_commit": git_commit(),
        "versions": versions(),
        # Noise is drawn by each rank: bits depend on how many there were.
        "ranks": distributed.world_size(),
    }


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a run folder; UsageError where it is none, or damaged."""
    try:
        manifest = parse_json((path / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest["starts"], list):
            raise TypeError("starts is no list")
        # runs of before digests were written have none
        if manifest.pop("digest", None) not in (None, _digest(manifest)):
            raise ValueError("its digest does not match: the file has been damaged or edited")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{str(path / 'manifest.json')!r} is not the manifest of a run "
            f"({' '.join(str(error).split())[:160]}); give another --out"
        ) from error


def refuse_another_run(
    path: Path,
    manifest: Mapping[str, Any],
    asked: Mapping[str, Any],
    config: Any,
    covered: Collection[str] = (),
) -> None:
    """Compares a run folder with what is asked for, key by key.

    Args:
        config: the verb's dataclass.
        covered: whole keys that may be spelt anew, beside MAY_CHANGE.
    Raises:
        UsageError: names the first key that differs, both values, the way out.
    """
    found, usual = _flat(_read_config(path / "config.yaml")), _defaults(config)
    wanted = {**asked, **_flat(plain(asdict(config)))}
    found = {current_name(key, wanted): value for key, value in found.items()}
    found = {**{name: manifest.get(name) for name in asked}, **found}
    for key in [*wanted, *(key for key in found if key not in wanted)]:
        if key in covered or {key, key.rpartition(".")[2]} & set(MAY_CHANGE):
            continue
        # a key that came after the run was begun had its default all along
        old = current_value(key, found.get(key, usual.get(key, "(not set)")))
        new = wanted.get(key, "(not set)")
        if old != new and key == "dataset_fingerprint":
            raise UsageError(
                f"the data or models of the run in {str(path)!r} have changed since it was begun "
                f"({str(old)[:40]} then, {str(new)[:40]} now); give another --out, or bring them "
                "back"
            )
        if old != new:
            raise UsageError(
                f"{str(path)!r} holds a run with {key} = {_short(old)}, and {_short(new)} is asked "
                "for; give another --out, or the same value to resume"
            )


def _read_config(file: Path) -> Mapping[str, Any]:
    try:
        text = read_text(file)
        head, _, rest = text.partition("\n")
        # runs of before digests were written have none
        if head.startswith(_DIGEST) and head != _DIGEST + _sha256(rest):
            raise ValueError("its digest does not match: the file has been damaged or edited")
        found = parse_yaml(text)
        if not isinstance(found, Mapping):
            raise ValueError("it holds no keys and values")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(file)!r} is not the configuration of a run "
            f"({' '.join(str(error).split())[:160]}); give another --out"
        ) from error
    return found


def _defaults(config: Any) -> dict[str, Any]:
    """What the keys of a configuration are where nobody gives them."""
    try:
        return _flat(plain(asdict(type(config)())))
    except TypeError:  # a class without defaults
        return {}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def plain(value: Any) -> Any:
    """Only what YAML holds without tags: a configuration must compare equal after a round trip."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.value if isinstance(value, Enum) else value


def _short(value: Any) -> str:
    return text if len(text := repr(value)) <= 120 else text[:117] + "..."


def _digest(manifest: Mapping[str, Any]) -> str:
    known = {key: value for key, value in manifest.items() if key != "digest"}
    return _sha256(json.dumps(known, sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
