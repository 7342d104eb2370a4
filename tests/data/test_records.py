"""metadata.jsonl: what it may say, and one line for each way of being wrong."""

import pytest

from clipnerf.data.pictures import Source
from clipnerf.data.records import list_pictures
from clipnerf.errors import UsageError


def listed(folder):
    return list_pictures(Source(folder.path))


def test_everything_known_is_read(folder):
    folder.picture("a.png")
    folder.picture("m.png")
    folder.metadata(
        {
            "file_name": "a.png",
            "text": "a red chair",
            "texts": ["a red chair", "a red seat", " "],
            "contrasts": [["a red seat", "a blue seat"]],
            "azimuth_deg": 10,
            "elevation_deg": 20.5,
            "object_id": 7,
            "mask": "m.png",
            "shape": "sedan",
            "attributes": {"seat_color": "red"},
            "boxes": [1, 2],
        }
    )
    (record,) = listed(folder).records
    assert record.texts == ("a red chair", "a red seat")
    assert record.contrasts == (("a red seat", "a blue seat"),)
    assert (record.azimuth_deg, record.elevation_deg, record.object_id) == (10.0, 20.5, "7")
    assert record.mask == "m.png"
    assert record.attributes == {"shape": "sedan", "seat_color": "red"}


def test_without_metadata_every_picture_counts_in_order(folder):
    for name in ("b.jpg", "a.PNG", "sub/c.webp"):
        folder.picture(name)
    (folder.path / "notes.txt").write_text("x")
    assert [r.file_name for r in listed(folder).records] == ["a.PNG", "b.jpg", "sub/c.webp"]


def test_masks_and_edited_twins_are_no_pictures_of_the_set(folder):
    for name in ("a.png", "mask-a.png", "edit-a.png", "edit-mask-a.png", "extra.png"):
        folder.picture(name)
    folder.metadata({"file_name": "a.png", "mask": "mask-a.png"})
    (folder.path / "pairs.jsonl").write_text(
        '{"file_name": "a.png", "edited_file_name": "edit-a.png", '
        '"edited_mask": "edit-mask-a.png"}\n'
    )
    listing = listed(folder)
    assert [r.file_name for r in listing.records] == ["a.png", "extra.png"]
    assert listing.unlisted == ("extra.png",)


def test_names_are_relative_to_their_own_metadata(folder):
    folder.picture("one/a.png")
    folder.picture("two/a.png")
    for name in ("one", "two"):
        line = f'{{"file_name": "a.png", "text": "{name}"}}\n'
        (folder.path / name / "metadata.jsonl").write_text(line)
    expected = [("one/a.png", "one"), ("two/a.png", "two")]
    assert [(r.file_name, r.text) for r in listed(folder).records] == expected
    zipped = list_pictures(Source(folder.zipped(inside="photos/")))
    assert [r.file_name for r in zipped.records] == ["photos/one/a.png", "photos/two/a.png"]


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 has no file_name"),
        ('{"text": "a"}', "line 2 has no file_name"),
        ('{"file_name": "b.png", "text": 3}', "line 2: text is 3; allowed is a string"),
        ('{"file_name": "b.png", "texts": "x"}', "line 2: texts is 'x'; allowed is a list"),
        ('{"file_name": "b.png", "contrasts": [["a"]]}', "allowed is a list of .true, false. cap"),
        ('{"file_name": "b.png", "text": "' + "x" * 300 + '"}', "line 2: text is .* 200 in a word"),
        ('{"file_name": "b.png", "contrasts": [["' + "x " * 20000 + '", "b"]]}', "20000 letters"),
        ('{"file_name": "b.png", "text": "\\ud800"}', "half a letter"),
        ('{"file_name": "b.png", "azimuth_deg": "left"}', "azimuth_deg is 'left'; allowed is a n"),
        ('{"file_name": "b.png", "elevation_deg": NaN}', "line 2 is not JSON"),
        ('{"file_name": "b.png", "attributes": []}', "attributes is \\[\\]; allowed is an object"),
        ('{"file_name": "a.png"}', "line 2 names a.png a second time"),
        ('{"file_name": "gone.png"}', "names 1 files that are not there: gone.png"),
    ],
)
def test_a_bad_line_is_named(folder, line, message):
    folder.picture("a.png")
    folder.picture("b.png")
    (folder.path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n' + line + "\n")
    with pytest.raises(UsageError, match=message) as caught:
        listed(folder)
    assert "\n" not in str(caught.value)


def test_other_encodings(folder):
    folder.picture("a.png")
    text = '{"file_name": "a.png", "text": "ein grüner\u2028Stuhl"}\n'
    (folder.path / "metadata.jsonl").write_bytes(text.encode("utf-8-sig"))
    assert listed(folder).records[0].text == "ein grüner\u2028Stuhl"
    (folder.path / "metadata.jsonl").write_bytes(text.replace("\u2028", " ").encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        listed(folder)


def test_no_picture(folder):
    with pytest.raises(UsageError, match="holds no picture; png, jpg"):
        listed(folder)
    (folder.path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="no picture among its 1 files"):
        listed(folder)
