import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from clipnerf.config.inversion import EncoderConfig
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.inversion.encoder import Encoder
from clipnerf.io.weights import (
    SUMS,
    listed_files,
    load_weights,
    rebuilt,
    save_weights,
    weights_hash,
)
from tests.tiny_bundle import tiny_bundle, tiny_parts, tiny_universal


def _tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "table": torch.randn(16, 2, generator=generator),
        "half": torch.randn(3, generator=generator).half(),
        "step": torch.tensor(7),
    }


def test_round_trip(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = _tensors()
    config = {"field": {"levels": 6, "box": [1.0, 0.5]}, "path": Path("x")}
    assert save_weights(path, tensors, kind="mapper", config=config, extra={"for": "abc"}) == path
    weights = load_weights(path, "mapper")
    assert set(weights.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(weights.tensors[name], tensor)
        assert weights.tensors[name].dtype == tensor.dtype
    assert weights.config == {"field": {"levels": 6, "box": [1.0, 0.5]}, "path": "x"}
    assert weights.metadata["for"] == "abc" and weights.metadata["kind"] == "mapper"
    assert {"format_version", "project_version", "git_commit"} <= set(weights.metadata)
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_tied_and_transposed_tensors(tmp_path):
    tied = torch.arange(6.0).reshape(2, 3)
    path = save_weights(
        tmp_path / "w.safetensors", {"a": tied, "b": tied, "c": tied.T}, kind="k", config={}
    )
    assert torch.equal(load_weights(path, "k").tensors["c"], tied.T)


def test_missing_and_folder(tmp_path):
    with pytest.raises(UsageError, match="none.safetensors' does not exist"):
        load_weights(tmp_path / "none.safetensors", "generator")
    with pytest.raises(UsageError, match="is a folder"):
        load_weights(tmp_path, "generator")


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_truncated(tmp_path, kept):
    path = save_weights(tmp_path / "w.safetensors", _tensors(), kind="generator", config={"a": 1})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UsageError, match="w.safetensors.*is truncated or no safetensors") as caught:
        load_weights(path, "generator")
    assert "\n" not in str(caught.value)


def test_foreign(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="clipnerf did not write it"):
        load_weights(tmp_path / "foreign.safetensors", "generator")
    torch.save({"a": torch.zeros(2)}, tmp_path / "pickle.safetensors")
    with pytest.raises(UsageError, match="no safetensors file"):
        load_weights(tmp_path / "pickle.safetensors", "generator")


def test_wrong_kind_and_newer_format(tmp_path):
    path = save_weights(tmp_path / "w.safetensors", _tensors(), kind="mapper", config={})
    with pytest.raises(UsageError, match="holds mapper weights, but generator weights"):
        load_weights(path, "generator")
    newer = {"kind": "mapper", "format_version": "99", "config": "{}"}
    save_file({"a": torch.zeros(2)}, path, metadata=newer)
    with pytest.raises(UsageError, match="format version 99.*update clipnerf"):
        load_weights(path, "mapper")


def test_extra_may_not_replace_what_describes_the_file(tmp_path):
    with pytest.raises(ValueError, match="'kind'"):
        save_weights(tmp_path / "w.safetensors", {}, kind="a", config={}, extra={"kind": "b"})


def test_a_full_disk_keeps_the_old_weights(tmp_path, monkeypatch):
    path = save_weights(tmp_path / "w.safetensors", _tensors(), kind="k", config={})
    before = path.read_bytes()

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ClipNerfError, match="disk is full"):
        save_weights(path, {"other": torch.ones(5)}, kind="k", config={})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_hash_changes_with_anything():
    tensors = _tensors()
    known = weights_hash(tensors)
    assert len(known) == 16 and int(known, 16) >= 0
    assert weights_hash(dict(reversed(tensors.items()))) == known
    changed = []
    for name in tensors:
        flipped = {**tensors, name: tensors[name].clone()}
        flipped[name].view(-1)[-1:].add_(1)
        changed.append(weights_hash(flipped))
    changed.append(weights_hash({**tensors, "table": tensors["table"].reshape(2, 16)}))
    changed.append(weights_hash({**tensors, "step": torch.tensor(7, dtype=torch.int32)}))
    renamed = dict(tensors)
    renamed["new"] = renamed.pop("half")
    changed.append(weights_hash(renamed))
    assert known not in changed and len(set(changed)) == len(changed)


def _all_kinds(folder):
    tiny_parts(tiny_bundle(folder, layers=3))
    Encoder(EncoderConfig(width=4, hidden=8, bins=4, size=32), 16, "x").save(
        folder / "e.safetensors"
    )
    hashes = {"generator_hash": "", "clip_hash": ""}
    tiny_universal(**hashes).save(folder / "mapper_universal.safetensors")
    return sorted(folder.glob("*.safetensors"))


def _kind(path):
    with safe_open(path, "pt") as file:
        return file.metadata()["kind"]


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path):
    """Of files of every kind: in their tensors, their metadata and the offsets between the two."""
    draw, silent = random.Random(0), 0
    for path in _all_kinds(tmp_path):
        kind, whole = _kind(path), path.read_bytes()
        known = load_weights(path, kind)
        head = 8 + int.from_bytes(whole[:8], "little")
        places = [draw.randrange(head) for _ in range(30)]
        places += [draw.randrange(head, len(whole)) for _ in range(20)]
        for place in places:
            damaged = bytearray(whole)
            damaged[place] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            try:
                found = load_weights(path, kind)
            except UsageError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                continue
            silent += 1  # e.g. the blanks that fill up the head
            assert found.config == known.config and found.metadata == known.metadata
            assert weights_hash(found.tensors) == weights_hash(known.tensors)
        path.write_bytes(whole)
    assert silent < 10


def _without_digest(path, kind):
    """As it was written before there were digests."""
    weights = load_weights(path, kind)
    metadata = {k: v for k, v in weights.metadata.items() if k != "digest"}
    metadata |= {"format_version": "1", "config": json.dumps(weights.config)}
    save_file(weights.tensors, path, metadata=metadata)


def test_files_of_before_are_read_and_a_list_beside_them_vouches_for_them(tmp_path):
    path = save_weights(tmp_path / "w.safetensors", _tensors(), kind="mapper", config={"a": 1})
    _without_digest(path, "mapper")
    assert load_weights(path, "mapper").config == {"a": 1}
    sums = tmp_path / SUMS
    sums.write_text(
        subprocess.run(["sha256sum", path.name], cwd=tmp_path, stdout=-1, text=True).stdout
    )
    assert list(listed_files(tmp_path)) == ["w.safetensors"]
    load_weights(path, "mapper")
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match="w.safetensors' is damaged, or another file than SHA256"):
        load_weights(path, "mapper")
    # one that was made since is its own witness
    save_weights(path, _tensors(), kind="mapper", config={"a": 2})
    assert load_weights(path, "mapper").config == {"a": 2}
    sums.write_bytes(b"\xff\xfe")
    _without_digest(path, "mapper")
    with pytest.raises(UsageError, match="is no list of digests; remove it"):
        load_weights(path, "mapper")


def test_a_digest_cannot_be_left_out(tmp_path):
    path = save_weights(tmp_path / "w.safetensors", _tensors(), kind="mapper", config={})
    metadata = load_weights(path, "mapper").metadata
    without = {k: v for k, v in metadata.items() if k != "digest"} | {"config": "{}"}
    save_file(_tensors(), path, metadata=without)
    with pytest.raises(UsageError, match="it lacks its digest"):
        load_weights(path, "mapper")


@pytest.mark.parametrize("config", ["null", "[]", "3", '"a"', "{", "NaN", "[" * 4000])
def test_a_configuration_that_is_none(tmp_path, config):
    path = tmp_path / "w.safetensors"
    metadata = {"kind": "mapper", "format_version": "1", "config": config}
    save_file({"a": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(UsageError) as caught:
        load_weights(path, "mapper")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_whatever_is_altered_in_a_file_is_one_line():
    """A configuration's every leaf, the rest of the metadata, tensors; by hand, so no digest."""
    run = [sys.executable, "-m", "tests.io.altered_weights", "12"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    *faults, count = done.stdout.splitlines()
    assert not faults and int(count) > 300


def test_what_does_not_fit_is_refused_before_it_takes_memory():
    built = []

    def build() -> torch.nn.Module:
        built.append(torch.nn.Linear(10**6, 10**6))  # 4 TB
        return built[-1]

    with pytest.raises(ValueError, match=r"bias is \(2,\), its configuration \(1000000,\)"):
        rebuilt(build, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
    assert [module.weight.device.type for module in built] == ["meta"]
    whole = torch.nn.Linear(2, 3)
    again = rebuilt(lambda: torch.nn.Linear(2, 3), whole.state_dict())
    assert torch.equal(whole.weight, again.weight) and again.bias.device.type == "cpu"
