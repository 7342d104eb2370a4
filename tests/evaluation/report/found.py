"""A whole evaluation with figures that are known, for tests of tables and pages."""

import torch

from clipnerf.evaluation.edits.attributes import Floor, Raw, WishResult, group_means
from clipnerf.evaluation.edits.clip_scores import ClipFigures
from clipnerf.evaluation.edits.fid_after_edit import DistanceAfterEdits
from clipnerf.evaluation.edits.measure import KindFigures, KindPictures, Routing
from clipnerf.evaluation.edits.readings import Stayed
from clipnerf.evaluation.edits.strength import STRENGTHS, Steadiness
from clipnerf.evaluation.generation.variety import VarietyReport
from clipnerf.evaluation.metrics.disentanglement import Disentanglement
from clipnerf.evaluation.metrics.matching import Matching
from clipnerf.evaluation.report.gallery import Gallery, picks
from clipnerf.evaluation.report.results import Evaluation, Network
from clipnerf.vision.pretrained import Absence

NAN = float("nan")


def result(prompt: str, group: str, after: float, kept: float, chances=(0.9, 0.2)) -> WishResult:
    return WishResult(
        prompt=prompt,
        group=group,
        before=0.25,
        after=after,
        changed=NAN,
        kept=Stayed(kept, 0.5, {"width": kept}),
        kept_shape=kept,
        kept_color=NAN,
        raw=Raw(0.25, after, NAN, kept),
        chances=tuple(chances),
        has=tuple(chance > 0.5 for chance in chances),
        read=("color red", "color blue"),
    )


def kind(good: bool) -> KindFigures:
    """All targets met, or all missed."""
    results = (
        result("a red chair", "appearance", 1.0 if good else 0.5, 0.96 if good else 0.94),
        result("a wide chair", "shape", 0.86 if good else 0.84, 0.91 if good else 0.89),
    )
    steady = Steadiness(0.96 if good else 0.94, 1.0)
    words = ClipFigures(
        matching={
            group: Matching(0.9 if good else 0.89, {"p": 0.9}, 5)
            for group in ("appearance", "shape")
        },
        assigned={"appearance": 0.9 if good else 0.89, "shape": 0.9 if good else 0.89},
        similarity={"p": 0.3},
        unedited={"p": 0.1},
        direction={"p": 0.2},
    )
    ratio = 1.1 if good else 1.2
    distance = DistanceAfterEdits(0.1, ratio / 10, ratio, 8, 16)
    groups = group_means(results)
    return KindFigures(
        results=results,
        groups=groups,
        words={"guide": words, "judge": words},
        strength={eye: {"a red chair": steady} for eye in ("guide", "judge")},
        distances={e: {"appearance": distance, "shape": distance} for e in ("guide", "judge")},
        silhouette_iou=1.0 if good else 0.999,
        opacity_equal=good,
        palette_distance=0.05,
        routing=Routing(2, groups, groups, {"a red chair": (1.0, 0.9)}),
        seconds={64: 0.2},
        left_out={"a <b>bold</b> chair": "no mapper"},
    )


def evaluation(same_judge: bool = False, **more) -> Evaluation:
    """A bundle with a good and a bad kind of mapper."""
    networks = {
        "guide": Network("clip", "0" * 16),
        "judge": Network("other", ("0" if same_judge else "1") * 16),
        "generator": Network("generator", "2" * 16),
    }
    protocol = {"samples": 16, "reals": 16, "size": 8, "ray_samples": 4, "first_seed": 1}
    shares = {"color": {"red": (0.5, 0.1), "blue": (0.5, 0.9)}}
    report = VarietyReport(0.1, 0.2, 0.9, 0.8, 1.0, 0.7, shares, protocol)
    values = {
        "bundle": "a <b>bundle</b>",
        "category": "chairs",
        "networks": networks,
        "protocol": {"edits": "2 prompts & <more>"},
        "variety": {"guide": report, "judge": report},
        "fid": None,
        "disentanglement": Disentanglement(1.0, 0.5, 0.02, 0.3, 32),
        "entangled": Disentanglement(0.5, 0.4, 0.2, 0.3, 32),
        "views": None,
        "accuracy": {"width": 0.8},
        "floor": Floor(Stayed(0.98, 0.6, {}), Stayed(0.97, 0.6, {})),
        "kinds": {"paper": kind(False), "universal": kind(True)},
        "absent": (Absence("LPIPS", "this <i>", "that"),),
        "provenance": {
            "command": "clipnerf evaluate <x>",
            "config": {},
            "versions": {"torch": "2"},
            "commit": "abc",
            "device": "cpu",
            "seconds": 1.0,
        },
    }
    return Evaluation(**(values | more))


def gallery(found: Evaluation, size: int = 16, seed: int = 0) -> Gallery:
    """Pictures of noise: nothing is harder to make small."""
    noise = torch.Generator().manual_seed(seed)

    def pictures(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, 3, size, size, generator=noise)

    prompts = ("a red chair", "a wide chair")
    return Gallery(
        real=pictures(24),
        generated=pictures(24),
        seeds=(7, 8),
        before=pictures(2),
        kinds={
            name: KindPictures(
                {prompt: pictures(2) for prompt in prompts},
                {prompt: pictures(len(STRENGTHS)) for prompt in prompts},
            )
            for name in found.kinds
        },
        swaps={"this bundle": pictures(6, 6)},
        picks={name: picks(figures) for name, figures in found.kinds.items()},
    )
