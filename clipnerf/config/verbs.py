"""The verbs of the command line: one table of what each is configured by and what it runs.

Places are named as ``module:name`` and imported when a verb is used, so that help needs no torch.
"""

from __future__ import annotations

import importlib
import shlex
import string
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verb:
    """A verb of the command line."""

    name: str
    """One word or two, e.g. ``data check``."""
    config: str
    """Its dataclass, below ``clipnerf.config``."""
    run: str
    """The function that does it, below ``clipnerf``: configuration to paths or a report."""
    about: str
    """One line for the list of verbs."""
    positionals: tuple[str, ...] = ()
    """Keys that may be given without their name, in this order."""
    plan: str = ""
    """The function that says what would be done, for ``--dry-run``; by default all keys."""
    makes_file: bool = False
    """Whether ``out`` is a file; a folder otherwise."""
    resumes: bool = False
    """Whether the same command goes on where an interrupted one stopped."""
    next: str = ""
    """What to do with what was made: {key} stands for a key's value, {made} for the last path."""

    def advice(self, config: Any, made: str) -> str:
        """:attr:`next` for what was asked for; values can be typed into a shell as they stand."""
        return _Quoting().vformat(self.next, (), {**vars(config), "made": made})

    @property
    def schema(self) -> Any:
        """The dataclass of its keys."""
        return load(f"config.{self.config}")


VERBS = (
    Verb(
        "demo",
        "editing:DemoConfig",
        "commands.demo:demo",
        "edit the chairs that come along: video and sheet",
        next="clipnerf view {bundle} opens them in the browser; clipnerf edit {bundle} --text "
        "WORDS edits",
    ),
    Verb(
        "data synthesize",
        "data:SynthesizeConfig",
        "commands.data:synthesize_data",
        "draw pictures of a procedural category, with captions and poses",
        ("category",),
        resumes=True,
        next="clipnerf data check {made}",
    ),
    Verb(
        "data check",
        "data:CheckConfig",
        "commands.data:check_data",
        "say what a folder of pictures holds, and what would spoil training",
        ("path",),
        next="clipnerf pretrain --data.path {path} --out runs/pretrain",
    ),
    Verb(
        "pretrain",
        "pretrain:PretrainConfig",
        "commands.pretrain:pretrain",
        "learn a conditional NeRF from unposed pictures",
        plan="gan.train:plan",
        resumes=True,
        next="clipnerf orbit {out} films what it learned; clipnerf train-mapper --generator "
        "{out} --clip CLIP teaches it words",
    ),
    Verb(
        "train-clip",
        "clip:TrainClipConfig",
        "clip.train:train_clip",
        "fit a compact CLIP on captioned pictures",
        plan="clip.train:plan",
        resumes=True,
        next="clipnerf train-mapper --generator GENERATOR --clip {out}/clip.safetensors",
    ),
    Verb(
        "train-mapper",
        "mapper:TrainMapperConfig",
        "mappers.train:train_mapper",
        "learn what words do to the codes",
        plan="mappers.train:plan",
        resumes=True,
        next="put {made} into a folder with generator.safetensors and clip.safetensors: "
        "clipnerf edit FOLDER --text WORDS",
    ),
    Verb(
        "train-encoder",
        "inversion:TrainEncoderConfig",
        "inversion.encoder_train:train_encoder",
        "learn to see pose and codes in a picture: where inversion starts",
        plan="inversion.encoder_train:plan",
        resumes=True,
        next="put encoder.safetensors of {out} into the bundle: clipnerf invert BUNDLE PHOTO",
    ),
    Verb(
        "invert",
        "inversion:InvertConfig",
        "commands.invert:invert",
        "find pose and codes of the object in a photo, to be edited like any other",
        ("bundle", "photo"),
        next="clipnerf orbit {bundle} --codes {out}/codes.safetensors --text WORDS",
    ),
    Verb(
        "train-segmenter",
        "segmentation:TrainSegmenterConfig",
        "segmentation.train:train_segmenter",
        "learn which pixels words speak of (CRIS)",
        plan="segmentation.train:plan",
        resumes=True,
        next="clipnerf train-region --segmenter {out} --config configs/train-region-chairs.yaml",
    ),
    Verb(
        "train-region",
        "segmentation:TrainRegionConfig",
        "segmentation.distill:train_region",
        "lift a segmenter's masks to the objects of a bundle: where local edits apply",
        plan="segmentation.distill:plan",
        resumes=True,
        next="put region.safetensors of {out} into the bundle, with its segmenter: clipnerf "
        "edit BUNDLE --region PART --text WORDS",
    ),
    Verb(
        "segment",
        "segmentation:SegmentConfig",
        "commands.segment:segment",
        "find the pixels of a picture that a phrase names",
        ("image",),
        next="clipnerf edit {bundle} --region {text[0]} --text red changes that part of objects",
        makes_file=True,
    ),
    Verb(
        "edit",
        "editing:EditConfig",
        "commands.edit:edit",
        "edit objects by words or a picture: a sheet",
        ("bundle",),
        next="the same options film it (clipnerf orbit) or make meshes of it (clipnerf export)",
        makes_file=True,
    ),
    Verb(
        "orbit",
        "editing:OrbitConfig",
        "commands.orbit:orbit",
        "film objects, edited or not",
        ("bundle",),
        next="look at {made}; the same options make meshes of it: clipnerf export",
        makes_file=True,
    ),
    Verb(
        "morph",
        "editing:MorphConfig",
        "commands.morph:morph",
        "film objects as they become others, or as edits change them",
        ("bundle",),
        next="look at {made}; clipnerf view {bundle} blends by hand",
        makes_file=True,
    ),
    Verb(
        "export",
        "export:ExportConfig",
        "commands.export:export",
        "write objects, edited or not, as meshes: .glb, .obj, .ply, .stl",
        ("bundle",),
        next="open {made} in Blender or another program",
        makes_file=True,
    ),
    Verb(
        "view",
        "view:ViewConfig",
        "commands.view:view",
        "look at a bundle in the browser: turn, edit, compare, save",
        ("bundle",),
    ),
    Verb(
        "study view-consistency",
        "evaluation:ViewConsistencyConfig",
        "evaluation.views.run:study_view_consistency",
        "measure whether CLIP knows an object again from another side",
        ("bundle",),
        next="docs/view_consistency.md says what the figures mean",
    ),
    Verb(
        "study variety",
        "evaluation:VarietyConfig",
        "commands.variety:study_variety",
        "measure how much of the data a generator covers",
        next="clipnerf evaluate BUNDLE measures edits as well",
        makes_file=True,
    ),
    Verb(
        "train-recognizer",
        "evaluation:TrainRecognizerConfig",
        "commands.recognizer:train",
        "learn to read attributes off pictures: what edits are judged by",
        next="clipnerf evaluate BUNDLE --recognizer {out}",
        makes_file=True,
    ),
    Verb(
        "evaluate",
        "evaluation:EvaluateConfig",
        "commands.evaluate:evaluate",
        "measure all that is promised of a bundle: table, JSON, a page with pictures",
        ("bundle",),
        plan="commands.evaluate:plan",
        next="look at {made}; docs/evaluation.md says what the figures mean",
    ),
    Verb(
        "bench",
        "machine:BenchConfig",
        "commands.bench:bench",
        "measure speed on this machine",
        next="docs/performance.md says what other machines do",
        makes_file=True,
    ),
    Verb(
        "doctor",
        "machine:DoctorConfig",
        "commands.doctor:doctor",
        "say what this machine offers and lacks",
        next="clipnerf demo",
    ),
)


class _Quoting(string.Formatter):
    """Values as a shell takes them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return shlex.quote(str(value))


def load(place: str) -> Any:
    """What ``module:name`` below ``clipnerf`` stands for."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"clipnerf.{module}"), name)
