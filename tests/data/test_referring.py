"""Phrases and masks: of synthesized sets, of folders made by hand, and of RefCOCO's layout."""

import json

import numpy as np
import pytest
from PIL import Image

from clipnerf.data.pictures import Source
from clipnerf.data.procedural import CATEGORIES, REGIONS
from clipnerf.data.procedural.phrases import MIN_PIXELS
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.data.records import list_pictures
from clipnerf.data.referring import ReferringDataset
from clipnerf.errors import UsageError


def mask(folder, name, size=(16, 16), box=(2, 3, 9, 8), value=1):
    labels = np.zeros((size[1], size[0]), np.uint8)
    labels[box[1] : box[3], box[0] : box[2]] = value
    Image.fromarray(labels).save(folder.path / name)
    return labels


@pytest.mark.parametrize("category", ["chairs", "cars"])
def test_every_part_has_its_region_and_left_is_the_objects_left(category):
    module, named = CATEGORIES[category], REGIONS[category]
    assert len(set(named.REGIONS)) == len(named.REGIONS) <= 30
    for phrase in named.EVALUATED:
        regions = {**named.PARTS_EVALUATED, **named.FINE_EVALUATED}[phrase]
        assert regions and set(regions) <= set(named.REGIONS)
    used = set()
    for index in range(150):
        thing = module.sample(np.random.RandomState(index))
        regions = [named.region_of(part) for part in thing.parts]
        used |= set(regions)
        for name in ("left front leg", "right rear leg"):
            if thing.attributes.get("base") == "legs":
                assert regions.count(name) == 1
        if category == "cars":
            assert all(regions.count(f"{end} wheel") == 3 for end in ("left front", "right rear"))
    assert used == set(named.REGIONS)


@pytest.mark.parametrize("category", ["chairs", "cars"])
def test_a_set_with_regions_is_the_same_set_and_its_phrases_point_at_pixels(tmp_path, category):
    plain = synthesize(category, 6, 48, 2, tmp_path / "plain")
    out = synthesize(category, 6, 48, 2, tmp_path / "regions", regions=True)
    for path in plain.glob("*.png"):
        assert path.read_bytes() == (out / path.name).read_bytes()
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    without = [{k: v for k, v in row.items() if k != "regions"} for row in rows]
    before = [json.loads(line) for line in (plain / "metadata.jsonl").read_text().splitlines()]
    assert without == before
    for row in rows:
        labels = np.asarray(Image.open(out / f"regions-{row['file_name']}"))
        texts = [region["text"] for region in row["regions"]]
        assert len(set(texts)) == len(texts) == 12
        assert sum(region["mask"] is None for region in row["regions"]) == 4
        for region in row["regions"]:
            if region["mask"]:
                assert np.isin(labels, region["values"]).sum() >= MIN_PIXELS
    assert len(list_pictures(Source(out)).records) == 6
    whole = (out / "metadata.jsonl").read_bytes()
    (out / "regions-00003.png").unlink()
    (out / "metadata.jsonl").unlink()
    synthesize(category, 6, 48, 2, out, regions=True)
    assert (out / "metadata.jsonl").read_bytes() == whole
    with pytest.raises(UsageError, match="other settings"):
        synthesize(category, 6, 48, 2, plain, regions=True)
    data = ReferringDataset.open(out, 48, limit=4)
    assert (len(data), len(data.samples)) == (4, 48)
    assert [s.text for s in data.samples[:12]] == [r["text"] for r in rows[0]["regions"]]
    assert all(sample.absent == (not data.mask(i).any()) for i, sample in enumerate(data.samples))


def test_a_folder_made_by_hand(folder):
    pixels = folder.picture("a.png")
    labels = mask(folder, "m.png", value=7)
    folder.metadata(
        {
            "file_name": "a.png",
            "mask": "m.png",
            "phrases": ["the dog", " left dog "],
            "regions": [
                {"text": "the cat", "mask": None},
                {"text": "seven", "mask": "m.png", "values": [7]},
                {"text": "eight", "mask": "m.png", "values": [8]},
            ],
        },
    )
    data = ReferringDataset.open(folder.path, 16)
    assert [s.text for s in data.samples] == ["the cat", "seven", "eight", "the dog", "left dog"]
    assert [s.absent for s in data.samples] == [True, False, True, False, False]
    assert data.of_picture == [[0, 1, 2, 3, 4]]
    assert (data.batch([0])[0].numpy() * 255).round().astype(int).tolist() == (
        pixels.transpose(2, 0, 1).tolist()
    )
    masks = data.masks([1, 2, 3])
    assert masks.shape == (3, 1, 16, 16)
    assert (masks[0, 0].numpy() == (labels > 0)).all() and not masks[1].any()
    assert ReferringDataset.open(folder.zipped(), 16).fingerprint == data.fingerprint


def test_oblong_pictures_and_masks_are_padded_alike(folder):
    folder.picture("a.png", (32, 16), color=(0, 0, 0))
    mask(folder, "m.png", (32, 16), (0, 0, 32, 16))
    folder.metadata({"file_name": "a.png", "mask": "m.png", "phrases": ["all"]})
    data = ReferringDataset.open(folder.path, 16)
    assert ((data.batch([0])[0, 0] < 0.5) == data.mask(0)).all()
    assert data.mask(0).sum() == 16 * 8


@pytest.mark.parametrize(
    "row, message",
    [
        ({"regions": 3}, "line 1: regions is 3"),
        ({"regions": [{"text": " ", "mask": None}]}, "line 1: region 1: text is ' '"),
        ({"regions": [{"text": "a"}]}, "region 1 has no mask"),
        ({"regions": [{"text": "a", "mask": 1}]}, "mask is 1"),
        ({"regions": [{"text": "a", "mask": "m.png", "values": [0]}]}, r"values is \[0\]"),
        ({"phrases": ["a"]}, "phrases without a mask"),
        ({"phrases": [""], "mask": "m.png"}, "text is ''"),
        ({"phrases": ["a"], "mask": "none.png"}, "none.png, a mask of a.png .* is not there"),
        ({"phrases": ["a"], "mask": "small.png"}, "small.png is 8x16, but its picture a.png is 16"),
        ({"phrases": ["a"], "mask": "bad.png"}, "bad.png, a mask of a.png .* is not a picture"),
        ({}, "has no phrase"),
    ],
)
def test_what_is_wrong_is_one_line(folder, row, message):
    folder.picture("a.png")
    mask(folder, "m.png")
    mask(folder, "small.png", (8, 16))
    (folder.path / "bad.png").write_bytes(b"bad")
    folder.metadata({"file_name": "a.png", **row})
    with pytest.raises(UsageError, match=message) as caught:
        ReferringDataset.open(folder.path, 16)
    assert "\n" not in str(caught.value)


@pytest.fixture
def coco(folder):
    folder.picture("images/x.jpg", (20, 16))
    instances = {
        "images": [{"id": 5, "file_name": "x.jpg", "width": 20, "height": 16}],
        "annotations": [{"id": 9, "segmentation": [[2, 3, 12, 3, 12, 9, 2, 9]]}],
    }
    refs = [
        {
            "ref_id": 1,
            "ann_id": 9,
            "image_id": 5,
            "split": split,
            "file_name": "x_9.jpg",
            "sentences": [{"sent": f"{split} dog", "raw": "Dog"}],
        }
        for split in ("train", "val")
    ]
    (folder.path / "instances.json").write_text(json.dumps(instances))
    (folder.path / "refs(unc).json").write_text(json.dumps(refs))
    return folder.path


def test_refcoco_is_read(coco):
    data = ReferringDataset.open(coco, 20, split="val")
    assert [sample.text for sample in data.samples] == ["val dog"]
    assert data.mask(0)[5:11, 2:12].all() and data.mask(0).sum() == 60
    assert len(ReferringDataset.open(coco, 20, images=coco / "images").samples) == 2
    with pytest.raises(UsageError, match="no split 'test'; choose one of train, val"):
        ReferringDataset.open(coco, 20, split="test")


def test_a_pickle_of_refs_is_not_read(coco):
    (coco / "refs(unc).json").rename(coco / "refs(unc).p")
    with pytest.raises(UsageError, match="if you trust it, convert it: python -c") as caught:
        ReferringDataset.open(coco, 20)
    assert "\n" not in str(caught.value)


def test_data_check_counts_phrases_and_names_broken_masks(tmp_path):
    from clipnerf.data.check import check

    out = synthesize("chairs", 3, 32, 2, tmp_path / "set", regions=True)
    assert check(out).phrases == (36, 12) and check(out).ok
    (out / "regions-00001.png").write_bytes(b"no picture")
    (out / "regions-00002.png").unlink()
    found = check(out)
    assert not found.ok and "regions-00001.png" in found.errors[0]
    assert "1 other mask" in found.errors[0]
