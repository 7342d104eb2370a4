"""The steps of scripts/gpu_check.sh, each in a process of its own, so that none can take another
with it. Called by the script; ``gpu_check.py STEP OUT`` repeats one step.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
import time
import typing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "data/pretrained/chairs"
# Step: seconds after which it is given up; how long they take on a GPU has not been measured.
STEPS = {"machine": 40, "tests": 230, "bench": 170, "training": 150, "profile": 60}
# Seconds for all of them: under nine minutes, whatever happens.
TOGETHER = 520
PICTURE = 128
"""Pixels of the pictures of the short training."""
TESTS = (
    "tests/fields/test_backends_on_gpu.py",
    "tests/gan/test_trainer_on_gpu.py",
    "tests/gan/test_graphs.py",
    "tests/gan/test_backends_agree.py",
    "tests/gan/test_sharpness.py",
    "tests/gan/test_feature_discriminator.py",
    "tests/fields/test_triton.py",
    "tests/fields/test_triton_compiles.py",
)


class Skip(Exception):
    """What a step needs is not here; says what."""


def main() -> int:
    """Runs one step, or all of them and a closing line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.step == "all":
        return run_all(options)
    try:
        globals()[options.step](options)
    except Skip as reason:
        (options.out / f"{options.step}.skipped").write_text(f"{reason}\n")
    return 0


def run_all(options: argparse.Namespace) -> int:
    """Every step, its output in OUT/STEP.log; the last line counts."""
    if not options.cpu and not has_cuda():
        print("gpu_check: torch sees no CUDA device; --cpu tries the script itself", flush=True)
        return 2
    passed = failed = skipped = 0
    flags = [f"--{name}" for name in ("cpu", "quick") if getattr(options, name)]
    end = time.monotonic() + TOGETHER
    for step, own in STEPS.items():
        limit = max(min(own, round(end - time.monotonic())), 1)
        marker = options.out / f"{step}.skipped"
        marker.unlink(missing_ok=True)
        log = options.out / f"{step}.log"
        start = time.monotonic()
        command = [sys.executable, __file__, step, str(options.out), *flags]
        with log.open("w") as sink:
            try:
                code = subprocess.run(command, stdout=sink, stderr=sink, timeout=limit).returncode
                failure = f"exit code {code}" if code else ""
            except subprocess.TimeoutExpired:
                failure = f"not done after {limit} s"
        took = f"{time.monotonic() - start:.0f} s"
        if failure:
            failed += 1
            print(f"FAIL {step} ({took}): {failure}; see {log}")
            for line in log.read_text().splitlines()[-12:]:
                print(f"    {line}")
        elif marker.exists():
            skipped += 1
            print(f"SKIP {step} ({took}): {marker.read_text().strip()}")
        else:
            passed += 1
            print(f"PASS {step} ({took})")
        for line in log.read_text().splitlines():
            if line.startswith("measuring: no "):
                skipped += 1
                print(f"SKIP {line.removeprefix('measuring: no ')}")
        sys.stdout.flush()
    print(f"gpu_check: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def has_cuda() -> bool:
    """Whether torch sees a GPU; asked in a process of its own, which may crash."""
    ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", ask]).returncode == 0


def machine(options: argparse.Namespace) -> None:
    """Versions, the device, and which of the optional packages are there."""
    import torch

    from clipnerf.fields.hash_grid import choose
    from clipnerf.fields.layout import GridLayout
    from clipnerf.io.provenance import git_commit, versions

    optional = ("tinycudann", "open_clip", "imageio_ffmpeg", "pytest", "beartype", "jsonargparse")
    found: dict[str, Any] = {
        "versions": versions() | {"cuda": torch.version.cuda},
        "git_commit": git_commit(),
        "missing": [name for name in optional if importlib.util.find_spec(name) is None],
    }
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", 0)
        properties = torch.cuda.get_device_properties(0)
        found["device"] = {
            "name": properties.name,
            "capability": list(torch.cuda.get_device_capability()),
            "memory_gb": properties.total_memory / 1e9,
            "l2_mb": properties.L2_cache_size / 2**20,
            "processors": properties.multi_processor_count,
        }
        found["triton"] = importlib.import_module("triton").__version__
    found["hash grid"] = str(choose("auto", device, GridLayout()))
    (options.out / "machine.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def tests(options: argparse.Namespace) -> None:
    """The tests that a GPU is needed for, and those of the kernels, which then run on it."""
    if importlib.util.find_spec("pytest") is None:
        raise Skip("pytest is not installed")
    chosen = TESTS[-1:] if options.cpu else TESTS
    run = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *chosen]
    code = subprocess.run(run, cwd=ROOT).returncode
    if code:
        sys.exit(code)


def bench(options: argparse.Namespace) -> None:
    """``clipnerf bench`` without its command line, which needs jsonargparse."""
    import torch

    from clipnerf.commands.bench.report import machine_of, measure, table
    from clipnerf.config.machine import BenchConfig

    device = torch.device("cpu" if options.cpu else "cuda")
    seconds = 0.1 if options.cpu else 1.0 if options.quick else 4.0
    asked = BenchConfig(bundle=str(BUNDLE), seconds=seconds, sweep=not options.quick)
    figures = measure(asked, preset(), device)
    described = machine_of(device)
    content = {"machine": described, "figures": [dataclasses.asdict(f) for f in figures]}
    (options.out / "bench.json").write_text(json.dumps(content, indent=2) + "\n")
    text = "\n".join(table(figures, described))
    (options.out / "bench.txt").write_text(text + "\n")
    print(text)


def profile(options: argparse.Namespace) -> None:
    """Which kernels a training step spends its time in."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    from clipnerf.commands.bench.training import large
    from clipnerf.gan.trainer import Trainer

    device = torch.device("cpu" if options.cpu else "cuda")
    config = preset() if options.cpu else large(preset())
    trainer = Trainer(config, device)
    trainer.jump(config.steps // 2)
    real = torch.rand(config.batch, 3, config.data.size, config.data.size, device=device)
    trainer.train_step(real)
    kind = ProfilerActivity.CPU if options.cpu else ProfilerActivity.CUDA
    with record(activities=[kind]) as recorded:
        for _ in range(1 if options.cpu else 4):
            trainer.train_step(real)
        if device.type == "cuda":
            torch.cuda.synchronize()
    column = "self_cpu_time_total" if options.cpu else "self_device_time_total"
    text = recorded.key_averages().table(sort_by=column, row_limit=40, max_name_column_width=90)
    (options.out / "profile.txt").write_text(text)
    print(text)


def training(options: argparse.Namespace) -> None:
    """A generator learns from the pictures of the bundle's, and has to show something like them."""
    import torch

    from clipnerf.gan.train import pretrain
    from clipnerf.io.sheet import to_uint8

    device = torch.device("cpu" if options.cpu else "cuda")
    count, steps = (48, 3) if options.cpu else (2000, 400 if options.quick else 1200)
    pictures, run = options.out / "pictures", options.out / "run"
    for old in (pictures, run):
        shutil.rmtree(old, ignore_errors=True)
    draw_pictures(pictures, count, device)
    config = preset(
        data={"path": str(pictures), "size": PICTURE},
        schedule={"coarse_kimg": 2.0},
        features={"start_kimg": 4.0},
        out=str(run),
        steps=steps,
        log_every=max(steps // 20, 1),
        preview_every=max(steps // 3, 1),
        checkpoint_every=max(steps // 2, 1),
        device=device.type,
        **({"batch": 4} if options.cpu else {}),
    )
    start = time.monotonic()
    pretrain(config)
    took = time.monotonic() - start
    print(
        f"{steps} steps, {steps * config.batch / took:.1f} images/s with previews and checkpoints"
    )
    for preview in sorted((run / "previews").glob("*.png")):
        shutil.copy(preview, options.out)
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    last = lines[-1]
    print(json.dumps(last))
    assert 0.01 < last["opacity"] < 0.8, f"mean opacity is {last['opacity']}"
    film(run / "generator.safetensors", options.out / "orbit.png", device, to_uint8)
    if not options.cpu:
        # too large to bring home; previews, figures and the frames are what counts
        shutil.rmtree(pictures)
        shutil.rmtree(run / "checkpoints")
    assert torch.isfinite(torch.tensor(last["loss_g"]))


def draw_pictures(folder: Path, count: int, device: Any) -> None:
    """A data set without the packages that draw one: what the bundle's generator shows."""
    import torch
    from PIL import Image

    from clipnerf.gan.codes import Codes
    from clipnerf.gan.generator import Generator
    from clipnerf.io.sheet import to_uint8
    from clipnerf.training.seeds import torch_generator

    folder.mkdir(parents=True)
    generator = Generator.load(BUNDLE / "generator.safetensors").to(device)
    noise = torch_generator(0, 0, 0, "pictures")
    for start in range(0, count, 100):
        batch = min(100, count - start)
        codes = Codes.from_seeds(range(10_000 + start, 10_000 + start + batch))
        with torch.no_grad():
            cameras = generator.sample_cameras(batch, PICTURE, noise)
            view = generator.render(codes, cameras, samples=16)
        for number, picture in enumerate(to_uint8(view.rgb)):
            Image.fromarray(picture).save(folder / f"{start + number:05d}.png", compress_level=1)


def film(weights: Path, path: Path, device: Any, to_uint8: Any) -> None:
    """Eight frames of an orbit of four objects, as one picture: no video encoder is needed."""
    import numpy as np
    from PIL import Image

    from clipnerf.editor import Editor
    from clipnerf.gan.generator import Generator

    editor = Editor(Generator.load(weights).to(device))
    frames = list(editor.frames(editor.sample([0, 1, 2, 3]), frames=8, size=64))
    Image.fromarray(np.concatenate(frames, axis=0)).save(path)


def preset(**changes: Any) -> Any:
    """The chairs' preset with some keys changed."""
    import yaml

    from clipnerf.config.pretrain import PretrainConfig

    values = yaml.safe_load((ROOT / "configs/pretrain-chairs.yaml").read_text())
    # untrained features cost what trained ones do, and have to be had from nowhere
    values["features"]["weights"] = "random"
    if importlib.util.find_spec("timm") is None:
        print("measuring: no feature discriminator: timm is not installed")
        values["features"]["weight"] = 0.0
    for key, value in changes.items():
        if isinstance(value, dict):
            values[key] = {**values.get(key, {}), **value}
        else:
            values[key] = value
    return as_dataclass(PretrainConfig, values)


def as_dataclass(kind: Any, values: dict[str, Any]) -> Any:
    """Nested mappings as nested dataclasses; whole numbers serve for others."""
    hints = typing.get_type_hints(kind)

    def converted(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return as_dataclass(hints[key], value)
        return float(value) if hints[key] is float else value

    return kind(**{key: converted(key, value) for key, value in values.items()})


if __name__ == "__main__":
    sys.exit(main())
