"""`data check`: every fault by name, and a warning for each thing that spoils training."""

import pytest

from clipnerf.data.check import check
from clipnerf.data.procedural.synthesize import synthesize
from clipnerf.errors import UsageError


def test_a_good_set_is_ready(tmp_path):
    report = check(synthesize("chairs", 100, 32, 0, tmp_path / "chairs", pairs=2))
    assert report.ok
    assert report.pictures == report.captions == report.poses == report.objects == 100
    assert report.sizes == {(32, 32): 100}
    assert report.white_borders == 1.0
    assert report.warnings == (
        "100 pictures are few; expect a generator to copy them (500 and more are good)",
    )
    assert "ready for training" in report.lines()[-1]


def test_every_broken_picture_is_named(ten):
    for i in range(7):
        (ten.path / f"{i}.png").write_bytes(b"" if i else b"hello")
    report = check(ten.path)
    assert not report.ok
    assert dict(report.broken)["0.png"] == "is not a picture"
    assert [name for name, _ in report.broken] == [f"{i}.png" for i in range(7)]
    text = "\n".join(report.lines())
    assert "10, of which 3 can be read" in text
    assert all(f"{i}.png is" in text for i in range(7))
    assert "not ready" in report.lines()[-1]


def test_what_spoils_training_is_warned_of(folder):
    for i in range(4):
        folder.picture(f"{i}.png", (40, 40))
    folder.picture("4.png", (60, 20), color=(255, 255, 255))
    folder.picture("5.png", (40, 40), color=(0, 0, 0))
    folder.picture("6.png", (40, 40), color=(0, 0, 0))
    folder.picture("7.png", (40, 40))
    folder.metadata(
        *({"file_name": f"{i}.png", "text": "a" if i else ""} for i in range(6)),
        {"file_name": "6.png", "text": "b", "elevation_deg": 100, "azimuth_deg": 0},
    )
    report = check(folder.path)
    assert report.ok
    found = "\n".join(report.warnings)
    for expected in (
        "of 2 sizes",
        "1 pictures are not square",
        "smallest picture is 20 pixels",
        "only 12% of the pictures have a white border",
        "8 pictures are few",
        "2 pictures have no caption: 0.png, 7.png",
        "elevation_deg is outside -90 to 90 in 1 pictures: 6.png",
        "1 pictures repeat another one: 5.png = 6.png",
        "1 pictures have no line in metadata.jsonl: 7.png",
    ):
        assert expected in found
    assert len(report.warnings) == 9


def test_no_captions_at_all_is_said_once(folder):
    folder.picture("a.png", (32, 32))
    assert any("pretrain needs none" in text for text in check(folder.path).warnings)


def test_a_wrong_metadata_is_reported_beside_the_pictures(ten):
    (ten.path / "metadata.jsonl").write_text("{")
    report = check(ten.path)
    assert (report.ok, report.pictures) == (False, 10)
    assert "line 1 is not JSON" in report.errors[0]


def test_a_zip_is_read_in_place(ten):
    assert check(ten.zipped()).pictures == 10


def test_no_picture_is_an_error(folder):
    with pytest.raises(UsageError, match="holds no picture"):
        check(folder.path)
