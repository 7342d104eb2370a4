"""Damaged files of each kind that is read: refused in a line, or they hold what they held."""

import contextlib
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

from clipnerf.clip.model import Clip
from clipnerf.clip.prompts import load_library
from clipnerf.clip.zero_shot import load_questions
from clipnerf.config.parse import parse
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.referring import ReferringDataset
from clipnerf.errors import UsageError
from clipnerf.evaluation.edits.benchmark import load_wishes
from clipnerf.evaluation.resources import _said as load_said
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.result import load_codes
from clipnerf.io.camera_path import read_camera_path
from clipnerf.io.weights import SUMS, listed_files, load_weights, save_weights, weights_hash
from clipnerf.mappers.library import embed_library
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import Universal
from clipnerf.segmentation.region_file import load_region
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.training import manifest
from clipnerf.vision.recognizer import Recognizer
from tests.fuzz.damage import as_json, damage, damage_text, mangle
from tests.fuzz.watch import command, read
from tests.fuzz.world import World
from tests.training import test_loop

Case = Callable[[World, Path, random.Random], tuple[str, list[str]]]
"""Given the world, an empty folder and what draws: what was done, and the faults."""

_READERS: dict[str, tuple[str, Callable[[World, Path], Any]]] = {
    "generator": ("bundle/generator", lambda w, p: Generator.load(p)),
    "discriminator": ("bundle/discriminator", lambda w, p: Discriminator.load(p)),
    "clip": ("bundle/clip", lambda w, p: Clip.load(p)),
    "mapper": ("bundle/mapper_shape", lambda w, p: Mapper.load(p)),
    "universal mapper": ("bundle/mapper_universal", lambda w, p: Universal.load(p)),
    "encoder": ("bundle/encoder", lambda w, p: Encoder.load(p)),
    "segmenter": ("bundle/segmenter", lambda w, p: Segmenter.load(p, w.clip)),
    "region": ("bundle/region", lambda w, p: _region(w, p)),
    "recognizer": ("recognizer", lambda w, p: Recognizer.load(p)),
    "codes": ("codes", lambda w, p: load_codes(p)),
    "feature discriminator": ("features", lambda w, p: w.heads.take_up(p, w.generator.hash)),
    "picture encoder": (
        "autoencoder",
        lambda w, p: w.picture_encoder.take_up(p, w.generator.hash),
    ),
}


def _region(world: World, path: Path) -> Any:
    own = world.segmenter_hash
    return load_region(path, generator_hash=world.generator.hash, segmenter_hash=own)


def weights(name: str) -> Case:
    """Weights: bytes that are others, and files that were written with something else in them."""
    place, reader = _READERS[name]

    def case(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
        whole = world.folder / f"{place}.safetensors"
        path = folder / whole.name
        if draw.random() < 0.5:
            about, raw = damage(whole.read_bytes(), draw, world.kinds)
            path.write_bytes(raw)
            found, faults = read(lambda: reader(world, path))
            if found is not None and not _same(whole, path):
                faults.append("another content is loaded")
            return about, faults
        about = _write_otherwise(whole, path, draw)
        return about, read(lambda: reader(world, path))[1]

    return case


def _same(whole: Path, path: Path) -> bool:
    """Whether a file that was loaded holds what it held."""
    kind = _metadata(whole)["kind"]
    first, again = load_weights(whole, kind), load_weights(path, kind)
    told = (weights_hash(first.tensors), first.config, first.metadata)
    return told == (weights_hash(again.tensors), again.config, again.metadata)


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(str(path), framework="pt") as file:
        return dict(file.metadata())


def _write_otherwise(whole: Path, path: Path, draw: random.Random) -> str:
    """A file that is whole, but for what it holds: by our own writer, or by somebody's."""
    metadata = _metadata(whole)
    found = load_weights(whole, metadata["kind"])
    tensors, config = dict(found.tensors), found.config
    extra = {k: v for k, v in found.metadata.items() if k not in _RESERVED}
    about = ""
    what = draw.choice(("config", "config", "tensor", "extra", "metadata"))
    if what == "config":
        about, config = mangle(config, draw)
    elif what == "tensor":
        about = _change_tensor(tensors, draw)
    elif what == "extra" and extra:
        key = draw.choice(sorted(extra))
        extra[key] = draw.choice(("", "null", "[" * 3000, "0" * 16, "{}", "9" * 5000))
        about = f"{key} is {extra[key][:20]}"
    else:
        key = draw.choice(sorted(metadata))
        metadata[key] = draw.choice(("", "null", "[1]", "NaN", "99", "-1", "[" * 3000, "{}", "1e5"))
        save_file(tensors, path, metadata)
        return f"metadata: {key} is {metadata[key][:20]}"
    if isinstance(config, dict) and all(_finite(tensor) for tensor in tensors.values()):
        save_weights(path, tensors, kind=metadata["kind"], config=config, extra=extra)
    else:
        save_file(tensors, path, {**metadata, "config": json.dumps(config)})
    return f"{what}: {about}"


_RESERVED = ("format_version", "project_version", "git_commit", "kind", "config", "digest")


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _change_tensor(tensors: dict[str, torch.Tensor], draw: random.Random) -> str:
    name = draw.choice(sorted(tensors))
    tensor = tensors[name]
    kind = draw.choice(("without", "more", "shape", "dtype", "rank", "nan", "empty", "wide"))
    if kind == "without":
        del tensors[name]
    elif kind == "more":
        tensors[draw.choice(("more", "", f"{name}.0"))] = torch.zeros(2)
    elif kind == "shape":
        tensors[name] = tensor.reshape(-1)[:-1].clone()
    elif kind == "wide":
        tensors[name] = torch.cat([tensor.reshape(-1)] * 3)
    elif kind == "dtype":
        types = (torch.int64, torch.float64, torch.bool, torch.uint8, torch.bfloat16)
        tensors[name] = tensor.to(draw.choice(types))
    elif kind == "rank":
        tensors[name] = tensor[None].clone() if draw.random() < 0.5 else tensor.sum()
    elif kind == "nan":
        tensors[name] = torch.full(tensor.shape, draw.choice((float("nan"), float("inf"))))
    else:
        tensors[name] = torch.zeros(0)
    return f"{name} {kind}"


def run_file(name: str) -> Case:
    """A file of a run folder: the same command resumes to the same end, or refuses."""

    def case(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
        run = folder / "run"
        shutil.copytree(world.folder / "run", run)
        config = test_loop.Config(str(run))
        text = (run / "config.yaml").read_text().replace(str(world.folder / "run"), str(run))
        (run / "config.yaml").write_text(_with_digest(text))
        expected = test_loop.outcome(config)
        about = _spoil(run / name, draw, world)
        with contextlib.redirect_stderr(io.StringIO()):
            found, faults = read(lambda: test_loop.train(config))
        if found is not None:
            if name == "stats.jsonl":  # the lines themselves are what is lost
                shutil.copy(world.folder / "run/stats.jsonl", run)
            if test_loop.outcome(config) != expected:
                faults.append("resumed to another end")
        left = [p.name for p in folder.rglob("*.tmp*")]
        return about, faults + [f"left behind: {left}"] * bool(left)

    return case


def _with_digest(text: str) -> str:
    rest = text.partition("\n")[2]
    return f"{manifest._DIGEST}{manifest._sha256(rest)}\n{rest}"


def _spoil(path: Path, draw: random.Random, world: World) -> str:
    if draw.random() < 0.08:
        path.unlink()
        if draw.random() < 0.5:
            path.mkdir()
            return "a folder"
        return "missing"
    text = path.suffix != ".pt" and draw.random() < 0.5
    if text:
        about, raw = damage_text(path.read_text(), draw)
    else:
        about, raw = damage(path.read_bytes(), draw, world.kinds)
    path.write_bytes(raw)
    return about


def text_file(place: str, reader: Callable[[World, Path], Any]) -> Case:
    """A file that people write: YAML, JSON, or a line each; mangled, too, where it can be read."""

    def case(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
        whole = world.folder / place
        root = whole.parent if whole.suffix in (".json", ".jsonl") else whole
        path = folder / root.name
        shutil.copytree(root, path) if root.is_dir() else shutil.copy(root, path)
        file = path / whole.name if root.is_dir() else path
        if draw.random() < 0.5:
            about = _mangle_file(file, draw)
        else:
            about = _spoil(file, draw, world)
        return about, read(lambda: reader(world, path))[1]

    return case


def _mangle_file(file: Path, draw: random.Random) -> str:
    text = file.read_text()
    if file.suffix == ".yaml":
        about, value = mangle(yaml.safe_load(text), draw)
        file.write_text(yaml.safe_dump(value), encoding="utf-8")
    elif file.suffix == ".json":
        about, value = mangle(json.loads(text), draw)
        file.write_text(as_json(value))
    else:
        lines = text.splitlines()
        at = draw.randrange(len(lines))
        about, value = mangle(json.loads(lines[at]), draw)
        lines[at] = as_json(value)
        file.write_text("\n".join(lines))
    return about


def archive(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """A zip of pictures, damaged."""
    path = folder / "pictures.zip"
    about, raw = damage((world.folder / "pictures.zip").read_bytes(), draw, world.kinds)
    path.write_bytes(raw)
    said = command(["data", "check", str(path)])
    return about, [*said.faults, *read(lambda: PictureDataset(path, 16))[1]]


def digests(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """The list of a bundle's digests, beside a file of the first format, which has none of its own:
    what is loaded is what was listed, or nothing vouches for it."""
    whole = world.bundle / "generator.safetensors"
    metadata = {**_metadata(whole), "format_version": "1"}
    del metadata["digest"]
    path = folder / whole.name
    save_file(load_weights(whole, "generator").tensors, path, metadata)
    sums = folder / SUMS
    sums.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    about = _spoil(sums, draw, world)
    raw = bytearray(path.read_bytes())
    raw[-draw.randrange(1, 1000)] ^= 1 << draw.randrange(8)
    spoilt = draw.random() < 0.5
    if spoilt:
        path.write_bytes(raw)
    found, faults = read(lambda: Generator.load(path))
    try:
        vouched = path.name in listed_files(folder)
    except UsageError:
        vouched = True
    if found is not None and spoilt and vouched:
        faults.append("a flipped bit is loaded")
    return f"{about}, bit flipped: {spoilt}", faults


def drawn(world: World, folder: Path, draw: random.Random) -> tuple[str, list[str]]:
    """What `data synthesize` wrote down of itself, when the same command comes again."""
    out = folder / "drawn"
    shutil.copytree(world.folder / "drawn", out)
    about = _spoil(out / draw.choice(("synthesize.json", "metadata.jsonl")), draw, world)
    argv = ["data", "synthesize", "chairs", "--count", "1", "--size", "16", "--oversampling", "1"]
    return about, list(command([*argv, "--out", str(out)]).faults)


def _configuration(world: World, path: Path) -> Any:
    return parse(["train-region", "--config", str(path)])


def _library(world: World, path: Path) -> Any:
    library = load_library(path)
    with contextlib.redirect_stderr(io.StringIO()):
        return [embed_library(world.clip, library, which) for which in ("shape", "appearance")]


def _camera_path(world: World, path: Path) -> Any:
    found = read_camera_path(path / "path.json").camera
    if not all(bool(torch.isfinite(each).all()) for each in (found.c2w, found.K)):
        raise ArithmeticError("cameras that are not finite")
    return found


def _referring(world: World, path: Path) -> Any:
    data = ReferringDataset.open(path, 16)
    return data.masks(range(len(data.samples)))


FILES: dict[str, Case] = {
    **{f"{name}, weights": weights(name) for name in _READERS},
    **{
        name: run_file(name)
        for name in ("checkpoints/state.pt", "config.yaml", "manifest.json", "stats.jsonl")
    },
    "metadata.jsonl": text_file("pictures/metadata.jsonl", lambda w, p: PictureDataset(p, 16)),
    "regions in metadata.jsonl": text_file("referring/metadata.jsonl", _referring),
    "text library": text_file("library.yaml", _library),
    "wishes": text_file("wishes.yaml", lambda w, p: load_wishes(p)),
    "zero-shot prompts": text_file("zero_shot.yaml", lambda w, p: load_questions(p)),
    "evaluation.yaml": text_file("evaluation.yaml", lambda w, p: load_said(p)),
    "configuration of a verb": text_file("train-region.yaml", _configuration),
    "RefCOCO's instances": text_file("refcoco/instances.json", _referring),
    "RefCOCO's refs": text_file("refcoco/refs(unc).json", _referring),
    "camera path": text_file("film/path.json", _camera_path),
    "digests of a bundle": digests,
    "zip": archive,
    "what data synthesize wrote": drawn,
}
