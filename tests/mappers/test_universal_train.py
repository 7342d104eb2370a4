"""Training of the universal mapper: it learns, its stages can be left out, a run resumes."""

import json
from dataclasses import replace

import pytest
import torch

from clipnerf.config.mapper import (
    MapperConfig,
    MapperLossConfig,
    TrainMapperConfig,
    UniversalConfig,
)
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan.generator import Generator
from clipnerf.io.weights import load_weights
from clipnerf.mappers.loading import load_objectives
from clipnerf.mappers.train import plan, train_mapper
from clipnerf.mappers.universal import Universal
from clipnerf.mappers.universal_train import UniversalTraining, one_cycle
from tests.tiny_bundle import tiny_clip_file, tiny_discriminator, tiny_generator

LIBRARY = """\
neutral: a chair
shape: [a chair with armrests, a wide chair]
appearance: [a red chair, a blue chair, a green chair]
"""
STAGES = ("pictures", "distill", "text-free", "fine-tune", "rendered")
SMALL = UniversalConfig(
    shapes=50,
    appearances=2,
    picture_size=8,
    distill_steps=40,
    distill_batch=32,
    distill_width=32,
    text_free_steps=3,
    fine_tune_steps=3,
    rendered_steps=2,
    batch=8,
)


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
        mapper=MapperConfig(kind="universal", hidden=8),
        universal=SMALL,
        objects=2,
        views=1,
        size=8,
        log_every=1,
        checkpoint_every=1,
    )


def _stats(config: TrainMapperConfig) -> list[dict]:
    with open(f"{config.out}/stats.jsonl") as file:
        return [json.loads(line) for line in file]


@pytest.mark.filterwarnings("ignore:the distilled CLIP explains")
def test_one_run_gives_both_mappers_and_leaves_the_frozen_models_alone(config, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = train_mapper(config)
    assert path.name == "mapper_universal.safetensors"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    universal = Universal.load(
        path, generator_hash=Generator.load(folder / "generator.safetensors").hash
    )
    codes = torch.randn(4, universal.shape.code_dim)
    embedding = torch.nn.functional.normalize(torch.randn(4, 16), dim=1)
    for which in ("shape", "appearance"):
        assert float(universal.of(which)(embedding, codes).abs().max()) > 0
    assert float(universal.router.shortest) < 1  # calibrated
    stats = _stats(config)
    stages = [line["stage"] for line in stats if "stage" in line]
    assert stages == sorted(stages, key=STAGES.index)
    assert set(stages) == set(STAGES)
    text_free = next(line for line in stats if line.get("stage") == "text-free")
    assert {"shape/aim", "shape/preserve", "appearance/aim", "appearance/prior"} <= set(text_free)
    assert "shape/contrast" not in text_free  # no text
    rendered = [line for line in stats if line.get("stage") == "rendered"][-1]
    assert {"shape/contrast", "shape/discriminator", "match/shape"} <= set(rendered)


@pytest.mark.filterwarnings("ignore:the distilled CLIP explains")
def test_an_interrupted_run_equals_an_uninterrupted_one(config, tmp_path, monkeypatch):
    whole = load_weights(train_mapper(config), "universal-mapper").tensors
    broken = replace(config, out=str(tmp_path / "broken"))
    total = UniversalTraining(
        config, load_objectives(config, torch.device("cpu")), torch.device("cpu")
    ).total
    # in the middle of each stage: pictures, distill, text-free, fine-tune, rendered
    stops = [1, 20, 44, 47, total - 1]
    advance = UniversalTraining.advance
    for stop in stops:

        def stopping(self, stage, number, stop=stop):
            if self.step == stop:
                raise KeyboardInterrupt
            return advance(self, stage, number)

        monkeypatch.setattr(UniversalTraining, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_mapper(broken)
    monkeypatch.setattr(UniversalTraining, "advance", advance)
    parts = load_weights(train_mapper(broken), "universal-mapper").tensors
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


@pytest.mark.filterwarnings("ignore:the distilled CLIP explains")
@pytest.mark.parametrize("stage", ["text_free_steps", "fine_tune_steps", "rendered_steps"])
def test_each_stage_can_stand_alone(config, stage):
    off = {"text_free_steps": 0, "fine_tune_steps": 0, "rendered_steps": 0}
    universal = replace(SMALL, **(off | {stage: 2}))
    train_mapper(replace(config, universal=universal))
    stages = {line["stage"] for line in _stats(config) if "stage" in line}
    assert stages == {"pictures", "distill", stage.removesuffix("_steps").replace("_", "-")}


def test_steps_bring_the_embedding_towards_what_is_wanted(config):
    """A few hundred steps through the distilled CLIP halve the distance from the goal."""
    u = replace(SMALL, distill_steps=150, text_free_steps=250, fine_tune_steps=0, rendered_steps=0)
    config = replace(config, universal=replace(u, batch=64, preserve_shape=0.0))
    device = torch.device("cpu")
    trainer = UniversalTraining(config, load_objectives(config, device), device)
    aims = []
    while trainer.step < trainer.total:
        stage, number = trainer.place()
        scalars = trainer.advance(stage, number)
        trainer.step += 1
        if stage == "text-free":
            aims.append(scalars["shape/aim"] + scalars["appearance/aim"])
    assert sum(aims[-20:]) < 0.6 * sum(aims[:20])


@pytest.mark.filterwarnings("ignore:the distilled CLIP explains")
def test_rendered_steps_need_none_of_the_papers_terms(config):
    none = MapperLossConfig(directional=0.0, palette=0.0, discriminator=0.0)
    u = replace(SMALL, text_free_steps=0, fine_tune_steps=0, rendered_steps=1)
    assert train_mapper(replace(config, loss=none, universal=u)).exists()


def test_the_plan_names_the_stages_and_loads_nothing(config):
    lines = plan(config)
    assert "50 shapes x 2 appearances" in lines["pictures"]
    assert lines["steps"] == "distill 40, text-free 3, fine-tune 3, rendered 2"
    assert lines["out"].endswith("mapper_universal.safetensors")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shapes", 3),
        ("views", 0),
        ("distill_steps", 0),
        ("lr", 0.0),
        ("rendered_rate", 0.0),
        ("noise", -1.0),
        ("goal_shape", 0.0),
        ("picture_size", 4),
        ("rendered_steps", -1),
    ],
)
def test_a_value_out_of_range_is_refused(config, key, value):
    with pytest.raises(UsageError, match=f"universal.{key}"):
        train_mapper(replace(config, universal=replace(SMALL, **{key: value})))


def test_no_step_at_all_and_an_unknown_kind_are_refused(config):
    none = replace(SMALL, text_free_steps=0, fine_tune_steps=0, rendered_steps=0)
    with pytest.raises(UsageError, match="1 or more"):
        train_mapper(replace(config, universal=none))
    mapper = MapperConfig()
    object.__setattr__(mapper, "kind", "other")  # past the checks of types that tests run under
    with pytest.raises(UsageError, match="mapper.kind is 'other'; allowed: paper or universal"):
        train_mapper(replace(config, mapper=mapper))


def test_an_entangled_generator_is_refused(config, tmp_path):
    entangled = tiny_generator(conditioning="entangled")
    entangled.save(tmp_path / "generator.safetensors")
    universal = replace(SMALL, rendered_steps=0)
    with pytest.raises(UsageError, match="entangled"):
        train_mapper(replace(config, generator=str(tmp_path), universal=universal))


@pytest.mark.filterwarnings("ignore:the distilled CLIP explains")
def test_a_loss_that_is_no_number_stops_the_run_in_one_line(config, monkeypatch):
    nothing = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(UniversalTraining, "_distill_terms", lambda self, rng: {"distill": nothing})
    with pytest.raises(ClipNerfError, match="not finite any more: loss, distill.*universal.lr"):
        train_mapper(config)


def test_the_learning_rate_rises_and_falls_to_nothing():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(1, abs=0.01) and rates.index(max(rates)) in range(28, 33)
    assert rates[0] < 0.1 and rates[-1] < 0.01
