"""The encoder: its guesses, its file, and its training, which resumes bit for bit."""

import json
import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from clipnerf.config.inversion import EncoderConfig, TrainEncoderConfig
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.gan.codes import Codes
from clipnerf.inversion import encoder_train
from clipnerf.inversion.encoder import Encoder, Guess
from clipnerf.inversion.encoder_train import EncoderTraining, plan, train_encoder
from clipnerf.inversion.rendered_data import KnownPictures, as_a_photo
from clipnerf.io.weights import load_weights
from tests.tiny_bundle import CODE_DIM, tiny_generator

SMALL = EncoderConfig(size=16, width=4, hidden=16, bins=8)


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "generator.safetensors"
    tiny_generator().save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator = tiny_generator()
    rng = torch.Generator().manual_seed(3)
    views = generator.render(
        Codes.from_seeds(range(6), CODE_DIM), generator.sample_cameras(6, 16, rng)
    ).rgb
    for number, view in enumerate(views):
        levels = view.mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(levels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def config(generator_file, data, tmp_path):
    return TrainEncoderConfig(
        generator=str(generator_file),
        data=str(data),
        out=str(tmp_path / "run"),
        encoder=SMALL,
        shapes=60,
        appearances=2,
        steps=4,
        batch=8,
        data_steps=2,
        data_batch=2,
        log_every=1,
        checkpoint_every=1,
        device="cpu",
    )


def guess_of(azimuth_logits, offset) -> Guess:
    batch, _ = azimuth_logits.shape
    zero = torch.zeros(batch)
    codes = Codes(torch.zeros(batch, 4), torch.zeros(batch, 4))
    return Guess(azimuth_logits, offset, zero, zero, zero, torch.zeros(batch, 2), codes)


def test_poses_are_the_best_directions_and_no_two_are_neighbors():
    logits = torch.tensor([[0.0, 5.0, 4.9, 0.1, 0.0, 3.0, 0.0, 0.2]])
    guess = guess_of(logits, torch.full((1, 8), 0.25))
    poses = guess.poses(3)
    found = [math.degrees(float(pose.angles()[0, 0])) % 360 for pose in poses]
    # direction 1 of 8 starts at 45 degrees; direction 2 lies beside it and is passed over
    assert found[:2] == pytest.approx([45 * 1.75, 45 * 5.75], abs=1e-3)
    assert len(poses) == 3


def test_a_guess_depends_on_the_picture_and_codes_have_normal_length():
    torch.manual_seed(0)
    encoder = Encoder(SMALL, CODE_DIM).eval()
    pictures = torch.rand(3, 3, 16, 16)
    guess = encoder(pictures)
    torch.testing.assert_close(guess.codes.shape.square().mean(1), torch.ones(3))
    assert not torch.allclose(guess.codes.shape[0], guess.codes.shape[1])
    alone = encoder(pictures[1:2])
    torch.testing.assert_close(alone.logits, guess.logits[1:2])
    assert encoder(torch.rand(2, 3, 40, 40)).logits.shape == (2, 8)


def test_a_file_brings_the_encoder_back_and_refuses_another_generator(tmp_path):
    torch.manual_seed(0)
    encoder = Encoder(SMALL, CODE_DIM, "a" * 16).eval()
    path = encoder.save(tmp_path / "encoder.safetensors")
    again = Encoder.load(path, "a" * 16)
    pictures = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(again(pictures).logits, encoder(pictures).logits, atol=5e-3, rtol=0)
    with pytest.raises(UsageError, match="belongs to the generator a+, and this one is b+"):
        Encoder.load(path, "b" * 16)


def test_known_pictures_are_what_the_generator_shows_from_the_drawn_cameras(config):
    generator = tiny_generator()
    known = KnownPictures(config, generator, encoder_train.Path(config.out) / "pictures")
    assert known.parts == 2
    codes, pose = known.draw(1)
    assert len(codes) == 20 and torch.equal(codes.shape[0], codes.shape[1])
    pictures = known.render(1)
    camera = pose.camera(generator.config.camera, 16)
    with torch.no_grad():
        wanted = generator.render(codes, camera, samples=4).rgb
    assert (pictures.float() / 255 - wanted).abs().max() < 0.02
    (known.folder / "part-0001.safetensors").write_bytes(b"cut off")
    assert torch.equal(known.render(1), pictures)


def test_as_a_photo_keeps_the_object_in_its_place():
    pictures = torch.ones(4, 3, 16, 16)
    pictures[:, :, 5:9, 3:12] = 0.2
    noise = torch.Generator().manual_seed(0)
    seen = as_a_photo(pictures, noise)
    assert (seen[:, :, 6:8, 4:11] < 0.5).all() and (seen[:, :, :3] > 0.8).all()
    assert not torch.equal(seen[0], seen[1])


def test_training_writes_an_encoder_of_this_generator_and_cleans_up(config):
    path = train_encoder(config)
    encoder = Encoder.load(path, tiny_generator().hash)
    assert encoder.config == SMALL and encoder.code_dim == CODE_DIM
    assert not (path.parent / "pictures").exists()
    with open(f"{config.out}/stats.jsonl") as file:
        stats = [json.loads(line) for line in file]
    assert {line["stage"] for line in stats} == {"pictures", "generated", "data"}
    assert {"held-out pose error", "held-out shape explained"} <= set(stats[-1])


@pytest.mark.parametrize("stopped", [1, 4, 7])
def test_an_interrupted_training_gives_the_same_bits(config, tmp_path, monkeypatch, stopped):
    whole = load_weights(train_encoder(config), "encoder").tensors
    config = replace(config, out=str(tmp_path / "again"))
    step, calls = EncoderTraining.advance, []

    def interrupted(self, stage, number):
        if stage != "pictures":
            calls.append(stage)
        if len(calls) == stopped:
            raise KeyboardInterrupt
        return step(self, stage, number)

    if stopped <= 6:
        monkeypatch.setattr(EncoderTraining, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(config)
        monkeypatch.setattr(EncoderTraining, "advance", step)
        (tmp_path / "again/pictures/.part-0000.1-0a.tmp.safetensors").touch()  # as a kill does
    again = load_weights(train_encoder(config), "encoder").tensors
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert not (tmp_path / "again/pictures").exists()


def test_it_learns_where_the_camera_stands_and_what_it_sees(config):
    config = replace(
        config,
        data="",
        shapes=300,
        steps=200,
        batch=32,
        lr=3e-3,
        roll_deg=0.0,
        encoder=replace(SMALL, width=8, hidden=64),
        distance=0.0,
        shift=0.0,
    )
    generator = tiny_generator()
    trainer = EncoderTraining(config, generator, None)
    before = trainer.measure()
    steps = [trainer.advance("generated", number) for number in range(config.steps)]
    after = trainer.measure()
    # its blobs look much alike from all sides, so that the direction is learned slowly
    assert after["held-out pose error"] < before["held-out pose error"]
    for name in ("opacity", "color", "loss"):
        first, last = (sum(float(s[name]) for s in some) for some in (steps[:10], steps[-10:]))
        assert last < 0.8 * first, (name, last / first)


def test_rendering_back_learns_from_pictures_without_labels(config):
    generator = tiny_generator()
    trainer = EncoderTraining(config, generator, encoder_train.PictureDataset(config.data, 16))
    real = trainer.data.batch([0, 1, 2, 3])
    terms = trainer._render_back(real, trainer.encoder(real))
    terms["rendered"].backward()
    assert trainer.encoder.codes[2].weight.grad.abs().sum() > 0
    assert trainer.encoder.pose.weight.grad.abs().sum() > 0


def test_an_entangled_generator_is_refused(config, tmp_path):
    path = tmp_path / "entangled.safetensors"
    tiny_generator(conditioning="entangled").save(path)
    with pytest.raises(UsageError, match="is entangled"):
        train_encoder(replace(config, generator=str(path)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"batch": 1}, "batch is 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"encoder": replace(SMALL, size=20)}, "encoder.size is 20"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_value_out_of_range_is_named(config, change, says):
    with pytest.raises(UsageError, match=says):
        train_encoder(replace(config, **change))


def test_a_loss_that_is_no_number_stops_the_training(config, monkeypatch):
    nothing = torch.tensor(math.nan, requires_grad=True)
    monkeypatch.setattr(EncoderTraining, "_generated_terms", lambda *a: {"wrong": nothing})
    with pytest.raises(ClipNerfError, match="not finite any more: loss, wrong.*lr"):
        train_encoder(config)


def test_the_plan_says_what_would_be_done(config):
    said = plan(config)
    assert said["data"].endswith("6 pictures, 2 of 2")
    assert said["pictures"] == "60 shapes x 2 appearances at 16 pixels"
    assert not encoder_train.Path(config.out).exists()
