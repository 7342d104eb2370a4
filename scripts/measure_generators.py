"""Several generators side by side, beside the floor of real pictures: one table, and JSON.

    python scripts/measure_generators.py data/pretrained/chairs mine=runs/pretrain/0001 \
        --category chairs --recognizer data/pretrained/chairs/evaluation/recognizer.safetensors

docs/evaluation.md tells what every figure means. 200 samples (--samples 200) are enough to choose
among generators that differ much; figures of different counts or sizes do not compare. --given-back
DATA adds what a generator draws for codes that its encoder read off real pictures: where that looks
otherwise than the rest, kinds that it gives back are not among those that it draws.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.evaluation.generation.feature_figures import features_absence, load_judge
from clipnerf.evaluation.generation.side_by_side import (
    RealsFor,
    SideBySide,
    drawn_pair,
    named_files,
    read_pair,
    table,
)
from clipnerf.evaluation.generation.variety import FIRST_SEED
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.picture_encoder import FILE_NAME, PictureEncoder
from clipnerf.io.atomic import atomic_write
from clipnerf.training.progress import Progress
from clipnerf.vision.recognizer import Recognizer

ENOUGH = 2000
"""Real pictures by which the place of codes is told."""


def main() -> int:
    """Read the arguments, measure, print; the exit code is 2 for misuse."""
    try:
        measure(arguments())
    except ClipNerfError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(a: argparse.Namespace) -> None:
    """Prints the protocol and the table; writes everything to --out."""
    started = time.perf_counter()
    files = named_files(a.generators)
    # a file that cannot be read is found before the work
    fields = dict.fromkeys(Generator.load(f).config.camera.fov_deg for f in files.values())
    recognizer = Recognizer.load(a.recognizer).to(a.device) if a.recognizer else None
    missing = features_absence()
    network = load_judge(a.device) if missing is None else None
    drawn = 2 * a.samples * len(fields) if a.category else 0
    generated = a.samples * len(files) * (2 if a.given_back else 1)
    about_codes: list[str] = []
    with Progress(drawn + generated, desc="measure") as progress:
        comparison = SideBySide(real_pictures(a, progress.update), network, recognizer)
        columns = [comparison.floor(fov) for fov in fields]
        if len(fields) > 1:
            columns = [
                dataclasses.replace(each, name=f"other reals {fov:g}°")
                for each, fov in zip(columns, fields, strict=True)
            ]
        for name, file in files.items():
            rest = (file, a.samples, a.size, a.ray_samples, a.device, progress.update)
            columns.append(comparison.measure(name, *rest))
            if a.given_back:
                codes, said = codes_of_reals(file, PictureDataset(a.given_back, a.size), a.samples)
                columns.append(comparison.measure(f"{name}, given back", *rest, codes=codes))
                about_codes.append(f"{name}: {said}")
    protocol = {
        "real": columns[0].about["source"],
        "generated": f"{a.samples} pictures, seeds {FIRST_SEED} to {FIRST_SEED + a.samples - 1}, "
        "cameras of each generator's prior",
        "size": f"{a.size} px",
        "samples a ray": ", ".join(
            f"{c.name} {c.about['ray_samples']}" for c in columns if "ray_samples" in c.about
        ),
        "features": f"{network.source} ({network.hash})" if network else "",
        "recognizer": f"{a.recognizer} ({recognizer.hash})" if recognizer else "",
    }
    print("\n".join(f"{key + ':':<15}{text}" for key, text in protocol.items() if text))
    print("\n".join(["", *table(columns), "", *about_codes]))
    if missing is not None:
        print(missing.line())
    seconds = time.perf_counter() - started
    print(f"took {seconds:.0f} seconds")
    if a.out:
        content = {
            "protocol": protocol,
            "columns": [dataclasses.asdict(each) for each in columns],
            "absent": missing.line() if missing else None,
            "seconds": round(seconds, 1),
        }
        with atomic_write(Path(a.out)) as temporary:
            temporary.write_text(json.dumps(content, indent=1))
        print(a.out)


def codes_of_reals(file: Path, data: PictureDataset, samples: int) -> tuple[Codes, str]:
    """Codes that the encoder beside a generator reads off pictures, and where they are."""
    generator = Generator.load(file)
    encoder = PictureEncoder(generator.config.field.code_dim, generator.config.camera)
    encoder.take_up(file.parent / FILE_NAME, generator.hash)
    count = min(len(data), ENOUGH)
    if count < samples:
        raise UsageError(f"--given-back has {count} pictures; at least --samples ({samples})")
    with torch.no_grad():
        reading = encoder(data.batch(range(count)))
    mean, covariance = reading.aggregate()
    noise = torch.randn(reading.mean.shape, generator=torch.Generator().manual_seed(0))
    said = (
        f"codes of {count} reals: mean {float(mean.norm()):.1f} from 0, variances up to "
        f"{float(torch.linalg.eigvalsh(covariance)[-1]):.1f}, "
        f"{float(reading.divergence()):.0f} nats a picture"
    )
    return reading.codes(noise)[:samples], said


def real_pictures(a: argparse.Namespace, on_progress) -> RealsFor:
    """Drawn ones of the category, or those of the folder."""
    if a.category:
        seeds = (a.data_seed, a.floor_seed)
        return drawn_pair(a.category, a.samples, a.size, seeds, on_progress)
    return read_pair(PictureDataset(a.data, a.size), a.samples)


def arguments() -> argparse.Namespace:
    """From the command line."""
    show = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=show)
    parser.add_argument("generators", nargs="+", help="bundles or generator files; NAME=PATH")
    reals = parser.add_mutually_exclusive_group(required=True)
    reals.add_argument("--category", default="", help="draw the real pictures: chairs or cars")
    reals.add_argument("--data", default="", help="folder or zip of held-out pictures on white")
    parser.add_argument("--given-back", default="", help="pictures whose codes are drawn, too")
    parser.add_argument("--data-seed", type=int, default=1, help="of the drawn real pictures")
    parser.add_argument("--floor-seed", type=int, default=2, help="of the other ones")
    parser.add_argument("--samples", type=int, default=1000, help="pictures a side")
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--ray-samples", type=int, help="samples a ray; by default the generator's")
    parser.add_argument("--recognizer", default="", help="reads the shares of values")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", default="", help="JSON file")
    found = parser.parse_args()
    if found.samples < 8:
        parser.error(f"--samples is {found.samples}; at least 8")
    if found.data_seed == found.floor_seed:
        parser.error("--floor-seed is --data-seed; a floor needs other pictures")
    return found


if __name__ == "__main__":
    sys.exit(main())
