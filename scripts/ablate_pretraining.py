"""What each part of the recipe of stage 1 is worth: short trainings from nothing, each without one.

    clipnerf data synthesize chairs --count 8000 --size 256 --oversampling 1 --out data/chairs256
    clipnerf data synthesize chairs --count 8000 --size 128 --out data/chairs128
    python scripts/ablate_pretraining.py chairs --data data/chairs256 --smooth data/chairs128 \
        --out runs/ablation-chairs

Every training runs alone on one thread, its schedules pressed into --kimg. Kept of each are its
generator at that many pictures, and its generator after as much processor time as the whole recipe
took. The same command goes on where it stopped. Then: scripts/measure_generators.py and
scripts/draw_generators.py, with the files that are printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BATCH = 16

VARIANTS: dict[str, list[str]] = {
    "everything": [],
    "smoother reals": ["--data.path", "SMOOTH", "--data.size", "128"],
    "no feature discriminator": ["--features.weight", "0"],
    "features from the first step": ["--features.start_kimg", "0"],
    "no mirror": ["--generator.field.mirror", "false"],
    "no guess of the camera": ["--loss.pose", "0"],
    "R1 stays": ["--loss.r1_gamma_end", "null"],
    "smoothness stays": ["--loss.smoothness_kimg", "0"],
    "32 x 32 rays throughout": ["--schedule.coarse_kimg", "0"],
    "full pictures from the start": ["--schedule.soft_kimg", "0"],
    "raw densities not drawn back": ["--loss.saturation", "0"],
    "with poses": ["--data.poses", "true"],
}


def main() -> None:
    """Read the arguments, train what is missing, print the generators' files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("category", choices=("chairs", "cars"))
    parser.add_argument("--data", required=True, help="pictures as the preset wants them")
    parser.add_argument("--smooth", help="the same objects at 128 pixels, each a mean of several")
    parser.add_argument("--kimg", type=float, default=16, help="thousand pictures a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, help="these alone")
    parser.add_argument("--out", required=True)
    a = parser.parse_args()
    preset = ROOT / "configs" / f"pretrain-{a.category}.yaml"
    share = a.kimg * 1000 / BATCH / yaml.safe_load(preset.read_text())["steps"]
    base = ["--config", str(preset), "--threads", "1", "--seed", str(a.seed)]
    for group, values in yaml.safe_load(preset.read_text()).items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if key.endswith("_kimg"):
                base += [f"--{group}.{key}", f"{value * share:g}"]
    seconds = None
    for name in VARIANTS:
        if a.only and name not in a.only and name != "everything":
            continue
        if "SMOOTH" in VARIANTS[name] and not a.smooth:
            continue
        extra = [a.smooth if word == "SMOOTH" else word for word in VARIANTS[name]]
        folder = Path(a.out) / name.replace(" ", "-")
        # what is given later wins
        spent = trained([*base, "--data.path", a.data, *extra], folder, a.kimg, seconds)
        seconds = seconds or spent
        print(f"{name}: {spent:.0f} s of processor time; {folder}/kimg, {folder}/time", flush=True)


def trained(options: list[str], folder: Path, kimg: float, seconds: float | None) -> float:
    """Train until ``kimg`` and until ``seconds`` of processor time are past, and keep both states;
    returns the processor time that ``kimg`` took."""
    note = folder / "seconds.txt"
    if note.is_file():
        return float(note.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    steps = round(kimg * 1000 / BATCH)
    every = max(steps // 32, 1)
    at_kimg = run(options, folder / "run", steps, every)
    keep(folder / "run", folder / "kimg")
    if seconds is None:
        keep(folder / "run", folder / "time")
    else:
        # slower: again, to the step that it had reached by then; faster: on, to the step it reaches
        where = folder / ("shorter" if at_kimg > seconds else "run")
        run(options, where, max(round(steps * seconds / at_kimg / every), 1) * every, every)
        keep(where, folder / "time")
    note.write_text(f"{at_kimg}")
    return at_kimg


def run(options: list[str], out: Path, steps: int, every: int) -> float:
    """One call of ``clipnerf pretrain``; returns its processor time, seconds."""
    numbers = ["--steps", str(steps), "--checkpoint_every", str(every), "--preview_every"]
    numbers += [str(10**6), "--log_every", str(every), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "clipnerf", "pretrain", *options, *numbers]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def keep(run: Path, to: Path) -> None:
    """A copy of the generator's file, for the measurement."""
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "generator.safetensors", to / "generator.safetensors")


if __name__ == "__main__":
    started = time.time()
    main()
    print(f"took {(time.time() - started) / 60:.0f} minutes", file=sys.stderr)
