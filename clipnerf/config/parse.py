"""The command line: verbs, ``--config FILE``, dotted overrides, help. jsonargparse lives here only.

    clipnerf pretrain --config configs/chairs.yaml --data.path DIR --generator.field.levels 6

Keys, types, defaults and help come from the verb's dataclass; the command line wins
over files, wherever it names them. Nothing here imports torch, so that help is quick.
"""

import difflib
import json
import re
import typing
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from clipnerf.config.documents import parse_yaml, read_yaml
from clipnerf.config.ranges import Config, range_of, shown, words_for
from clipnerf.config.renamed import current_name, current_value, current_values
from clipnerf.config.verbs import VERBS, Verb
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Command:
    """What a person asked for."""

    verb: Verb
    config: Any
    """The verb's dataclass, validated."""
    dry_run: bool = False
    """Only print what would be done."""


_FLAGS = ("dry-run", "debug", "help", "print_config")


def overview() -> str:
    """The verbs, one line each."""
    width = max(len(verb.name) for verb in VERBS) + 2
    return "\n".join(
        [
            "clipnerf VERB [--config FILE] [--KEY VALUE ...]",
            "",
            *(f"  {verb.name:<{width}}{verb.about}" for verb in VERBS),
            "",
            "  clipnerf VERB --help     every key, with its unit and default",
            "  clipnerf VERB --dry-run  what would be done, and nothing else",
            "  clipnerf --version",
        ]
    )


def parse(argv: Sequence[str]) -> Command:
    """The verb and its configuration; ``--help`` and ``--print_config`` print and exit.

    Raises:
        UsageError: an unknown verb or key (the nearest known one is named), a value of the wrong
            type or out of range, a configuration file that cannot be read; one line.
    """
    verb, rest = _find_verb(argv)
    schema = verb.schema
    known = keys_of(schema)
    types = keys_of(schema, ranges=True)
    tokens = _explicit(rest, known, verb)
    parser = _parser(verb, schema, types)
    try:
        values = parser.instantiate(parser.parse_args(tokens))
    except (ArgumentError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{_one_line(error, types)}; see 'clipnerf {verb.name} --help'") from error
    config = schema(**{field.name: values[field.name] for field in fields(schema)})
    config.validate()
    return Command(verb, config, dry_run=values["dry_run"])


def _find_verb(argv: Sequence[str]) -> tuple[Verb, list[str]]:
    for words in (2, 1):
        name = " ".join(argv[:words])
        for verb in VERBS:
            if verb.name == name and len(argv) >= words:
                return verb, list(argv[words:])
    names = [verb.name for verb in VERBS]
    of_two_words = any(each.startswith(f"{argv[0]} ") for each in names)
    name = " ".join(argv[:2]) if of_two_words else argv[0]
    raise UsageError(
        f"unknown verb {shown(name)}; {_nearest(name, names)}'clipnerf' lists all verbs"
    )


def _parser(verb: Verb, schema: type, types: Mapping[str, Any]) -> ArgumentParser:
    # What fields are documented with becomes their help; each configuration is of its own class.
    set_parsing_settings(docstring_parse_attribute_docstrings=True, subclasses_disabled=[Config])
    named = "".join(f" [{key.upper()}]" for key in verb.positionals)
    parser = ArgumentParser(
        prog=f"clipnerf {verb.name}",
        usage=f"clipnerf {verb.name}{named} [--config FILE] [--KEY VALUE ...]",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below.")
    parser.add_argument("--dry-run", action="store_true", help="Print the plan and stop.")
    said = "Show tracebacks of errors, and what is passed over."
    parser.add_argument("--debug", action="store_true", help=said)
    parser.add_class_arguments(schema)
    for action in parser._actions:
        if found := range_of(types.get(action.dest)):
            action.help = f"{action.help} Allowed: {found}."
    return parser


def keys_of(schema: type, prefix: str = "", *, ranges: bool = False) -> dict[str, Any]:
    """Dotted key → type, for a dataclass and the dataclasses inside it; with ranges, or without."""
    hints = typing.get_type_hints(schema, include_extras=ranges)
    known: dict[str, Any] = {}
    for field in fields(schema):
        kind = hints[field.name]
        known[prefix + field.name] = kind
        if is_dataclass(kind) and isinstance(kind, type):
            known.update(keys_of(kind, f"{prefix}{field.name}.", ranges=ranges))
    return known


def _explicit(argv: Sequence[str], known: Mapping[str, Any], verb: Verb) -> list[str]:
    """Every option as ``--key=value``; every key checked, also those inside configuration files.

    Spelt out for the parser: a value without its key (``edit BUNDLE``), ``--seeds 0,1`` for
    ``--seeds [0,1]``, ``--edit A --edit B`` for ``--edit [A,B]``, ``--masks`` for
    ``--masks true``. Files come first, so that the command line wins over them.
    """
    files: list[str] = []
    tokens: list[str] = []
    several: dict[str, list[str]] = {}
    waiting, places = list(argv), list(verb.positionals)
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("-"):
            # One too many is for the parser to refuse.
            tokens.append(f"--{places.pop(0)}={token}" if places else token)
            continue
        key, equals, value = token.removeprefix("--").partition("=")
        key = current_name(key, known)
        kind = known.get(key)
        if not token.startswith("--") or key in _FLAGS:
            tokens.append(token)
            continue
        if key.removesuffix("+") not in known and key != "config":
            raise UsageError(_unknown(key, [*known, "config", *_FLAGS], verb))
        if not equals and waiting and not waiting[0].startswith("--"):
            if kind is not bool or waiting[0].lower() in ("true", "false"):
                equals, value = "=", waiting.pop(0)
        if kind is bool and not equals:
            equals, value = "=", "true"
        if kind == list[str] and equals and not value.startswith("["):
            # "the wheels: black" is one text, and no key with a value
            special = re.search(r"[^\w\s,.'’()/+-]|^['-]", value)
            several.setdefault(key, []).append(json.dumps(value) if special else value)
            continue
        if _is_list(kind) and equals and not value.startswith("["):
            value = f"[{value}]"
        if equals and (key == "config" or is_dataclass(kind)):
            files.append(f"--config={_read_file(key, value, known, verb)}")
            continue
        value = current_value(key, value)
        if kind is not str and str not in typing.get_args(kind):
            _refuse_unsafe(key, value)
        tokens.append(f"--{key}{equals}{value}")
    for key, values in several.items():
        tokens.append(f"--{key}=[{','.join(values)}]")
        _refuse_unsafe(key, tokens[-1].partition("=")[2])
    return files + tokens


def _refuse_unsafe(key: str, value: str) -> None:
    try:
        parse_yaml(value)
    except UsageError as error:
        raise UsageError(f"{key} is {shown(value)}, which {error}") from error


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) in (list, tuple) or any(
        typing.get_origin(option) in (list, tuple) for option in typing.get_args(kind)
    )


def _read_file(key: str, name: str, known: Mapping[str, Any], verb: Verb) -> str:
    """What a file, or YAML between braces, says of ``key``; as YAML of all keys.

    Every key is checked and has its name of today.
    """
    try:
        content = parse_yaml(name) if name.lstrip().startswith("{") else read_yaml(name)
        content = {} if content is None else content
        if not isinstance(content, dict):
            raise UsageError(f"it holds a {type(content).__name__}, not keys and values")
        for part in reversed(key.split(".") if key != "config" else []):
            content = {part: content}
        content = current_values(content, known)
        _check_keys(content, known, verb)
    except UsageError as error:
        raise UsageError(f"--{key} {shown(name)}: {error}") from error
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _check_keys(
    content: Mapping[Any, Any], known: Mapping[str, Any], verb: Verb, prefix: str = ""
) -> None:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if key not in known:
            raise UsageError(_unknown(key, list(known), verb))
        if not is_dataclass(known[key]):
            continue
        if not isinstance(value, Mapping):
            raise UsageError(f"{key} is {shown(value)}; allowed: keys and values below it")
        _check_keys(value, known, verb, f"{key}.")


def _unknown(key: str, known: list[str], verb: Verb) -> str:
    near = _nearest(key, known)
    return f"unknown key {shown(key)}; {near}'clipnerf {verb.name} --help' lists all"


def _nearest(name: str, known: list[str]) -> str:
    name = name[:100]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:
        # The right word on the wrong level: levels for generator.field.levels.
        last = [key.rpartition(".")[2] for key in known]
        same = difflib.get_close_matches(name.rpartition(".")[2], last, n=1, cutoff=0.75)
        near = [known[last.index(same[0])]] if same else []
    return f"did you mean {near[0]!r}? " if near else ""


def _one_line(error: Exception, types: Mapping[str, Any]) -> str:
    text = " ".join(str(error).split())
    wrong = re.match(r'Parser key "([^"]+)": .*(?:Got|Given) value: (.*)$', text)
    if wrong and wrong[1] in types:
        return f"{wrong[1]} is {shown(wrong[2])}; allowed: {words_for(types[wrong[1]])}"
    return text if len(text) <= 300 else f"{text[:300]}…"
