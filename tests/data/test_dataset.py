"""Sets of pictures: the same order in memory and streamed, resumed or not; faults at the start."""

import pickle
from itertools import islice

import numpy as np
import pytest
import torch

from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError


def opened(folder, size=16, **options):
    return PictureDataset(folder.path, size, **options)


def take(iterator, count):
    return list(islice(iterator, count))


def test_pictures_and_batches(ten):
    pixels = ten.picture("3.png")
    dataset = opened(ten)
    assert len(dataset) == 10
    assert dataset[3].dtype == torch.uint8
    np.testing.assert_array_equal(dataset[3].numpy(), pixels.transpose(2, 0, 1))
    batch = dataset.batch([3, 0, 3])
    assert batch.dtype == torch.float32
    assert batch.shape == (3, 3, 16, 16)
    torch.testing.assert_close(batch[0], dataset[3] / 255)
    assert torch.equal(batch[0], batch[2])
    with pytest.raises(IndexError):
        dataset[10]


def test_a_step_depends_on_seed_and_step_alone(ten):
    dataset = opened(ten)
    whole = take(dataset.batches(4, seed=1), 9)
    resumed = take(dataset.batches(4, seed=1, start_step=5), 4)
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], resumed, strict=True))
    assert not torch.equal(whole[0], next(dataset.batches(4, seed=2)))


def test_every_picture_comes_once_an_epoch(ten):
    indices = [i for step in take(opened(ten).plan(4, seed=0), 15) for i in step]
    for epoch in range(6):
        assert sorted(indices[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert indices[:10] != indices[10:20]
    assert sorted(sum(take(opened(ten).plan(25, seed=0), 2), [])) == sorted(list(range(10)) * 5)


def test_ranks_share_a_step(ten):
    dataset = opened(ten)
    alone = take(dataset.plan(6, seed=3), 4)
    ranks = [take(dataset.plan(3, seed=3, rank=r, world_size=2), 4) for r in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == alone


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_streaming_equals_memory(ten, zipped, workers):
    path = ten.zipped() if zipped else ten.path
    memory = PictureDataset(path, 8, in_memory=True)
    stream = PictureDataset(path, 8, in_memory=False)
    assert stream.fingerprint == memory.fingerprint
    torch.manual_seed(0)
    before = torch.get_rng_state()
    streamed = stream.batches(3, seed=0, start_step=2, workers=workers)
    for a, b in zip(take(memory.batches(3, seed=0, start_step=2), 6), streamed, strict=False):
        assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(memory.batch([1, 2]), stream.batch([1, 2]))


def test_a_zip_is_the_folder(ten):
    a, b = opened(ten), PictureDataset(ten.zipped(inside="photos/"), 16)
    assert torch.equal(a.batch(range(10)), b.batch(range(10)))
    assert [r.text for r in b.records] == [r.text for r in a.records]
    assert len(pickle.loads(pickle.dumps(b))) == 10


def test_the_budget_decides_what_stays_in_memory(ten, monkeypatch):
    monkeypatch.setattr("clipnerf.data.dataset.MEMORY_BUDGET", 10 * 3 * 15 * 15)
    assert not opened(ten).in_memory
    assert opened(ten, size=15).in_memory


@pytest.mark.parametrize("in_memory", [True, False])
def test_broken_pictures_are_all_named_in_one_line(ten, in_memory):
    for i in range(7):
        (ten.path / f"{i}.png").write_bytes(b"")
    with pytest.raises(UsageError, match="7 of 10 pictures.*0.png is empty.*and 2 more") as caught:
        opened(ten, in_memory=in_memory)
    assert "\n" not in str(caught.value)
    with pytest.warns(UserWarning, match="7 of 10 pictures.*left out"):
        rest = opened(ten, in_memory=in_memory, skip_broken=True)
    assert [r.file_name for r in rest.records] == ["7.png", "8.png", "9.png"]
    assert torch.equal(rest[0], opened_alone(ten, "7.png"))


def opened_alone(folder, name):
    from clipnerf.data.pictures import Source, decode

    return torch.from_numpy(decode(Source(folder.path), name, 16)[0])


def test_nothing_but_broken_pictures_is_an_error_even_when_skipping(folder):
    (folder.path / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="1 of 1 pictures"):
        opened(folder, skip_broken=True)


def test_a_picture_that_breaks_during_a_run_is_replaced_with_a_warning(ten):
    dataset = opened(ten, in_memory=False)
    (ten.path / "4.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="4.png is empty; the next picture is used"):
        batches = take(dataset.batches(5, seed=0, workers=0), 2)
    assert torch.cat(batches).shape[0] == 10


def test_several_sizes_are_resized_with_a_warning(ten):
    ten.picture("3.png", (40, 20))
    with pytest.warns(UserWarning, match=r"2 sizes: 16x16 \(9\), 40x20 \(1\).*resized to 16x16"):
        dataset = opened(ten)
    assert dataset.batch(range(10)).shape == (10, 3, 16, 16)


def test_small_pictures_and_unlisted_pictures_are_warned_of(ten):
    with pytest.warns(UserWarning, match="10 of 10 pictures.*smaller than 32"):
        opened(ten, size=32)
    ten.picture("new.png")
    with pytest.warns(UserWarning, match="1 pictures.*no line in metadata.jsonl: new.png"):
        opened(ten)


def test_a_good_set_warns_of_nothing(ten, recwarn):
    opened(ten)
    opened(ten, in_memory=False)
    assert [str(w.message) for w in recwarn] == []


def test_captions_or_the_names_of_those_without(ten):
    assert opened(ten).captions()[2] == ("a picture 2",)
    ten.metadata(*({"file_name": f"{i}.png", "text": "x" if i else ""} for i in range(10)))
    with pytest.raises(UsageError, match="1 of 10 pictures.*no caption: 0.png; give each a line"):
        opened(ten).captions()


def test_the_fingerprint_changes_with_pictures_and_words(ten):
    first = opened(ten).fingerprint
    assert opened(ten, size=8).fingerprint == first
    ten.picture("3.png", color=(1, 2, 3))
    second = opened(ten).fingerprint
    ten.metadata(*({"file_name": f"{i}.png", "text": "other"} for i in range(10)))
    assert len({first, second, opened(ten).fingerprint}) == 3


@pytest.mark.parametrize("action", [lambda d: d.plan(0, 0), lambda d: opened(d, size=0)])
def test_values_out_of_range(ten, action):
    with pytest.raises(UsageError, match="is 0; allowed is 1"):
        action(opened(ten) if "plan" in action.__code__.co_names else ten)
