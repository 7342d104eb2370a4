"""Training of a mapper: frozen models stay frozen, a run resumes bit for bit, NaN stops it."""

import json
from dataclasses import replace

import pytest
import torch

from clipnerf.clip.model import Clip
from clipnerf.config.mapper import AugmentConfig, MapperConfig, MapperLossConfig, TrainMapperConfig
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan.generator import Generator
from clipnerf.io.weights import weights_hash
from clipnerf.mappers import train
from clipnerf.mappers.loading import load_objective, mapper_path
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.train import plan, train_mapper
from tests.tiny_bundle import tiny_clip_file, tiny_discriminator, tiny_generator

LIBRARY = """\
neutral: a chair
shape: [a chair with armrests, a wide chair]
appearance: [a red chair, a blue chair, a green chair]
"""
ALL_TERMS = MapperLossConfig(palette=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    tiny_generator().save(folder / "generator.safetensors")
    tiny_discriminator().save(folder / "discriminator.safetensors")
    tiny_clip_file(folder)
    (folder / "library.yaml").write_text(LIBRARY)
    return folder


@pytest.fixture
def config(folder, tmp_path):
    return TrainMapperConfig(
        generator=str(folder),
        clip=str(folder / "clip.safetensors"),
        device="cpu",
        library=str(folder / "library.yaml"),
        out=str(tmp_path / "run"),
        loss=ALL_TERMS,
        mapper=MapperConfig(hidden=8),
        steps=4,
        objects=2,
        edits=2,
        views=2,
        size=8,
        log_every=1,
        preview_every=2,
        checkpoint_every=2,
    )


def _stats(config: TrainMapperConfig) -> list[dict]:
    with open(f"{config.out}/stats.jsonl") as file:
        lines = [json.loads(line) for line in file]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


@pytest.mark.filterwarnings("ignore:the mapper rarely reaches")
@pytest.mark.parametrize("which", ["shape", "appearance"])
def test_a_run_leaves_the_frozen_models_alone_and_a_mapper_that_does_something(
    config, folder, which
):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = train_mapper(replace(config, which=which))
    assert path.name == f"mapper_{which}.safetensors"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    generator, clip = Generator.load(folder / "generator.safetensors"), Clip.load(config.clip)
    mapper = Mapper.load(path, generator_hash=generator.hash, clip_hash=clip.hash)
    change = mapper(clip.encode_text(["a red chair"]), torch.zeros(1, mapper.code_dim))
    assert mapper.which == which and float(change.abs().max()) > 0
    assert len(list((path.parent / "previews").glob(f"{which}-*.png"))) == 2
    steps = [line for line in _stats(config) if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4]
    terms = {"clip", "prior", "contrast", "discriminator", "directional", "palette", "foreign"}
    assert terms | {"compose", "grad_norm"} <= set(steps[0])


@pytest.mark.parametrize("which", ["shape", "appearance"])
def test_steps_in_memory_leave_the_frozen_models_bit_identical(config, which):
    config = replace(config, which=which)
    objective = load_objective(config, torch.device("cpu"))
    models = [objective.generator, objective.discriminator]
    hashes = [weights_hash(model.state_dict()) for model in models] + [objective.clip.hash]
    trainer = train.MapperTraining(config, objective, train._fresh_mapper(config, objective))
    for number in range(2):
        trainer.advance("train", number)
    after = [weights_hash(model.state_dict()) for model in models] + [objective.clip.hash]
    assert after == hashes
    assert all(p.grad is None and not p.requires_grad for m in models for p in m.parameters())


@pytest.mark.filterwarnings("ignore:the mapper rarely reaches")
def test_four_steps_are_two_and_two_bit_for_bit(config, tmp_path):
    whole = Mapper.load(train_mapper(config))
    parts = replace(config, out=str(tmp_path / "parts"))
    train_mapper(replace(parts, steps=2))
    resumed = Mapper.load(train_mapper(parts))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert _stats(config) == _stats(parts)


@pytest.mark.filterwarnings("ignore:the mapper rarely reaches")
def test_another_run_in_the_folder_is_refused(config):
    train_mapper(replace(config, steps=1))
    with pytest.raises(UsageError, match="lr"):
        train_mapper(replace(config, lr=0.1))


def test_nan_stops_the_run_and_writes_no_mapper(config, monkeypatch):
    monkeypatch.setattr(
        train.Objective,
        "loss",
        lambda self, mapper, rng: (
            mapper.end.bias.sum() * float("nan"),
            {"clip": torch.tensor(float("nan"))},
        ),
    )
    with pytest.raises(ClipNerfError, match="step 1: not finite.*: loss, clip.*lr"):
        train_mapper(config)
    assert not list((mapper_path(config).parent).glob("*.safetensors"))


def test_training_follows_the_words(config):
    """With a CLIP that is random but fixed, the loss on a fixed draw goes down."""
    quiet = AugmentConfig(crop_min=1.0, perspective=0.0, background=0.0)
    loss = MapperLossConfig(discriminator=0.0, prior=0.0, foreign=0.0, compose=0.0)
    config = replace(config, augment=quiet, loss=loss, lr=0.02)
    objective = load_objective(config, torch.device("cpu"))
    assert objective.discriminator is None
    mapper = train._fresh_mapper(config, objective)
    trainer = train.MapperTraining(config, objective, mapper)

    def value() -> float:
        rng = torch.Generator().manual_seed(0)
        return float(objective.loss(mapper, rng)[0].detach())

    start = value()
    for number in range(25):
        trainer.advance("train", number)
        trainer.step += 1
    assert value() < start - 0.01


def test_a_mapper_that_follows_nothing_is_warned_of(config):
    with pytest.warns(UserWarning, match="rarely reaches [1-3] of 3 prompts"):
        train_mapper(replace(config, steps=1, lr=1e-9))


def test_the_plan_needs_no_weights(config):
    shown = plan(replace(config, generator="nowhere.safetensors", clip="nothing"))
    assert "3 prompts" in shown["data"] and "4 steps" in shown["steps"]
    assert shown["out"].endswith("mapper_appearance.safetensors")
    assert all(isinstance(line, str) for line in shown.values())


def test_a_missing_discriminator_says_the_way_out(config, folder, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "generator.safetensors").write_bytes((folder / "generator.safetensors").read_bytes())
    with pytest.raises(UsageError, match=r"--discriminator.*--loss\.discriminator 0"):
        train_mapper(replace(config, generator=str(alone)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"size": 4}, "size is 4"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"loss": MapperLossConfig(clip=-1.0)}, r"loss\.clip is -1"),
        ({"loss": MapperLossConfig(prior=float("nan"))}, r"loss\.prior is nan"),
        ({"loss": MapperLossConfig(contrast_temperature=0.0)}, "contrast_temperature is 0"),
        ({"augment": AugmentConfig(crop_min=0.0)}, r"augment\.crop_min is 0"),
        ({"samples": 1}, "samples is 1"),
    ],
)
def test_values_out_of_range(config, change, message):
    with pytest.raises(UsageError, match=message):
        plan(replace(config, **change))
