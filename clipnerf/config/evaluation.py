"""Configuration of what measures: evaluate, study view-consistency, and the recognizer.

No torch here: `--help` and `--dry-run` are to be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from clipnerf.config.paths import CHAIRS
from clipnerf.config.ranges import (
    Batch,
    Config,
    Count,
    Device,
    LearningRate,
    Pixels,
    Range,
    RaySamples,
    Rule,
    Seed,
    Text,
)

QUICK_OBJECTS, QUICK_SAMPLES = 8, 200
"""At most so many objects and pictures with --quick."""


@dataclass(frozen=True)
class EvaluateConfig(Config):
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
    """Recognizer of the true attributes; by default evaluation/recognizer.safetensors."""
    entangled: str = ""
    """Generator of the entangled baseline; by default evaluation/entangled.safetensors."""
    wishes: str = ""
    """YAML list of prompts with what they ask for; by default evaluation/wishes.yaml."""
    category: str = ""
    """The procedural category, chairs or cars; by default as evaluation/evaluation.yaml says."""
    neutral: Text = ""
    """The words that name the category and nothing else, e.g. "a chair"; directions start there."""
    objects: Annotated[int, Range(2, 1024)] = 32
    """Objects that every prompt edits, one a seed."""
    samples: Annotated[int, Range(16, 100_000)] = 1000
    """Generated (and real) pictures for variety; half as many for the distances after edits."""
    first_seed: Annotated[int, Range(0, 2**31 - 1)] = 1000
    """Seed of the first object; the others follow."""
    size: Annotated[int, Range(8, 1024, note=" pixels", or_zero=True)] = 0
    """Width and height of the pictures that are looked at, pixels; 0 is what the bundle's CLIP
    reads, at most 128, and 64 without one."""
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
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    @property
    def objects_used(self) -> int:
        """Objects, after --quick."""
        return min(self.objects, QUICK_OBJECTS) if self.quick else self.objects

    @property
    def samples_used(self) -> int:
        """Pictures for variety, after --quick."""
        return min(self.samples, QUICK_SAMPLES) if self.quick else self.samples

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        both = self.inversion and self.segmentation
        yield not both, "segmentation", "one of --inversion and --segmentation"
        yield bool(self.out.strip()), "out", "the folder to write to"


@dataclass(frozen=True)
class ViewConsistencyConfig(Config):
    """Whether CLIP sees one object in its views: the paper's motivating study."""

    bundle: str = CHAIRS
    """Folder of a bundle: its generator draws the pictures, its CLIP looks at them."""
    data: str = ""
    """Folder or zip of pictures to take instead; each needs object_id, azimuth_deg and
    elevation_deg in metadata.jsonl."""
    clip: str = ""
    """CLIP: a compact model's file, an open_clip ARCH:tag, ARCH:/path/to/weights, or a folder; by
    default the bundle's."""
    objects: Annotated[int, Range(2, 4096, or_zero=True)] = 0
    """Objects; 0 takes 32 of a generator, all of a folder. A folder's are drawn at random."""
    views: Annotated[int, Range(2, 4096, or_zero=True)] = 0
    """Views of each object; 0 takes 24 of a generator, all of a folder. A folder's are drawn at
    random, the same for all its objects as far as it has them."""
    out: str = "out/view-consistency"
    """Folder for the figures (JSON) and the plot (PNG)."""
    size: Annotated[int, Range(8, 2048, note=" pixels", or_zero=True)] = 0
    """Width and height of a picture, pixels; 0 is what the CLIP reads, rendered at most 128."""
    same_view_deg: Annotated[float, Range(0, 30, note=" degrees")] = 1.0
    """Two pictures are of the same view if their directions differ by at most so many degrees."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """The first object's seed; also the seed of what is drawn from a folder, and of the
    bootstrap."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.out.strip()), "out", "the folder to write to"


@dataclass(frozen=True)
class RecognizerConfig(Config):
    """What a recognizer reads, and its size; travels with its weights."""

    attributes: dict[str, list[str]] = field(default_factory=dict)
    """Attribute to the values it can have, as in metadata.jsonl; the order is the network's."""
    size: Annotated[int, Range(16, 1024, step=16)] = 64
    """Width and height it looks at, pixels; other pictures are resized. A multiple of 16."""
    width: Annotated[int, Range(4, 1024)] = 28
    """Channels of the first layer; the last ones have three times as many."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        needed = (
            "some; a recognizer needs pictures with attributes in metadata.jsonl, such as those "
        )
        yield bool(self.attributes), "attributes", f"{needed}of: clipnerf data synthesize chairs"


@dataclass(frozen=True)
class VarietyConfig(Config):
    """How much of the data a generator covers: distances, shares of values, separation of codes."""

    generator: str = f"{CHAIRS}/generator.safetensors"
    """The generator's file."""
    data: str = ""
    """Folder or zip of real pictures."""
    clip: str = ""
    """CLIP for FD-CLIP, precision, recall, density and coverage; as --clip of view-consistency."""
    recognizer: str = ""
    """Recognizer for the shares of values."""
    features: bool = False
    """Distances by EfficientNet-Lite2 as well."""
    samples: Count = 1000
    """Generated pictures."""
    ray_samples: RaySamples | None = None
    """Samples a ray; by default as in training."""
    size: Pixels = 64
    """Width and height of the pictures, pixels."""
    out: str = "out/variety.json"
    """JSON file to write."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""

    def rules(self) -> Iterator[Rule]:
        """See Config."""
        yield bool(self.data.strip()), "data", "a folder or zip of real pictures"


@dataclass(frozen=True)
class TrainRecognizerConfig(Config):
    """Learn to read attributes off pictures; evaluation asks it whether an edit came true."""

    data: str = ""
    """Folder or zip of pictures with attributes in metadata.jsonl."""
    test: str = ""
    """Held-out pictures with attributes: how many are read rightly is printed, and kept with it."""
    out: str = "out/recognizer.safetensors"
    """The recognizer's file."""
    skip: list[str] = field(default_factory=list)
    """Attributes to leave out, such as the color of armrests that most chairs lack."""
    size: Annotated[int, Range(16, 1024, step=16)] = RecognizerConfig.size
    """Width and height of the pictures it looks at, pixels; a multiple of 16."""
    width: Annotated[int, Range(4, 1024)] = RecognizerConfig.width
    """Channels of the first layer."""
    steps: Count = 1700
    """Steps of one batch; 1,700 of 128 are 18 times 12,000 pictures."""
    batch: Batch = 128
    """Pictures a step."""
    lr: LearningRate = 3e-3
    """Largest learning rate of AdamW; it rises for a tenth of the steps and falls to zero."""
    weight_decay: Annotated[float, Range(0, below=10)] = 0.02
    """AdamW's weight decay."""
    seed: Seed = 0
    """Seed of the first weights, the order and the augmentation."""
    device: Device = "auto"
    """Where to compute; auto: cuda where there is one."""
