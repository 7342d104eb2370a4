"""What an evaluation has at hand: files given, files the bundle brings along, and what is missing.

A bundle may hold a folder ``evaluation`` with

    judge.safetensors         a CLIP that did not guide the mappers
    recognizer.safetensors    reads the true attributes of the category
    entangled.safetensors     a generator with conditioning: entangled, trained for as long
    wishes.yaml               prompts, and what each asks for
    evaluation.yaml           category: chairs | cars; neutral: a chair

What is missing is said before anything is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from clipnerf.config.documents import read_yaml
from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.config.paths import bundle_path
from clipnerf.config.ranges import shown
from clipnerf.errors import UsageError
from clipnerf.vision.pretrained import Absence

FOLDER = "evaluation"
LARGEST = 128
"""Pixels of the pictures that are looked at where nobody said how large."""
GUIDE, JUDGE = "guide", "judge"
"""The CLIP that guided the mappers, and one that did not."""
CATEGORIES = {"chairs": "a chair", "cars": "a car"}
"""Procedural categories, and the words that name each and nothing else."""


@dataclass(frozen=True)
class Means:
    """What is at hand; '' where there is none.

    category: draws real pictures where ``data`` is empty. neutral: '' where nobody said.
    """

    bundle: Path
    judge: str
    recognizer: str
    entangled: str
    wishes: str
    data: str
    category: str
    neutral: str
    absent: tuple[Absence, ...]


def find_means(config: EvaluateConfig) -> Means:
    """Looks for everything, given first and then in the bundle.

    Raises:
        UsageError: a file that was given does not exist; a bundle without a generator; an
            evaluation.yaml that cannot be read.
    """
    bundle = bundle_path(config.bundle)
    if not (bundle / "generator.safetensors").is_file():
        raise UsageError(
            f"'{bundle}' holds no generator.safetensors; give a bundle's folder, such as "
            "data/pretrained/chairs"
        )
    said = _said(bundle / FOLDER / "evaluation.yaml")
    category = config.category or said.get("category", "")
    if category and category not in CATEGORIES:
        raise UsageError(
            f"category is {category!r}; allowed: {' or '.join(CATEGORIES)}; for other objects "
            "leave it out and give --data and --neutral"
        )
    neutral = config.neutral or said.get("neutral", "") or CATEGORIES.get(category, "")
    if config.data and not Path(config.data).exists():
        raise UsageError(f"data is {config.data!r}, which does not exist; give a folder or zip")
    found = {
        "judge": _judge(config.judge, bundle),
        "recognizer": _file("recognizer", config.recognizer, bundle, "recognizer.safetensors"),
        "entangled": _file("entangled", config.entangled, bundle, "entangled.safetensors"),
        "wishes": _file("wishes", config.wishes, bundle, "wishes.yaml"),
    }
    at_hand = found | {
        "data": config.data or category,
        "clip": "clip" if (bundle / "clip.safetensors").is_file() else "",
    }
    return Means(
        bundle=bundle,
        data=config.data,
        category=category,
        neutral=neutral,
        absent=tuple(each for each in _ALL if not at_hand[each.name]),
        **found,
    )


def with_size(config: EvaluateConfig, bundle: Path) -> EvaluateConfig:
    """The configuration with the size of pictures that a ``size`` of 0 stands for."""
    if config.size:
        return config
    file, size = bundle / "clip.safetensors", 64
    if file.is_file():
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        size = min(*Clip.load(file).preprocess.size, LARGEST)
    return replace(config, size=size)


_ALL = (
    Absence(
        "clip",
        "every edit, and distances in the guide's features",
        "put clip.safetensors and mappers into the bundle",
    ),
    Absence(
        "wishes",
        "every figure of edits",
        "give --wishes FILE, such as configs/wishes-chairs.yaml",
    ),
    Absence(
        "data",
        "Frechet distances, precision, recall, coverage, shares",
        "give --data DIR of held-out pictures, or --category chairs or cars to draw them",
    ),
    Absence(
        "judge",
        "matching, similarity and distances by a CLIP that did not guide the mappers",
        "give --judge CLIP, such as one of another seed by clipnerf train-clip",
    ),
    Absence(
        "recognizer",
        "whether the named attribute came true and the others stayed, shares",
        "give --recognizer FILE, made by clipnerf train-recognizer",
    ),
    Absence(
        "entangled",
        "disentanglement beside the entangled baseline",
        "give --entangled GENERATOR, made by clipnerf pretrain "
        "--generator.field.conditioning entangled",
    ),
)


def _said(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    content = read_yaml(path) or {}
    known = {"category", "neutral"}
    if not isinstance(content, dict) or not set(content) <= known:
        raise UsageError(
            f"'{path}' holds {shown(content)}; allowed are the keys category and neutral"
        )
    for key, value in content.items():
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"'{path}': {key} is {shown(value)}; it is a text, such as chairs")
    return content


def _judge(given: str, bundle: Path) -> str:
    # A tag of open_clip is no path: what it is, is for Clip.load to find out.
    own = bundle / FOLDER / "judge.safetensors"
    return given or (str(own) if own.is_file() else "")


def _file(key: str, given: str, bundle: Path, name: str) -> str:
    if given and not Path(given).is_file():
        raise UsageError(f"{key} is {given!r}, which is no file; give one, or leave {key} out")
    own = bundle / FOLDER / name
    return given or (str(own) if own.is_file() else "")
