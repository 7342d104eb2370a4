"""Folders and zips as people, systems and enemies leave them: what is found, and in time."""

import io
import json
import os
import tracemalloc
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from clipnerf.data import source as module
from clipnerf.data.check import check
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.records import list_pictures
from clipnerf.data.source import BrokenPicture, Source
from clipnerf.errors import ClipNerfError, UsageError


def png(level: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (level, 90, 200)).save(file, "PNG")
    return file.getvalue()


def zipped(path, entries) -> Source:
    """A zip of (name, content), names written as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return Source(path)


def records(source: Source) -> list[str]:
    return [record.file_name for record in list_pictures(source).records]


LINKS = {
    "itself": {"again": "."},
    "its parent": {"up": ".."},
    "the root of all": {"up": "/"},
    "a folder inside": {"again": "sub"},
    "in a ring": {"sub/one": "..", "one": "sub", "sub/two": "one"},
    "each other": {"loop-a": "loop-b", "loop-b": "loop-a"},
    "many ways": {**{f"sub/{n}": ".." for n in range(9)}, **{f"n{n}": "sub" for n in range(9)}},
    "nothing": {"gone": "nowhere"},
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_add_no_picture_twice_and_end(folder, kind):
    for name in ("a.png", "b.png", "sub/c.png", "sub/d.png"):
        folder.picture(name)
    for name, target in LINKS[kind].items():
        (folder.path / name).symlink_to(target)
    assert records(Source(folder.path)) == ["a.png", "b.png", "sub/c.png", "sub/d.png"]


def test_linked_folders_elsewhere_are_followed_once(folder, tmp_path):
    folder.picture("a.png")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.png").write_bytes(png())
    for name in ("x", "y"):
        (folder.path / name).symlink_to(tmp_path / "more")
    assert records(Source(folder.path)) == ["a.png", "x/b.png"]
    (tmp_path / "linked").symlink_to(folder.path)
    assert records(Source(tmp_path / "linked")) == ["a.png", "x/b.png"]


def test_pipes_and_dangling_links_are_named_and_hang_nothing(folder):
    for n in range(3):
        folder.picture(f"{n}.png")
    os.mkfifo(folder.path / "pipe.png")
    os.mkfifo(folder.path / "no-suffix")
    (folder.path / "gone.png").symlink_to("nowhere.png")
    (folder.path / "self.png").symlink_to("self.png")
    broken = dict(check(folder.path).broken)
    assert broken["pipe.png"] == "is no regular file"
    assert "link to nothing" in broken["gone.png"] and "self.png" in broken
    with pytest.raises(UsageError, match="3 of 6 pictures.*pipe.png is no regular file"):
        PictureDataset(folder.path, 16)
    os.mkfifo(folder.path / "metadata.jsonl")
    with pytest.raises(UsageError, match="metadata.jsonl cannot be read .is no regular file"):
        PictureDataset(folder.path, 16)
    with pytest.raises(UsageError, match="neither a folder nor a zip"):
        Source(folder.path / "pipe.png")


def test_what_systems_put_beside_pictures_is_left_out(folder):
    names = [
        "a.png",
        "@eaDir/a.png/thumb.png",
        "@eadir/b.png",
        "sub/@eaDir/c.png",
        "#recycle/d.png",
        "__MACOSX/e.png",
        ".@__thumb/f.png",
        "._a.png",
        "$RECYCLE.BIN/g.png",
    ]
    for name in names:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_bytes(png())
    assert records(Source(folder.path)) == ["a.png"] == records(Source(folder.zipped()))


def test_pictures_left_out_for_their_suffix_are_mentioned(folder):
    folder.picture("a.png")
    content = (folder.path / "a.png").read_bytes()
    for name in ("b.jfif", "c.HEIC", "d.avif", "without"):
        (folder.path / name).write_bytes(content)
    (folder.path / "LICENSE").write_text("free")
    (folder.path / "notes.txt").write_text("x")
    for source in (Source(folder.path), Source(folder.zipped())):
        listing = list_pictures(source)
        assert listing.left_out == ("b.jfif", "c.HEIC", "d.avif", "without")
        assert len(listing.records) == 1
        (said,) = [text for text in check(source.path).warnings if "left out" in text]
        assert "4 files" in said and "b.jfif" in said and "rename" in said
    with pytest.warns(UserWarning, match="4 files look like pictures"):
        PictureDataset(folder.path, 16)
    (folder.path / "a.png").unlink()
    with pytest.raises(UsageError, match="holds no picture among its 6 files.*b.jfif"):
        list_pictures(Source(folder.path))
    folder.picture("a.png")
    folder.metadata({"file_name": "b.jfif"})  # who names a file means it
    assert list_pictures(Source(folder.path)).left_out == ("c.HEIC", "d.avif", "without")


@pytest.mark.parametrize(
    "spelt", ["a.png", "./a.png", "sub/../a.png", "/a.png", ".//a.png", ".\\a.png"]
)
def test_entries_of_zips_are_found_however_they_are_spelt(tmp_path, spelt):
    line = json.dumps({"file_name": "a.png", "text": "a chair"})
    source = zipped(tmp_path / "a.zip", [(spelt, png()), ("metadata.jsonl", line)])
    (record,) = list_pictures(source).records
    assert (record.file_name, record.text) == ("a.png", "a chair")
    assert len(PictureDataset(source.path, 16)) == 1


def test_entries_with_backslashes_keep_their_captions(tmp_path):
    line = json.dumps({"file_name": "a.png", "text": "a chair"})
    entries = [("sub\\", b""), ("sub\\a.png", png()), ("sub\\metadata.jsonl", line)]
    (record,) = list_pictures(zipped(tmp_path / "a.zip", entries)).records
    assert (record.file_name, record.text) == ("sub/a.png", "a chair")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_entries_of_a_name_the_last_counts_once(tmp_path):
    source = zipped(tmp_path / "a.zip", [("a.png", png(1)), ("./a.png", png(2)), ("a.png", png(3))])
    data = PictureDataset(source.path, 16)
    assert len(data) == 1 and data[0][0].unique().item() == 3


def test_entries_outside_are_only_names(tmp_path):
    source = zipped(tmp_path / "a.zip", [("../out.png", png()), ("a.png", png())])
    assert records(source) == ["a.png"]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 2**20)
    zeros = bytes(2**25)
    source = zipped(tmp_path / "a.zip", [("a.png", zeros), ("b.png", png()), ("huge", zeros)])
    assert source.path.stat().st_size < 2**17
    tracemalloc.start()
    try:
        with pytest.raises(BrokenPicture, match="is 32 MB long; allowed: 1 MB"):
            source.open("a.png")
        assert dict(check(source.path).broken).keys() == {"a.png"}
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_an_entry_longer_than_it_says_is_broken(tmp_path):
    source = zipped(tmp_path / "a.zip", [("a.png", bytes(2**22))])
    raw = bytearray(source.path.read_bytes())
    at = raw.index(b"PK\1\2") + 24
    raw[at : at + 4] = (1000).to_bytes(4, "little")
    source.path.write_bytes(raw)
    with pytest.raises(BrokenPicture, match="cannot be unpacked"):
        Source(source.path).open("a.png")


def test_a_torn_zip_is_called_one(tmp_path):
    path = zipped(tmp_path / "a.zip", [(f"{n}.png", png(n)) for n in range(20)]).path
    whole = path.read_bytes()
    for share in (0.05, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UsageError, match="is a zip that was cut off; copy or download"):
            Source(path)


@pytest.mark.filterwarnings("ignore")
def test_damaged_zips_are_read_or_refused_in_one_line(tmp_path):
    path = zipped(
        tmp_path / "a.zip", [("a.png", png()), ("metadata.jsonl", '{"file_name": "a.png"}')]
    ).path
    whole, random = path.read_bytes(), np.random.RandomState(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.randint(0, len(whole), 3):
            damaged[place] = random.randint(256)
        path.write_bytes(damaged)
        try:
            PictureDataset(path, 16)
        except ClipNerfError as error:
            assert "\n" not in str(error) and "unexpected" not in str(error)


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("on_disk", FORMS)
@pytest.mark.parametrize("in_table", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_accents_are_the_same_however_they_are_written(folder, on_disk, in_table, packed):
    named = unicodedata.normalize(on_disk, "stühle/é.png")
    mask = unicodedata.normalize(on_disk, "stühle/é-mask.png")
    folder.picture(named)
    folder.picture(mask)
    row = {"file_name": "stühle/é.png", "mask": "stühle/é-mask.png", "phrases": ["ä"]}
    folder.metadata(
        {
            key: unicodedata.normalize(in_table, value) if key in ("file_name", "mask") else value
            for key, value in row.items()
        }
    )
    (record,) = list_pictures(Source(folder.zipped() if packed else folder.path)).records
    assert record.file_name == named and record.regions[0].mask == mask == record.mask
    assert check(folder.path).ok


def test_two_files_that_differ_in_form_alone_stay_two(folder):
    names = [unicodedata.normalize(form, "é.png") for form in FORMS]
    for name in names:
        folder.picture(name)
    folder.metadata(*({"file_name": name, "text": ascii(name)} for name in names))
    assert {r.file_name: r.text for r in list_pictures(Source(folder.path)).records} == {
        name: ascii(name) for name in names
    }


def test_a_name_in_other_capitals_is_hinted_at(folder):
    folder.picture("00000.png")
    folder.metadata({"file_name": "00000.PNG"}, {"file_name": "1.png"})
    with pytest.raises(UsageError, match=r"not there: 00000.PNG \(00000.png is\), 1.png; remove"):
        list_pictures(Source(folder.path))


def test_names_that_cannot_be_printed(folder):
    (folder.path / os.fsdecode(b"\xff.png")).write_bytes(png())
    (folder.path / "a\nb.png").write_bytes(b"")
    lines = check(folder.path).lines()
    assert all("\n" not in line and line.encode() for line in lines)
    with pytest.raises(UsageError, match=r"a\\nb.png is empty"):
        PictureDataset(folder.path, 16)
    (folder.path / "a\nb.png").unlink()
    assert len(PictureDataset(folder.path, 16).fingerprint) == 16


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"file_name": "a.png", "text": "a", "text": "b"}', "the key 'text' is there twice"),
        ('{"file_name": "a.png", "x": ' + "[" * 10**5 + "]" * 10**5 + "}", "is not JSON"),
        ('{"file_name": "a.png", "azimuth_deg": 1' + "0" * 400 + "}", "is not JSON"),
        ('{"file_name": "a.png", "azimuth_deg": 1e999}', "is not JSON"),
        ('{"file_name": "a.png", "x": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"file_name": "a.png", "texts": "' + "x" * 10**6 + '"}', "texts is 'xxx"),
        ('{"file_name": "' + "x" * 5000 + '.png"}', "not there: xxx"),
    ],
)
def test_tables_made_to_harm_are_one_short_line(folder, line, says):
    folder.picture("a.png")
    (folder.path / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=says) as caught:
        list_pictures(Source(folder.path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
