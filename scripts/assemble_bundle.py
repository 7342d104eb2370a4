"""Bring the parts of a bundle together: generator turned to its front, discriminator, CLIP.

    python scripts/assemble_bundle.py --run runs/chairs --clip runs/clip/clip.safetensors \
        --poses data/chairs-test --out data/pretrained/chairs

Mappers are trained on the bundle afterwards: their files name its generator.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import one_line_failures
from clipnerf.gan.discriminator import OPPONENT, Discriminator
from clipnerf.gan.files import HEADS
from clipnerf.gan.front import find_front
from clipnerf.gan.generator import Generator
from clipnerf.io.atomic import atomic_write, writable_dir
from clipnerf.io.weights import load_weights, save_weights


def main() -> None:
    """Read the arguments, write the bundle's first three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="run folder of clipnerf pretrain")
    parser.add_argument("--clip", default="", help="compact CLIP; the bundle has none without")
    parser.add_argument("--poses", default="", help="pictures with azimuth_deg: finds the front")
    parser.add_argument("--out", required=True, help="bundle folder")
    arguments = parser.parse_args()
    run = Path(arguments.run)

    generator = Generator.load(run / "generator.safetensors")
    discriminator = Discriminator.load(run / "discriminator.safetensors", generator.hash)
    if arguments.poses:
        front, errors = find_front(generator, PictureDataset(arguments.poses, 32))
        generator.config.front_azimuth_deg = front
        print(f"front at azimuth {front:g}; mean squared differences by turn:")
        print(" ".join(f"{error:.4f}" for error in errors))
    # which network it was trained against, and for how long, goes along
    said = load_weights(run / "generator.safetensors", "generator").metadata
    kept = {key: said[key] for key in ("feature_network", "kimg") if key in said}
    out = writable_dir(arguments.out)
    generator.save(out / "generator.safetensors", kept)

    halves = {name: t.to(torch.float16) for name, t in discriminator.state_dict().items()}
    save_weights(
        out / "discriminator.safetensors",
        halves,
        kind="discriminator",
        config=dataclasses.asdict(discriminator.config),
        extra={OPPONENT: generator.hash},
    )
    # the feature discriminator's heads, for a training that goes on from the bundle
    copies = {run / HEADS: HEADS} if (run / HEADS).is_file() else {}
    if arguments.clip:
        copies[Path(arguments.clip)] = "clip.safetensors"
    for source, name in copies.items():
        with atomic_write(out / name) as temporary:
            shutil.copyfile(source, temporary)
    total = sum(file.stat().st_size for file in out.glob("*.safetensors"))
    print(f"{out}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    with one_line_failures():
        main()
