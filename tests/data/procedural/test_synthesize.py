"""Folders of synthesized pictures: reproducible, resumable, with true masks and pairs."""

import json

import numpy as np
import pytest
from PIL import Image

from clipnerf.data.procedural import chairs
from clipnerf.data.procedural import synthesize as module
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import ClipNerfError, UsageError


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthesize("chairs", 12, 32, 5, tmp_path_factory.mktemp("set") / "chairs", pairs=8)


def test_metadata_says_what_was_drawn(folder):
    records = lines(folder / "metadata.jsonl")
    assert [r["file_name"] for r in records] == [f"{i:05d}.png" for i in range(12)]
    for record in records:
        with Image.open(folder / record["file_name"]) as picture:
            assert (picture.size, picture.mode) == ((32, 32), "RGB")
        assert record["text"] == record["texts"][0]
        assert 0 <= record["azimuth_deg"] < 360
        assert 0 <= record["elevation_deg"] <= 50
        assert record["attributes"]["seat_color"] in chairs.COLORS
    assert len({r["object_id"] for r in records}) == 12


def test_picture_i_does_not_depend_on_count_or_pairs(folder, tmp_path):
    fewer = synthesize("chairs", 3, 32, 5, tmp_path / "fewer")
    for name in ("00000.png", "00001.png", "00002.png"):
        assert (fewer / name).read_bytes() == (folder / name).read_bytes()
    same = {k: v for k, v in lines(folder / "metadata.jsonl")[2].items() if k != "mask"}
    assert lines(fewer / "metadata.jsonl")[2] == same
    other = synthesize("chairs", 1, 32, 6, tmp_path / "other")
    assert (other / "00000.png").read_bytes() != (folder / "00000.png").read_bytes()


def test_an_interrupted_call_is_completed_by_the_same_call(folder, tmp_path, monkeypatch):
    whole, out = contents(folder), tmp_path / "again"
    drawn = 0

    def stop(*args, **optics):
        nonlocal drawn
        drawn += 1
        if drawn == 7:
            raise KeyboardInterrupt
        return real(*args, **optics)

    real = module.render
    monkeypatch.setattr(module, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        synthesize("chairs", 12, 32, 5, out, pairs=8)
    assert not (out / "metadata.jsonl").exists()
    (out / "00001.png").write_bytes(whole["00001.png"][:100])  # as a power cut leaves it
    (out / ".00009.png.1.tmp").write_bytes(b"half")
    synthesize("chairs", 12, 32, 5, out, pairs=8)
    assert contents(out) == whole


def test_masks_name_the_parts(folder):
    records = lines(folder / "metadata.jsonl")
    assert [("mask" in r) for r in records] == [True] * 8 + [False] * 4
    for record in records[:8]:
        with Image.open(folder / record["mask"]) as mask:
            assert mask.mode == "P"
            labels = np.asarray(mask)
        rgb = np.asarray(Image.open(folder / record["file_name"]))
        assert ((labels > 0) <= (rgb < 255).any(axis=2)).all()
        arms = chairs.PARTS.index("armrests") + 1
        if record["attributes"]["armrests"] == "no":
            assert arms not in labels


def test_pairs_change_one_attribute_and_say_which(folder):
    pairs, records = lines(folder / "pairs.jsonl"), lines(folder / "metadata.jsonl")
    assert len(pairs) == 8
    for pair, record in zip(pairs, records, strict=False):
        before, after = record["attributes"], pair["edited_attributes"]
        expected = (
            {"seat_color", "back_color"} if pair["attribute"] == "color" else {pair["attribute"]}
        )
        changed = {key for key in before if before[key] != after[key]} - {"arm_color"}
        assert changed == expected
        assert all(after[key] == pair["to"] and before[key] == pair["from"] for key in expected)
        with Image.open(folder / pair["edited_file_name"]) as edited:
            assert edited.size == (32, 32)
        if pair["attribute"].endswith("color"):
            masks = [(folder / pair[key]) for key in ("mask", "edited_mask")]
            assert masks[0].read_bytes() == masks[1].read_bytes()
            assert pair["to"] in pair["text"]


def test_cars_come_with_captions_masks_and_pairs(tmp_path):
    out = synthesize("cars", 24, 32, 0, tmp_path / "cars", pairs=True)
    records, pairs = lines(out / "metadata.jsonl"), lines(out / "pairs.jsonl")
    assert len(pairs) == 24
    for pair, record in zip(pairs, records, strict=True):
        before, after, key = record["attributes"], pair["edited_attributes"], pair["attribute"]
        assert {k for k in before if before[k] != after[k]} == {key}
        assert (before[key], after[key]) == (pair["from"], pair["to"])
        masks = [(out / pair[name]).read_bytes() for name in ("mask", "edited_mask")]
        pictures = [(out / pair[name]).read_bytes() for name in ("file_name", "edited_file_name")]
        assert pictures[0] != pictures[1]
        if key in ("color", "wheel_color", "windows"):
            assert masks[0] == masks[1]
        rgb = np.asarray(Image.open(out / record["file_name"]))
        labels = np.asarray(Image.open(out / record["mask"]))
        assert ((labels > 0) <= (rgb < 255).any(axis=2)).all()
        assert len(record["texts"]) == 6
    assert len({pair["attribute"] for pair in pairs}) >= 5


def test_views_share_an_object(tmp_path):
    out = synthesize("chairs", 6, 16, 0, tmp_path / "views", views=3)
    records = lines(out / "metadata.jsonl")
    assert len({r["object_id"] for r in records}) == 2
    assert records[0]["attributes"] == records[2]["attributes"]
    assert len({r["azimuth_deg"] for r in records}) == 6


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"category": "tables"}, "no procedural category 'tables'; choose one of chairs"),
        ({"count": 0}, "count is 0; allowed is 1 to"),
        ({"size": 4}, "size is 4; allowed is 8 to 1024"),
        ({"seed": -1}, "seed is -1"),
        ({"pairs": 9}, "pairs is 9; allowed is 0 to 2"),
        ({"views": 0}, "views is 0"),
    ],
)
def test_misuse_is_one_line_and_writes_nothing(tmp_path, arguments, message):
    out = tmp_path / "set"
    wanted = {"category": "chairs", "count": 2, "size": 16, "seed": 0, "out": out, **arguments}
    with pytest.raises(UsageError, match=message) as caught:
        synthesize(**wanted)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_other_things_are_not_mixed_into_a_folder(folder, tmp_path):
    with pytest.raises(UsageError, match="other settings"):
        synthesize("chairs", 12, 32, 6, folder)
    with pytest.raises(UsageError, match="already holds 12 pictures, count is 4"):
        synthesize("chairs", 4, 32, 5, folder)
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="not empty and was not made by synthesize"):
        synthesize("chairs", 2, 16, 0, tmp_path)


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    def full(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ClipNerfError, match="the disk is full"):
        synthesize("chairs", 2, 16, 0, tmp_path / "set")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["synthesize.json"]


def test_field_of_view_and_rays_a_pixel_reach_the_pictures(tmp_path):
    def drawn(name: str, **options) -> np.ndarray:
        folder = synthesize("cars", 1, 48, 0, tmp_path / name, **options)
        return np.asarray(Image.open(folder / "00000.png")).astype(int)

    plain = drawn("plain")
    wide, near = (
        (np.abs(p - 255).sum(-1) > 30).any(0).sum() for p in (plain, drawn("near", fov_deg=24.0))
    )
    half = [np.tan(np.radians(fov) / 2) for fov in (30, 24)]
    assert abs(near / wide - half[0] / half[1]) < 0.1
    # one ray a pixel: no mixtures of object and background
    sharp = drawn("sharp", oversampling=1)
    colors = [len(np.unique(p.reshape(-1, 3), axis=0)) for p in (plain, sharp)]
    assert colors[1] < 0.5 * colors[0]
    with pytest.raises(UsageError, match="cars"):
        synthesize("cars", 1, 48, 0, tmp_path / "sharp")


@pytest.mark.parametrize("name", ["synthesize.json", "metadata.jsonl"])
@pytest.mark.parametrize("damage", ["folder", "binary"])
def test_a_folder_whose_own_files_are_damaged(tmp_path, name, damage):
    out = synthesize("chairs", 1, 16, 0, tmp_path / "set")
    good = (out / name).read_bytes()
    (out / name).unlink()
    if damage == "folder":
        (out / name).mkdir()
    else:
        (out / name).write_bytes(b"\x80\xff" * 300)
    if (name, damage) == ("metadata.jsonl", "binary"):  # what can be written again is
        assert (synthesize("chairs", 1, 16, 0, out) / name).read_bytes() == good
    else:
        with pytest.raises(UsageError, match="cannot be read|other settings") as error:
            synthesize("chairs", 1, 16, 0, out)
        assert len(str(error.value)) < 800
