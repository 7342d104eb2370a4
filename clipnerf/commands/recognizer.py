"""python -m clipnerf.commands.recognizer: train a recogniser, measure a generator's variety."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from clipnerf.config.evaluation import RecognizerConfig, TrainRecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import ClipNerfError
from clipnerf.evaluation.generation.feature_figures import check_judge, load_judge
from clipnerf.evaluation.generation.variety import Variety
from clipnerf.evaluation.metrics.disentanglement import disentanglement
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import atomic_write
from clipnerf.vision.recognizer import Recognizer
from clipnerf.vision.recognizer_train import train_recognizer


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (2 misuse, 1 failure)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ClipNerfError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure_variety(a: argparse.Namespace) -> None:
    """Prints the table; writes everything to --out."""
    generator = Generator.load(a.generator).to(a.device)
    clip = None
    if a.clip:
        from clipnerf.clip.model import Clip  # open_clip takes seconds to import

        clip = Clip.load(a.clip).to(a.device)
    recognizer = Recognizer.load(a.recognizer).to(a.device) if a.recognizer else None
    judge = None
    if a.features:
        check_judge(a.generator)
        judge = load_judge(a.device)
    data = PictureDataset(a.data, a.size)
    more = {"ray_samples": a.ray_samples, "judge": judge}
    variety = Variety(data, clip, recognizer, a.samples, a.size, **more)
    report = variety.measure(generator)
    print("\n".join(report.lines()))
    codes = disentanglement(generator, size=a.size)
    print(
        f"silhouette IoU under appearance {codes.silhouette_iou:.4f} "
        f"(under shape {codes.shape_iou:.3f}); palette distance under shape "
        f"{codes.palette_distance:.4f} (under appearance {codes.appearance_distance:.3f})"
    )
    if a.out:
        content = report.as_json() | {"disentanglement": vars(codes)}
        with atomic_write(Path(a.out)) as temporary:
            temporary.write_text(json.dumps(content, indent=1))
        print(a.out)


def make_recognizer(a: argparse.Namespace) -> None:
    """Trains on --data, prints accuracy on --test, writes --out."""
    data = PictureDataset(a.data, a.size)
    config = TrainRecognizerConfig(steps=a.steps, seed=a.seed)
    recognizer = train_recognizer(data, config, skip=a.skip, width=a.width, device=a.device)
    extra = {"trained_on": data.fingerprint}
    if a.test:
        test = PictureDataset(a.test, a.size)
        accuracy = recognizer.accuracy(test)
        extra |= {"accuracy": json.dumps(accuracy), "tested_on": test.fingerprint}
        print(f"{len(test)} held-out pictures of {a.test}, {a.size} px, share read rightly")
        print("\n".join(f"{key:<12} {100 * share:5.1f} %" for key, share in accuracy.items()))
    recognizer.save(a.out, extra)
    print(a.out)


def _parser() -> argparse.ArgumentParser:
    show = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m clipnerf.commands.recognizer", description=__doc__
    )
    verbs = parser.add_subparsers(required=True)

    variety = verbs.add_parser(
        "variety", help="how much of the data a generator covers", formatter_class=show
    )
    variety.add_argument("--generator", required=True, help="generator.safetensors")
    variety.add_argument("--data", required=True, help="folder or zip of real pictures")
    variety.add_argument("--clip", default="", help="CLIP for FD-CLIP, precision, recall ...")
    variety.add_argument("--recognizer", default="", help="recogniser for the shares")
    variety.add_argument(
        "--features", action="store_true", help="distances by EfficientNet-Lite2 as well"
    )
    variety.add_argument("--samples", type=int, default=1000, help="generated pictures")
    variety.add_argument("--ray-samples", type=int, help="samples a ray; as in training if not set")
    variety.add_argument("--out", default="", help="JSON file")
    variety.set_defaults(run=measure_variety)

    recognizer = verbs.add_parser(
        "recognizer", help="train a recogniser of attributes", formatter_class=show
    )
    recognizer.add_argument("--data", required=True, help="pictures with attributes")
    recognizer.add_argument("--test", default="", help="held-out pictures with attributes")
    recognizer.add_argument("--out", required=True, help="recogniser to write, .safetensors")
    recognizer.add_argument("--skip", nargs="*", default=[], help="attributes to leave out")
    recognizer.add_argument("--steps", type=int, default=TrainRecognizerConfig.steps, help="steps")
    recognizer.add_argument("--seed", type=int, default=0, help="seed of the training")
    recognizer.add_argument("--width", type=int, default=RecognizerConfig.width, help="channels")
    recognizer.set_defaults(run=make_recognizer)

    for each in (variety, recognizer):
        each.add_argument("--size", type=int, default=64, help="picture size, pixels")
        each.add_argument("--device", default="cpu", help="cpu or cuda")
    return parser


if __name__ == "__main__":
    sys.exit(main())
