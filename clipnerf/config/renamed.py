"""Keys and values that had another name once: still taken, with a warning that says the new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clipnerf.errors import UsageError, warn

RENAMED = {
    "status_every": "log_every",
    "learning_rate": "lr",
    "distil_steps": "distill_steps",
    "distil_batch": "distill_batch",
    "distil_width": "distill_width",
}
"""Old name → new name, each the last part of a dotted key."""

RENAMED_VALUES = {
    "device": {"null": "auto"},
    "precision": {"fp32": "float32", "bf16": "bfloat16"},
}
"""Last part of a key → old value → new value."""


def current_name(key: str, known: Collection[str]) -> str:
    """The name that ``key`` has today; itself, unless it is an old name of one of ``known``.

    Args:
        key: dotted, e.g. ``universal.learning_rate``.
        known: the dotted keys of the verb.
    """
    above, dot, name = key.rpartition(".")
    renamed = f"{above}{dot}{RENAMED.get(name, name)}"
    if key in known or renamed == key or renamed not in known:
        return key
    warn(f"{key} is called {renamed} now")
    return renamed


def current_values(
    content: Mapping[Any, Any], known: Collection[str], prefix: str = ""
) -> dict[Any, Any]:
    """The nested keys and values of a file, under the names of today.

    Raises:
        UsageError: a key is there under both of its names.
    """
    current: dict[Any, Any] = {}
    for name, value in content.items():
        key = current_name(f"{prefix}{name}", known)
        last = key.rpartition(".")[2] if key != f"{prefix}{name}" else name
        if last in current or (last != name and last in content):
            raise UsageError(f"{key} is given twice, also as {name!r}; allowed: once")
        if isinstance(value, Mapping):
            value = current_values(value, known, f"{key}.")
        current[last] = current_value(key, value)
    return current


def current_value(key: str, value: Any) -> Any:
    """What a value is called today, such as ``auto`` for the null that ``device`` once had."""
    called = RENAMED_VALUES.get(key.rpartition(".")[2], {})
    text = "null" if value is None else value
    if not isinstance(text, str) or text not in called:
        return value
    warn(f"{key} {text} is called {called[text]} now")
    return called[text]
