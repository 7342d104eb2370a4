"""The recognizer learns what can be read, keeps what it learnt in a file, and says what it does
not know."""

import dataclasses

import pytest
import torch
from PIL import Image

from clipnerf.config.evaluation import RecognizerConfig, TrainRecognizerConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.vision.recognizer import UNKNOWN, Recognizer
from clipnerf.vision.recognizer_train import (
    augment,
    readable_attributes,
    train_recognizer,
)


def test_only_classes_are_read(shapes):
    found = readable_attributes(shapes)
    assert found == {"color": ["blue", "green", "red"], "form": ["tall", "wide"]}
    assert list(readable_attributes(shapes, skip=["form"])) == ["color"]


def test_it_reads_held_out_pictures(recognizer, world):
    test = PictureDataset(world(200, 1), 32)
    accuracy = recognizer.accuracy(test)
    assert accuracy["color"] > 0.97 and accuracy["form"] > 0.95


def test_other_sizes_and_blur_are_read_alike(recognizer, shapes):
    pictures = shapes.batch(range(60))
    soft = torch.nn.functional.avg_pool2d(pictures, 2)
    index = recognizer.read(pictures).index["color"]
    assert float((recognizer.read(soft).index["color"] == index).float().mean()) > 0.95


def test_shares_are_counted(recognizer, shapes):
    readings = recognizer.read(shapes.batch(range(100)))
    shares = readings.shares()
    assert len(readings) == 100
    assert sum(shares["color"].values()) == pytest.approx(1)
    expected = float(readings.is_value("color", "red").float().mean())
    assert shares["color"]["red"] == pytest.approx(expected)
    assert float(readings.probability["color"].min()) >= 1 / 3


def test_reading_leaves_the_mode_alone_and_does_not_depend_on_the_batch(recognizer, shapes):
    pictures = shapes.batch(range(300 % len(shapes)))
    recognizer.train()
    whole = recognizer.read(pictures).probability["form"]
    assert recognizer.training
    recognizer.eval()
    parts = [recognizer.read(part).probability["form"] for part in pictures.split(7)]
    assert torch.allclose(whole, torch.cat(parts), atol=0.02)


def test_a_file_brings_it_back(recognizer, shapes, tmp_path):
    path = tmp_path / "recognizer.safetensors"
    recognizer.save(path, {"accuracy": "{}"})
    loaded = Recognizer.load(path)
    assert loaded.config == recognizer.config and not loaded.training
    pictures = shapes.batch(range(80))
    before, after = recognizer.read(pictures).index, loaded.read(pictures).index
    assert float((before["color"] == after["color"]).float().mean()) > 0.98
    parameters = sum(p.numel() for p in recognizer.parameters())
    assert path.stat().st_size < 2 * parameters + 12_000


def test_a_foreign_file_is_one_line(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(UsageError) as caught:
        Recognizer.load(path)
    assert "\n" not in str(caught.value)


def test_missing_labels_are_unknown_not_wrong(recognizer, world):
    folder = world(6, 2)
    Image.new("RGB", (32, 32), "white").save(folder / "zzz.png")
    with pytest.warns(UserWarning, match="zzz.png"):
        data = PictureDataset(folder, 32)
    assert int(recognizer.labels(data)["color"][-1]) == UNKNOWN
    assert recognizer.accuracy(data)["color"] == recognizer.accuracy(data, range(6))["color"]


def test_same_seed_same_weights(shapes):
    config = TrainRecognizerConfig(steps=3, batch=8, width=4)
    hashes = {train_recognizer(shapes, config).hash for _ in range(2)}
    other = train_recognizer(shapes, dataclasses.replace(config, seed=1))
    assert len(hashes) == 1 and other.hash not in hashes


def test_pictures_without_attributes_are_refused(tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="no attributes"):
        train_recognizer(PictureDataset(tmp_path, 32))


def test_an_unknown_value_is_named(recognizer, shapes):
    readings = recognizer.read(shapes.batch([0]))
    with pytest.raises(UsageError, match="never 'pink'.*blue, green, red"):
        readings.is_value("color", "pink")
    with pytest.raises(UsageError, match="does not read 'legs'"):
        readings.is_value("legs", "four")


def test_sizes_out_of_range_are_refused():
    with pytest.raises(UsageError, match="size is 40"):
        Recognizer(RecognizerConfig({"a": ["x", "y"]}, size=40))
    with pytest.raises(UsageError, match="attributes is {}; allowed: "):
        Recognizer(RecognizerConfig({}))


def test_augmentation_keeps_white_and_names_of_colors(shapes):
    noise = torch.Generator().manual_seed(0)
    pictures = shapes.batch(range(16))
    changed = augment(pictures, noise)
    assert float(changed.min()) >= 0 and float(changed.max()) <= 1
    assert float(changed[:, :, :2, :2].mean()) > 0.95
    # edges mix with white, but the strongest and the weakest channel of the object stay
    for some in (pictures, changed):
        solid = (some.amin(1, keepdim=True) < 0.7).float()
        assert float(solid.sum((2, 3)).min()) > 0
        colors = (some * solid).sum((2, 3)) / solid.sum((2, 3))
        rows = shapes.batch(range(16)).amin((2, 3)).argmax(1)
        assert torch.equal(colors.argmax(1), rows)
