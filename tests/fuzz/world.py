"""What the cases begin with: a whole tiny world, and one intact file of each kind that is read."""

import contextlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from clipnerf.cli import main
from clipnerf.clip.model import Clip
from clipnerf.config.pretrain import FeatureConfig
from clipnerf.gan.discriminator import OPPONENT
from clipnerf.gan.feature_discriminator import FeatureDiscriminator
from clipnerf.gan.generator import Generator
from clipnerf.gan.picture_encoder import PictureEncoder
from clipnerf.io.camera_path import CameraPath, camera_path_json
from clipnerf.rendering.cameras import Camera
from clipnerf.segmentation.segmenter import Segmenter
from tests.tiny_bundle import tiny_codes, tiny_universal
from tests.tiny_world import tiny_world
from tests.training import test_loop

WISHES = """\
- prompt: a red disc
  wanted: {color: red}
- prompt: a square
  wanted: {shape: square}
  appearance: 0.5
"""
ZERO_SHOT = """\
color:
  red: [a red disc, something red]
  blue: [a blue disc]
shape: {attribute: shape, where: {color: red}, prompts: {disc: [a disc], square: [a square]}}
"""


@dataclass
class World:
    """A folder that no case writes to."""

    folder: Path
    commands: dict[str, list[str]]

    @property
    def bundle(self) -> Path:
        """All models, as small as can be."""
        return self.folder / "bundle"

    @cached_property
    def generator(self) -> Generator:
        """The bundle's."""
        return Generator.load(self.bundle / "generator.safetensors")

    @cached_property
    def picture_encoder(self) -> PictureEncoder:
        """What reads real pictures in a training of the generator."""
        config = self.generator.config
        return PictureEncoder(config.field.code_dim, config.camera, width=8)

    @cached_property
    def heads(self) -> FeatureDiscriminator:
        """A second discriminator; its network is untrained."""
        return FeatureDiscriminator(
            FeatureConfig(weight=1.0, weights="random", mix_width=8, head_width=8)
        )

    @cached_property
    def clip(self) -> Clip:
        """The bundle's."""
        return Clip.load(self.bundle)

    @cached_property
    def segmenter_hash(self) -> str:
        """Of the bundle's."""
        return Segmenter.load(self.bundle, self.clip).hash

    @cached_property
    def kinds(self) -> list[bytes]:
        """Files of many kinds, any of which may stand in the place of another."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        by_suffix = {path.suffix: path for path in files}
        weights = [path for path in files if path.suffix == ".safetensors"]
        return [path.read_bytes() for path in [*by_suffix.values(), *weights]]


def make_world(folder: Path) -> World:
    """Writes it all; some seconds."""
    commands = tiny_world(folder)
    world = World(folder, commands)
    own = {"generator_hash": world.generator.hash, "clip_hash": world.clip.hash}
    tiny_universal(**own).save(world.bundle / "mapper_universal.safetensors")
    opponent = {OPPONENT: own["generator_hash"]}
    world.heads.save(folder / "features.safetensors", opponent)
    world.picture_encoder.save(folder / "autoencoder.safetensors", opponent)
    tiny_codes(folder / "codes.safetensors", world.generator.hash)
    (folder / "wishes.yaml").write_text(WISHES)
    (folder / "zero_shot.yaml").write_text(ZERO_SHOT)
    (folder / "evaluation.yaml").write_text("category: chairs\nneutral: a chair\n")
    Image.open(folder / "pictures/000.png").save(folder / "photo.png")
    film = CameraPath(Camera.orbit(torch.tensor([0.0, 90.0]), 20.0, size=16), 2.0)
    (folder / "film").mkdir()
    (folder / "film/path.json").write_text(camera_path_json(film))
    _zipped(folder / "pictures", folder / "pictures.zip")
    _refcoco(folder / "refcoco", folder / "pictures/000.png")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        test_loop.train(test_loop.Config(str(folder / "run")))
        main(["data", "synthesize", "chairs", "--count", "1", "--size", "16", "--oversampling"]
             + ["1", "--out", str(folder / "drawn")])  # fmt: skip
    return world


def _zipped(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir())[:4]:
            archive.write(file, file.name)
        archive.writestr("metadata.jsonl", '{"file_name": "000.png", "text": "a red disc"}\n')


def _refcoco(folder: Path, picture: Path) -> None:
    (folder / "images").mkdir(parents=True)
    shutil.copy(picture, folder / "images/a.png")
    run_lengths = {"size": [32, 32], "counts": [1000, 24]}
    annotations = [
        {"id": 1, "segmentation": [[2, 2, 20, 2, 20, 20]]},
        {"id": 2, "segmentation": run_lengths},
    ]
    instances = {"images": [{"id": 7, "file_name": "a.png"}], "annotations": annotations}
    refs = [
        {"ref_id": n, "ann_id": n, "image_id": 7, "split": "train", "sentences": [{"sent": text}]}
        for n, text in ((1, "the disc"), (2, "what is left"))
    ]
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "refs(unc).json").write_text(json.dumps(refs))
