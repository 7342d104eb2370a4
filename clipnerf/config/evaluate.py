"""Configuration of ``clipnerf evaluate``.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clipnerf.config.verbs import CHAIRS
from clipnerf.errors import UsageError

QUICK_OBJECTS, QUICK_SAMPLES = 8, 200
"""At most so many objects and pictures with --quick."""


def _check(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure all that is promised of a bundle: a table, JSON, and one HTML page with pictures.

    What is not given is looked for in the bundle's folder ``evaluation``; what is found nowhere is
    left out, and the report says so. docs/evaluation.md tells what every figure means.
    """

    bundle: str = CHAIRS
    """Folder of a bundle: generator, CLIP and mappers."""
    out: str = "runs/evaluate"
    """Folder for evaluation.json and evaluation.html."""
    data: str = ""
    """Held-out real pictures, a folder or zip; by default those of the category, drawn with seed 1
    where the category is a procedural one."""
    judge: str = ""
    """A CLIP that did not guide the mappers: a compact model's file, an open_clip ARCH:tag,
    ARCH:/path/to/weights, or a folder; by default evaluation/judge.safetensors of the bundle."""
    recognizer: str = ""
    """Recogniser of the true attributes; by default evaluation/recognizer.safetensors."""
    entangled: str = ""
    """Generator of the entangled baseline; by default evaluation/entangled.safetensors."""
    wishes: str = ""
    """YAML list of prompts with what they ask for; by default evaluation/wishes.yaml."""
    category: str = ""
    """The procedural category, chairs or cars; by default as evaluation/evaluation.yaml says."""
    neutral: str = ""
    """The words that name the category and nothing else, e.g. "a chair"; directions start there."""
    objects: int = 32
    """Objects that every prompt edits, one a seed."""
    samples: int = 1000
    """Generated (and real) pictures for variety; half as many for the distances after edits."""
    first_seed: int = 1000
    """Seed of the first object; the others follow."""
    size: int = 64
    """Width and height of the pictures that are looked at, pixels."""
    quick: bool = False
    """At most 8 objects and 200 pictures: to see the report, not to quote it."""
    inversion: bool = False
    """Measure the inversion of photos, by all methods, in the place of edits; --objects pictures
    of each kind, about six minutes each of one core."""
    segmentation: bool = False
    """Measure the segmenter, the region field and edits of parts, in the place of edits; a category
    whose parts are known; about half an hour of one core."""
    methods: list[str] = field(default_factory=list)
    """Of these methods only, e.g. "[ours, paper]"; by default all, with the ablations."""
    generated: bool = True
    """With --inversion: invert generated pictures as well. Once is enough, however many sets of
    real ones are inverted."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""

    @property
    def objects_used(self) -> int:
        """Objects, after --quick."""
        return min(self.objects, QUICK_OBJECTS) if self.quick else self.objects

    @property
    def samples_used(self) -> int:
        """Pictures for variety, after --quick."""
        return min(self.samples, QUICK_SAMPLES) if self.quick else self.samples

    def validate(self) -> None:
        """UsageError for a value out of range."""
        _check(
            not (self.inversion and self.segmentation), "segmentation", True,
            "one of --inversion and --segmentation",
        )  # fmt: skip
        _check(bool(self.out.strip()), "out", self.out, "the folder to write to")
        _check(2 <= self.objects <= 1024, "objects", self.objects, "2 to 1024")
        _check(16 <= self.samples <= 100_000, "samples", self.samples, "16 to 100000")
        _check(0 <= self.first_seed < 2**31, "first_seed", self.first_seed, "0 to 2147483647")
        _check(8 <= self.size <= 1024, "size", self.size, "8 to 1024 pixels")
        _check(self.device in (None, "cpu", "cuda"), "device", self.device, "cpu or cuda")
