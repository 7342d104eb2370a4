"""Files of every kind, with one thing in them altered, read where nobody checks types but we.

Prints a line for each that was read with another error than a UsageError of one line.
"""

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from clipnerf.clip.model import Clip
from clipnerf.config.inversion import EncoderConfig
from clipnerf.errors import UsageError
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.inversion.encoder import Encoder
from clipnerf.inversion.result import load_codes
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal import Universal
from clipnerf.segmentation.region_file import load_region
from clipnerf.segmentation.segmenter import Segmenter
from clipnerf.vision.recognizer import Recognizer, RecognizerConfig
from tests.tiny_bundle import tiny_bundle, tiny_parts, tiny_universal

VALUES = (None, True, -1, 0, 0.5, 10**12, "x", [], ["x"], {}, {"x": 1})


def files(folder: Path) -> Iterator[tuple[Path, Callable[[Path], Any]]]:
    """A file of each kind, and what reads it."""
    tiny_parts(tiny_bundle(folder, layers=3))
    encoder = Encoder(EncoderConfig(width=4, hidden=8, bins=4, size=32), 16, "x")
    encoder.save(folder / "encoder.safetensors")
    tiny_universal(generator_hash="", clip_hash="").save(folder / "mapper_universal.safetensors")
    config = RecognizerConfig(attributes={"color": ["red", "blue"]}, size=16, width=4)
    Recognizer(config).save(folder / "recognizer.safetensors")
    save_file(
        {
            "shape": torch.randn(2, 16),
            "appearance": torch.randn(2, 16),
            "rotation": torch.eye(3).expand(2, 3, 3).contiguous(),
            "distance": torch.zeros(2),
            "shift": torch.zeros(2, 2),
            "psnr": torch.ones(2),
            "explained": torch.ones(2),
        },
        folder / "codes.safetensors",
        metadata={
            "kind": "codes",
            "format_version": "1",
            "config": json.dumps({"names": ["a", "b"], "size": 64}),
        },
    )
    with safe_open(folder / "region.safetensors", "pt") as file:
        said = file.metadata()
    hashes = {name: said[name] for name in ("generator_hash", "segmenter_hash")}
    readers: dict[str, Callable[[Path], Any]] = {
        "generator": Generator.load,
        "discriminator": Discriminator.load,
        "mapper_shape": Mapper.load,
        "mapper_universal": Universal.load,
        "encoder": Encoder.load,
        "recognizer": Recognizer.load,
        "segmenter": lambda path: Segmenter.load(path, Clip.load(folder)),
        "region": lambda path: load_region(path, **hashes),
        "codes": load_codes,
        "clip": Clip.load,
    }
    for name, reader in readers.items():
        yield folder / f"{name}.safetensors", reader


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where something stands, in mappings and lists inside one another."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))


def altered(tensors: dict, metadata: dict, few: int) -> Iterator[tuple[str, dict, dict]]:
    """One thing is another at a time; ``few``: every so many of them."""
    config = json.loads(metadata["config"])
    number = 0
    for path in leaves(config):
        for value in VALUES:
            number += 1
            if number % few:
                continue
            other = copy.deepcopy(config)
            there = other
            for key in path[:-1]:
                there = there[key]
            there[path[-1]] = value
            yield f"{path} = {value!r}", tensors, {**metadata, "config": json.dumps(other)}
    for key in metadata:
        yield f"no {key}", tensors, {k: v for k, v in metadata.items() if k != key}
        for text in ("", "null", "-1", "[]", "x" * 9):
            yield f"{key} = {text!r}", tensors, {**metadata, key: text}
    for name, tensor in list(tensors.items())[:: max(len(tensors) // 10, 1)]:
        yield f"no {name}", {k: t for k, t in tensors.items() if k != name}, metadata
        for said, other_tensor in (
            ("deeper", tensor[None]),
            ("flat", tensor.reshape(-1)[:-1]),
            ("of text", torch.full_like(tensor, 90, dtype=torch.uint8)),
        ):
            yield f"{name} {said}", {**tensors, name: other_tensor.contiguous()}, metadata


def main(few: int) -> None:
    """Alters and reads them all."""
    count = 0
    with tempfile.TemporaryDirectory() as name:
        for path, reader in files(Path(name)):
            with safe_open(path, "pt") as file:
                metadata = {k: v for k, v in file.metadata().items() if k != "digest"}
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            metadata["format_version"] = "1"
            for said, content, meta in altered(tensors, metadata, few):
                save_file(content, path, metadata=meta)
                count += 1
                try:
                    reader(path)
                except UsageError as error:
                    if "\n" in str(error) or len(str(error)) > 600 or path.name not in str(error):
                        print(f"{path.name}: {said}: {str(error)[:700]!r}")
                except Exception as error:
                    print(f"{path.name}: {said}: {type(error).__name__}: {str(error)[:200]!r}")
            save_file(tensors, path, metadata=metadata)
    print(count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
