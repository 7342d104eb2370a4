"""A job of two ranks that all distributed tests look at, since starting ranks takes seconds."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch
import yaml

from tests.clip.conftest import write_pictures
from tests.tiny_bundle import tiny_clip_file, tiny_discriminator, tiny_generator
from tests.training.launch import finish, start_ranks

VERBS = ("pretrain", "train-clip", "train-mapper")
LIBRARY = """\
neutral: a chair
shape: [a chair with armrests, a wide chair]
appearance: [a red chair, a blue chair, a green chair]
"""
OFTEN = {"log_every": 1, "checkpoint_every": 2, "preview_every": 100}


@dataclass(frozen=True)
class Job:
    """What two ranks left behind.

    Attributes:
        folder: what they read, and the gradients that they wrote.
        places: each rank's working folder, in which the runs are.
        ended: exit code, stdout and stderr of each.
    """

    folder: Path
    places: tuple[Path, Path]
    ended: tuple[tuple[int, str, str], ...]

    @property
    def gradients(self) -> list[dict]:
        """What each rank has, see rank_gradients."""
        files = [self.folder / f"rank{rank}.pt" for rank in (0, 1)]
        return [torch.load(file, weights_only=True) for file in files]


def command_line(folder: Path, verb: str, *more: str) -> list[str]:
    """The arguments of a training in ``folder``; its run is where the process is."""
    return [verb, "--config", str(folder / f"{verb}.yaml"), *more]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Path:
    """What the trainings read, and a configuration for each."""
    from tests.training.rank_gradients import clip_config, gan_config, mapper_config

    folder = tmp_path_factory.mktemp("inputs")
    tiny_generator().save(folder / "generator.safetensors")
    tiny_discriminator().save(folder / "discriminator.safetensors")
    tiny_clip_file(folder)
    (folder / "library.yaml").write_text(LIBRARY)
    write_pictures(folder / "pictures")
    configs = (gan_config(folder), clip_config(folder), mapper_config(folder, "shape"))
    for verb, config in zip(VERBS, configs, strict=True):
        plain = asdict(config)
        plain |= {key: value for key, value in OFTEN.items() if key in plain} | {"out": verb}
        (folder / f"{verb}.yaml").write_text(yaml.safe_dump(plain))
    return folder


@pytest.fixture(scope="session")
def job(inputs, tmp_path_factory) -> Job:
    """Two ranks with no disk in common compute gradients; then they train by every verb: two steps
    together, rank 0 alone until the fourth, together again until the sixth; at last they are asked
    for another run in the same folder."""
    from clipnerf.cli import main

    places = (tmp_path_factory.mktemp("rank0"), tmp_path_factory.mktemp("rank1"))
    alone, together = inputs / "rank 0 goes on alone", inputs / "together again"
    commands = [
        ["gradients", str(inputs)],
        *(command_line(inputs, verb, "--steps", "2") for verb in VERBS),
        ["pause", str(alone), str(together)],
        *(command_line(inputs, verb, "--steps", "6") for verb in VERBS),
        command_line(inputs, "pretrain", "--steps", "6", "--seed", "1"),
    ]
    ranks = start_ranks("-m", "tests.training.rank_verbs", json.dumps(commands), places=places)
    while not alone.exists() and all(rank.poll() is None for rank in ranks):
        time.sleep(0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(places[0])
        for verb in VERBS:
            assert main(command_line(inputs, verb, "--steps", "4")) == 0
    together.touch()
    return Job(inputs, places, tuple(finish(rank, timeout=120) for rank in ranks))
