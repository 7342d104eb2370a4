"""What is looked at, and who looks: the objects before the edits, real pictures, and the judges."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clipnerf.data.dataset import PictureDataset
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.evaluation.edits.attributes import Floor, find_floor, is_color
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.clip_scores import Words, embed_words
from clipnerf.evaluation.edits.readings import ObjectReadings, read_objects
from clipnerf.evaluation.generation.feature_figures import FeatureMeasure, FeatureReport
from clipnerf.evaluation.generation.variety import Variety, VarietyReport
from clipnerf.evaluation.metrics.distributions import frechet_distance
from clipnerf.evaluation.metrics.matching import PairEncoder
from clipnerf.evaluation.resources import GUIDE, Means
from clipnerf.evaluation.views_of_objects import OnProgress, Shots, shoot, shoot_all
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.vision import pretrained
from clipnerf.vision.feature_network import FeatureNetwork
from clipnerf.vision.features import image_features
from clipnerf.vision.recognizer import Recognizer

REAL_SEED = 1
"""Of the real pictures that are drawn: seed 0 is what models are trained on."""
OTHER_SEED = 2
"""Of the other real pictures, whose figures beside the first are the floor."""
RELIABLE = 0.75
"""Least accuracy on real pictures of an attribute that is counted: what cannot be seen on every
object, such as the color of armrests, cannot be read."""
ACCURACY_PICTURES = 1000

Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Eyes:
    """What looks at the pictures. words: of each CLIP, the embedded wishes (all of them)."""

    clips: Mapping[str, PairEncoder]
    words: Mapping[str, Words]
    recognizer: Recognizer | None
    lpips: Distance | None = None
    judge: FeatureNetwork | None = None


@dataclass(frozen=True)
class Subjects:
    """The objects before the edits: as codes, as pictures, and as they were read.

    colors: attributes of appearance.
    accuracy: share of real pictures on which the recognizer reads each attribute rightly; empty
        where none say what they show.
    ignored: attributes that are not counted: not every object has them, or the recognizer reads
        them rightly on less than RELIABLE of the real pictures.
    floor: how far the recognizer's word can be trusted.
    """

    generator: Generator
    codes: Codes
    size: int
    before: Shots
    features: Mapping[str, Float[Tensor, "objects embed"]]
    readings: ObjectReadings | None
    colors: tuple[str, ...]
    accuracy: dict[str, float]
    ignored: tuple[str, ...]
    floor: Floor | None
    _opacities: dict[int, list[Tensor]] = field(default_factory=dict)

    def opacities(
        self, edits: int, on_progress: OnProgress
    ) -> Sequence[Float[Tensor, "objects views 1 size size"]]:
        """Of the unedited objects, drawn as often in one call as there are ``edits``.

        What edits that are drawn together leave alone is compared with these, one by one: a matrix
        product rounds by its size and by the row, and on many processors equal objects differ in
        the last bits where they are not in the same place of an equal batch.
        """
        if edits == 1:
            return [self.before.opacity]
        if edits not in self._opacities:
            every = shoot_all(
                self.generator, [self.codes] * edits, size=self.size, on_progress=on_progress
            )
            self._opacities[edits] = [shots.opacity for shots in every]
        return self._opacities[edits]


@dataclass(frozen=True)
class Reals:
    """Real and generated pictures, and their features by each encoder.

    edited: how many of the generated ones are edited as well.
    fid: by Inception, where it is present. features: by EfficientNet-Lite2, likewise.
    """

    variety: Variety
    reports: Mapping[str, VarietyReport]
    pictures: tuple[Float[Tensor, "reals 3 size size"], Float[Tensor, "samples 3 size size"]]
    real: Mapping[str, Float[Tensor, "reals embed"]]
    generated: Mapping[str, Float[Tensor, "samples embed"]]
    edited: int
    fid: float | None
    features: FeatureReport | None = None


@contextmanager
def drawn_pictures(
    category: str, count: int, size: int, seed: int, regions: bool = False
) -> Iterator[Path]:
    """A folder of pictures of a procedural category, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield synthesize(category, count, size, seed, Path(folder) / "drawn", regions=regions)


@contextmanager
def real_pictures(
    means: Means, count: int, size: int
) -> Iterator[tuple[PictureDataset, str] | None]:
    """The real pictures and where they come from in words; drawn ones are gone afterwards."""
    if means.data:
        data = PictureDataset(means.data, size)
        yield data, f"{data.path} ({data.fingerprint})"
    elif means.category:
        with drawn_pictures(means.category, count, size, REAL_SEED) as drawn:
            data = PictureDataset(drawn, size)
            yield data, f"{count} {means.category} drawn with seed {REAL_SEED}"
    else:
        yield None


def other_reals(means: Means, variety: Variety, count: int, size: int) -> Tensor | None:
    """Real pictures that are not among those compared with; None where there are too few."""
    if means.data:
        return variety.others()
    with drawn_pictures(means.category, count, size, OTHER_SEED) as drawn:
        return PictureDataset(drawn, size).batch(range(count))


def open_eyes(
    clips: Mapping[str, PairEncoder],
    wishes: Sequence[Wish],
    neutral: str,
    recognizer: Recognizer | None,
    device: torch.device,
    judge: FeatureNetwork | None = None,
) -> Eyes:
    """Everything that looks, with the words of the wishes; LPIPS where it is present."""
    words = {eye: embed_words(clip, wishes, neutral) for eye, clip in clips.items() if wishes}
    if pretrained.lpips_absence() is not None:
        return Eyes(clips, words, recognizer, judge=judge)
    network = pretrained.load_lpips(device)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return pretrained.lpips_distances(network, first, second, device)

    return Eyes(clips, words, recognizer, distance, judge)


def compare_with_reals(
    generator: Generator,
    data: PictureDataset,
    eyes: Eyes,
    samples: int,
    size: int,
    on_progress: OnProgress,
    means: Means | None = None,
) -> Reals | None:
    """Variety by every eye, from the same pictures; None where there is no eye at all.

    Args:
        means: where other reals come from, for the floor of EfficientNet-Lite2; none where None.
    """
    clips, recognizer = eyes.clips, eyes.recognizer
    measures = {
        eye: Variety(data, clip, recognizer if eye == GUIDE else None, samples, size)
        for eye, clip in clips.items()
    }
    if GUIDE not in measures and recognizer is not None:
        measures["recognizer"] = Variety(data, None, recognizer, samples, size)
    if not measures and eyes.judge is None:
        return None
    judged = Variety(data, None, None, samples, size, judge=eyes.judge) if not measures else None
    first = judged or next(iter(measures.values()))
    real, made = first.real(), first.generated(generator, on_progress=on_progress)
    fid = None
    if pretrained.inception_absence() is None:
        seen = [pretrained.inception_features(some, generator.device) for some in (real, made)]
        fid = frechet_distance(*seen)
    features = None
    if eyes.judge is not None:
        others = None if means is None else other_reals(means, first, samples, size)
        features = FeatureMeasure(eyes.judge, real, others).measure(made)
    return Reals(
        variety=first,
        reports={eye: each.measure(generator, made) for eye, each in measures.items()},
        pictures=(real, made),
        real={eye: image_features(clip, real) for eye, clip in clips.items()},
        generated={eye: image_features(clip, made) for eye, clip in clips.items()},
        edited=samples // 2,
        fid=fid,
        features=features,
    )


def look_at_subjects(
    generator: Generator,
    seeds: Sequence[int],
    eyes: Eyes,
    wishes: Sequence[Wish],
    data: PictureDataset | None,
    size: int,
    on_progress: OnProgress,
) -> Subjects:
    """The objects of some seeds, unedited."""
    codes = Codes.from_seeds(seeds, generator.config.field.code_dim).to(generator.device)
    before = shoot(generator, codes, size=size, on_progress=on_progress)
    features = {eye: image_features(clip, before.rgb[:, 0]) for eye, clip in eyes.clips.items()}
    if eyes.recognizer is None:
        return Subjects(generator, codes, size, before, features, None, (), {}, (), None)
    values = eyes.recognizer.values
    colors = tuple(key for key in values if is_color(key, wishes))
    described = [r.attributes for r in data.records if r.attributes] if data is not None else []
    accuracy: dict[str, float] = {}
    if data is not None and described:
        accuracy = eyes.recognizer.accuracy(data, range(min(len(data), ACCURACY_PICTURES)))
    ignored = tuple(
        key
        for key in values
        if any(key not in each for each in described) or accuracy.get(key, 1.0) < RELIABLE
    )
    readings = read_objects(eyes.recognizer, before.rgb)
    floor = find_floor(
        generator,
        eyes.recognizer,
        codes,
        readings,
        colors,
        ignored,
        size=size,
        on_progress=on_progress,
    )
    return Subjects(
        generator, codes, size, before, features, readings, colors, accuracy, ignored, floor
    )
