"""Which way an object faces: read off pictures, and told to pixels."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from clipnerf.clip.model import Clip
from clipnerf.data.referring import ReferringDataset
from clipnerf.io.weights import load_weights, save_weights
from clipnerf.segmentation.facing import CHANNELS, Facing, facing_loss, placed
from clipnerf.segmentation.neck import coordinates
from clipnerf.segmentation.segmenter import KIND, Segmenter
from clipnerf.segmentation.train import SegmenterTraining, train_segmenter
from tests.segmentation.conftest import TINY


def test_pixels_are_told_f_and_their_places_from_there():
    like = torch.zeros(2, 5, 4, 6)
    f = torch.tensor([[1.0, 0.0], [0.6, -0.8]])
    told = placed(f, like)
    x, y = coordinates(like)[0]
    assert told.shape == (2, CHANNELS, 4, 6)
    assert bool((told[0, 1] == 0).all()) and bool((told[0, 0] == 1).all())
    torch.testing.assert_close(told[0, 2], x)
    torch.testing.assert_close(told[0, 3], 0 * x)
    torch.testing.assert_close(told[1, 3], -0.8 * x)
    torch.testing.assert_close(told[1, 4], 0.6 * y)


def test_the_loss_asks_only_for_azimuths_that_are_known():
    f = torch.tensor([[0.0, 1.0], [0.0, 1.0], [5.0, 5.0]], requires_grad=True)
    azimuth = torch.tensor([math.pi / 2, 0.0, math.nan])
    loss = facing_loss(f, azimuth)
    assert float(loss.detach()) == pytest.approx((0 + 2) / 2, abs=1e-6)
    loss.backward()
    assert bool((f.grad[2] == 0).all()) and bool(f.grad[1].any())
    assert float(facing_loss(f[2:], azimuth[2:])) == 0


def test_any_size_of_map_is_read():
    facing = Facing(8, 16).eval()
    assert facing(torch.rand(3, 8, 1, 1)).shape == (3, 2)
    assert facing(torch.rand(3, 8, 5, 7)).dtype == torch.float32


@pytest.fixture(scope="session")
def turned(tmp_path_factory):
    """A bar whose lighter half lies towards the azimuth; words that the tiny CLIP knows name it and
    the other half."""
    folder = tmp_path_factory.mktemp("facing") / "bars"
    folder.mkdir()
    noise = torch.Generator().manual_seed(0)
    grid = torch.linspace(-1, 1, 32)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    lines = []
    for index in range(40):
        azimuth = float(torch.rand((), generator=noise)) * 2 * math.pi
        c, s = math.cos(azimuth), math.sin(azimuth)
        along, across = c * x + s * y, c * y - s * x
        bar = (along.abs() < 0.7) & (across.abs() < 0.4)
        picture = torch.full((32, 32), 255.0)
        picture[bar] = (110 + 80 * along)[bar]
        labels = torch.zeros(32, 32)
        labels[bar & (along > 0)], labels[bar & (along <= 0)] = 1, 2
        name, mask = f"{index:02d}.png", f"labels-{index:02d}.png"
        Image.fromarray(picture.byte().numpy()).convert("RGB").save(folder / name)
        Image.fromarray(labels.byte().numpy()).save(folder / mask)
        lines.append(
            {
                "file_name": name,
                "azimuth_deg": math.degrees(azimuth),
                "regions": [
                    {"text": "the left disc", "mask": mask, "values": [1]},
                    {"text": "the right disc", "mask": mask, "values": [2]},
                ],
            }
        )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(text)
    return folder


def test_the_data_gives_azimuths_and_radians(turned, referring):
    data = ReferringDataset.open(turned, 32)
    first = json.loads((turned / "metadata.jsonl").read_text().splitlines()[0])["azimuth_deg"]
    assert float(data.azimuth[0]) == pytest.approx(math.radians(first), abs=1e-5)
    assert bool(ReferringDataset.open(referring, 32).azimuth.isnan().all())


def test_learns_which_way_pictures_face(turned, tiny):
    config = tiny(150, data=str(turned), batch=8, lr=3e-3, checkpoint_every=150)
    path = train_segmenter(config)
    model = Segmenter.load(path, Clip.load(config.clip))
    data = ReferringDataset.open(turned, 32)
    with torch.no_grad():
        f = model.facing(model.backbone.maps(data.batch(range(36, 40)))[2])
    off = torch.atan2(f[:, 1], f[:, 0]) - data.azimuth[36:]
    off = torch.atan2(off.sin(), off.cos()).abs()
    assert float(off.median()) < math.radians(25), off
    logged = [json.loads(line) for line in Path(config.out, "stats.jsonl").read_text().splitlines()]
    assert logged[-1]["facing"] < 0.3 * logged[0]["facing"]


def test_without_azimuths_or_weight_nothing_is_asked(turned, tiny, resnet):
    def terms(**changes):
        config = tiny(1, **changes)
        data = ReferringDataset.open(config.data, 32)
        trainer = SegmenterTraining(config, data, Clip.load(config.clip), torch.device("cpu"))
        return trainer.advance("train", 0)

    assert float(terms()["facing"]) == 0
    assert "facing" not in terms(data=str(turned), facing=0.0)
    off = dataclasses.replace(TINY, facing=False)
    assert "facing" not in terms(data=str(turned), model=off)
    assert float(terms(data=str(turned))["facing"]) > 0


def test_files_from_before_are_read_without(resnet, tmp_path):
    model = Segmenter(dataclasses.replace(TINY, facing=False), resnet)
    weights = load_weights(model.save(tmp_path / "new.safetensors"), KIND)
    before = {key: value for key, value in weights.config.items() if key != "facing"}
    extra = {key: weights.metadata[key] for key in ("clip_hash", "tokens")}
    old = save_weights(
        tmp_path / "old.safetensors", weights.tensors, kind=KIND, config=before, extra=extra
    )
    assert Segmenter.load(old, resnet).facing is None
