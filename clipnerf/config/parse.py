"""The command line: verbs, ``--config FILE``, dotted overrides, help. jsonargparse lives here only.

    clipnerf pretrain --config configs/chairs.yaml --data.path DIR --generator.field.levels 6

Keys, types, defaults and help come from the verb's dataclass; the command line wins
over files, wherever it names them. Nothing here imports torch, so that help is quick.
"""

import difflib
import importlib
import json
import re
import types
import typing
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from clipnerf.config.renamed import current_name, current_value, current_values
from clipnerf.errors import UsageError


@dataclass(frozen=True)
class Verb:
    """A verb of the command line."""

    name: str
    """One word or two, e.g. ``data check``."""
    config: str
    """Where its dataclass is, ``module:Class``; imported when the verb is used."""
    positionals: tuple[str, ...] = ()
    """Keys that may be given without their name, in this order."""
    resumes: bool = False
    """Whether the same command goes on where an interrupted one stopped."""
    about: str = ""
    """One line for the list of verbs."""


@dataclass(frozen=True)
class Command:
    """What a person asked for."""

    verb: Verb
    config: Any
    """The verb's dataclass, validated."""
    dry_run: bool = False
    """Only print what would be done."""


class _Loader(yaml.SafeLoader):
    """Also takes 1e-4 for a number, which YAML 1.1 does not."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)

_FLAGS = ("dry-run", "debug", "help", "print_config")
VERBS = (
    Verb(
        "demo",
        "clipnerf.config.editing:DemoConfig",
        about="edit the chairs that come along: video and sheet",
    ),
    Verb(
        "data synthesize",
        "clipnerf.config.data:SynthesizeConfig",
        ("category",),
        resumes=True,
        about="draw pictures of a procedural category, with captions and poses",
    ),
    Verb(
        "data check",
        "clipnerf.config.data:CheckConfig",
        ("path",),
        about="say what a folder of pictures holds, and what would spoil training",
    ),
    Verb(
        "pretrain",
        "clipnerf.config.pretrain:PretrainConfig",
        resumes=True,
        about="learn a conditional NeRF from unposed pictures",
    ),
    Verb(
        "train-clip",
        "clipnerf.config.clip:TrainClipConfig",
        resumes=True,
        about="fit a compact CLIP on captioned pictures",
    ),
    Verb(
        "train-mapper",
        "clipnerf.config.mapper:TrainMapperConfig",
        resumes=True,
        about="learn what words do to the codes",
    ),
    Verb(
        "train-encoder",
        "clipnerf.config.inversion:TrainEncoderConfig",
        resumes=True,
        about="learn to see pose and codes in a picture: where inversion starts",
    ),
    Verb(
        "invert",
        "clipnerf.config.inversion:InvertConfig",
        ("bundle", "photo"),
        about="find pose and codes of the object in a photo, to be edited like any other",
    ),
    Verb(
        "train-segmenter",
        "clipnerf.config.segmentation:TrainSegmenterConfig",
        resumes=True,
        about="learn which pixels words speak of (CRIS)",
    ),
    Verb(
        "train-region",
        "clipnerf.config.segmentation:TrainRegionConfig",
        resumes=True,
        about="lift a segmenter's masks to the objects of a bundle: where local edits apply",
    ),
    Verb(
        "segment",
        "clipnerf.config.segmentation:SegmentConfig",
        ("image",),
        about="find the pixels of a picture that a phrase names",
    ),
    Verb(
        "edit",
        "clipnerf.config.editing:EditConfig",
        ("bundle",),
        about="edit objects by words or a picture: a sheet",
    ),
    Verb(
        "orbit",
        "clipnerf.config.editing:OrbitConfig",
        ("bundle",),
        about="film objects, edited or not",
    ),
    Verb(
        "morph",
        "clipnerf.config.editing:MorphConfig",
        ("bundle",),
        about="film objects as they become others, or as edits change them",
    ),
    Verb(
        "export",
        "clipnerf.config.export:ExportConfig",
        ("bundle",),
        about="write objects, edited or not, as meshes: .glb, .obj, .ply, .stl",
    ),
    Verb(
        "study view-consistency",
        "clipnerf.config.evaluation:ViewConsistencyConfig",
        ("bundle",),
        about="measure whether CLIP knows an object again from another side",
    ),
    Verb(
        "evaluate",
        "clipnerf.config.evaluation:EvaluateConfig",
        ("bundle",),
        about="measure all that is promised of a bundle: table, JSON, a page with pictures",
    ),
    Verb("bench", "clipnerf.config.machine:BenchConfig", about="measure speed on this machine"),
    Verb(
        "doctor",
        "clipnerf.config.machine:DoctorConfig",
        about="say what this machine offers and lacks",
    ),
)


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
    schema = _load(verb.config)
    known = _keys(schema)
    parser = _parser(verb, schema)
    tokens = _explicit(rest, known, verb)
    try:
        values = parser.instantiate(parser.parse_args(tokens))
    except (ArgumentError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(_one_line(error, verb)) from error
    config = schema(**{field.name: values[field.name] for field in fields(schema)})
    if hasattr(config, "validate"):
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
    raise UsageError(f"unknown verb {name!r}; {_nearest(name, names)}'clipnerf' lists all verbs")


def _load(place: str) -> type:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _parser(verb: Verb, schema: type) -> ArgumentParser:
    # Without this, what the fields are documented with would not become their help.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
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
    return parser


def _keys(schema: type, prefix: str = "") -> dict[str, Any]:
    """Dotted key → type, for a dataclass and the dataclasses inside it."""
    hints = typing.get_type_hints(schema)
    known: dict[str, Any] = {}
    for field in fields(schema):
        kind = hints[field.name]
        known[prefix + field.name] = kind
        if is_dataclass(kind) and isinstance(kind, type):
            known.update(_keys(kind, f"{prefix}{field.name}."))
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
            several.setdefault(key, []).append(json.dumps(value) if ":" in value else value)
            continue
        if _is_list(kind) and equals and not value.startswith("["):
            value = f"[{value}]"
        if key == "config" and equals:
            value = _read_file(value, known, verb)
        value = current_value(key, value)
        (files if key == "config" else tokens).append(f"--{key}{equals}{value}")
    tokens += [f"--{key}=[{','.join(values)}]" for key, values in several.items()]
    return files + tokens


def _is_list(kind: Any) -> bool:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return any(_is_list(option) for option in typing.get_args(kind))
    return typing.get_origin(kind) in (list, tuple)


def _read_file(name: str, known: Mapping[str, Any], verb: Verb) -> str:
    """What a configuration file says, every key checked and under its name of today, as YAML."""
    try:
        content = yaml.load(Path(name).read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--config {name!r} cannot be read ({reason}); give a YAML file"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--config {name!r} is not YAML ({reason})") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise UsageError(f"--config {name!r} holds a {type(content).__name__}, not keys and values")
    try:
        content = current_values(content, known)
        _check_keys(content, known, verb)
    except UsageError as error:
        raise UsageError(f"--config {name!r}: {error}") from error
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
            raise UsageError(f"{key} is {value!r}; allowed: keys and values below it")
        _check_keys(value, known, verb, f"{key}.")


def _unknown(key: str, known: list[str], verb: Verb) -> str:
    return f"unknown key {key!r}; {_nearest(key, known)}'clipnerf {verb.name} --help' lists all"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:
        # The right word on the wrong level: levels for generator.field.levels.
        last = [key.rpartition(".")[2] for key in known]
        same = difflib.get_close_matches(name.rpartition(".")[2], last, n=1, cutoff=0.75)
        near = [known[last.index(same[0])]] if same else []
    return f"did you mean {near[0]!r}? " if near else ""


def _one_line(error: Exception, verb: Verb) -> str:
    text = " ".join(str(error).split())
    wrong = re.match(r'Parser key "([^"]+)": Expected an? (.+?)\. Got value: (.*)$', text)
    if wrong:
        key, kind, value = wrong.groups()
        allowed = re.sub(r"<class '(.+?)'>", r"\1", kind).replace("typing.", "")
        text = f"{key} is {value!r}; allowed: {allowed}"
    union = r'Parser key "([^"]+)": Does not .* Subtypes: \[(.*?)\] Errors.*: (.*)$'
    either = re.match(union, text)
    if either:  # a type or nothing
        key, kind, value = either.groups()
        kinds = re.sub(r"<class '(.+?)'>", r"\1", kind).replace("typing.", "")
        text = f"{key} is {value!r}; allowed: {kinds.removesuffix(', NoneType')}"
    return f"{text}; see 'clipnerf {verb.name} --help'"
