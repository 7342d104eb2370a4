"""How the figures came about, in words: what each of them is meaningless without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipnerf.config.evaluation import EvaluateConfig
from clipnerf.evaluation.edits.baseline import ACCURACY_PICTURES, RELIABLE, Subjects
from clipnerf.evaluation.edits.benchmark import Wish
from clipnerf.evaluation.edits.measure import ROUTED, SWEPT
from clipnerf.evaluation.edits.readings import CONFIDENT
from clipnerf.evaluation.edits.strength import STRENGTHS
from clipnerf.evaluation.generation.variety import FIRST_SEED
from clipnerf.evaluation.report.results import Network
from clipnerf.evaluation.resources import GUIDE, JUDGE, Means
from clipnerf.evaluation.views_of_objects import OTHER_VIEWS, VIEWS
from clipnerf.gan.generator import Generator


def protocol(
    config: EvaluateConfig,
    means: Means,
    networks: Mapping[str, Network],
    generator: Generator,
    source: str,
    wishes: Sequence[Wish],
    subjects: Subjects,
) -> dict[str, str]:
    """One line a subject.

    Args:
        source: where the real pictures come from; '' where there are none.
    """
    size, samples, objects = config.size, config.samples_used, config.objects_used
    last = config.first_seed + objects - 1
    said = {"quick": "few objects and pictures: not to be quoted"} if config.quick else {}
    said["pictures"] = (
        f"{size} px, {generator.config.samples} samples a ray, 256 levels; not one was chosen"
    )
    for name, network in networks.items():
        said[name] = f"{network.name} ({network.hash})"
    if JUDGE in networks and GUIDE in networks and networks[JUDGE].hash == networks[GUIDE].hash:
        said[JUDGE] += "; THE SAME WEIGHTS AS THE GUIDE: no independent judge"
    if source:
        said["real"] = source
        said["variety"] = (
            f"{samples} generated pictures, seeds from {FIRST_SEED}, cameras of the prior; after "
            f"edits the first {samples // 2} of them, each with a random prompt (seed 0)"
        )
    if wishes and GUIDE in networks:
        said["edits"] = (
            f"{len(wishes)} prompts of {means.wishes} on {objects} objects, seeds "
            f"{config.first_seed} to {last}, strengths as the wishes say; CLIP sees "
            f"{_view(VIEWS[0])}"
        )
        said["neutral"] = means.neutral or "unknown; the mean of all prompts stands in"
        said["strengths"] = (
            f"{STRENGTHS[0]:g} to {STRENGTHS[-1]:g} by 0.5 on the first {min(SWEPT, objects)} "
            f"objects; on the first {min(ROUTED, objects)} the editor's own"
        )
    if subjects.readings is not None:
        said["reading"] = (
            f"every object from {len(VIEWS)} views ({', '.join(map(_view, VIEWS))}), "
            f"log-probabilities averaged; others count where read with {CONFIDENT:g} or more "
            f"before; floor from {', '.join(map(_view, OTHER_VIEWS))}"
        )
        if subjects.ignored:
            said["not counted"] = (
                f"{', '.join(subjects.ignored)}: not on every object, or read rightly on less than "
                f"{RELIABLE:g} of the real pictures"
            )
        if subjects.accuracy:
            shares = [f"{key} {100 * share:.1f}" for key, share in subjects.accuracy.items()]
            said["accuracy"] = (
                f"of the recognizer on at most {ACCURACY_PICTURES} of the real pictures, %: "
                f"{', '.join(shares)}"
            )
    return said


def _view(angles: tuple[float | int, float | int]) -> str:
    return f"{angles[0]:g}°/{angles[1]:g}°"
