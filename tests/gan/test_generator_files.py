"""Generators on disk: the same picture again, and one line for every file that is none."""

import pytest
import torch
from safetensors.torch import save_file

from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.discriminator import Discriminator
from clipnerf.gan.generator import Generator
from clipnerf.io.weights import save_weights


@pytest.mark.parametrize("conditioning", ["disentangled", "entangled"])
def test_a_file_gives_the_same_picture_frozen(make_generator, tmp_path, conditioning):
    generator = make_generator(field={"conditioning": conditioning}, front_azimuth_deg=12.0)
    generator.field.set_progress(2.5, 0.7)
    generator.save(tmp_path / "g.safetensors")
    loaded = Generator.load(tmp_path / "g.safetensors")
    codes = Codes.from_seeds([0, 1], 8)
    one = generator.render(codes, generator.camera(30.0, 20.0, 12))
    other = loaded.render(codes, loaded.camera(30.0, 20.0, 12))
    for name in ("rgb", "opacity", "depth"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert loaded.config == generator.config and loaded.hash == generator.hash
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_the_hash_follows_the_weights(make_generator):
    generator, again = make_generator(), make_generator()
    assert generator.hash == again.hash and len(generator.hash) == 16
    again.field.grid.table[0, 0] += 1e-6
    assert generator.hash != again.hash


def one_line(path) -> str:
    with pytest.raises(UsageError) as error:
        Generator.load(path)
    message = str(error.value)
    assert "\n" not in message and path.name in message
    return message


def test_a_missing_file(tmp_path):
    assert "does not exist" in one_line(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file(make_generator, tmp_path, share):
    path = tmp_path / "g.safetensors"
    make_generator().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "truncated" in one_line(path)


def test_foreign_files(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    assert "clipnerf did not write it" in one_line(foreign)
    pickled = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(3)}, pickled)
    assert "no safetensors" in one_line(pickled)


def test_a_discriminator_is_no_generator(pretrain_config, tmp_path):
    path = tmp_path / "d.safetensors"
    Discriminator(pretrain_config().discriminator).save(path)
    assert "holds discriminator weights" in one_line(path)


@pytest.mark.parametrize(
    ("config", "said"), [({"field": {"wavelets": 3}, "camera": {}}, "wavelets"), ({}, "field")]
)
def test_a_configuration_of_another_version_is_refused(tmp_path, config, said):
    path = save_weights(tmp_path / "g.safetensors", {}, kind="generator", config=config)
    message = one_line(path)
    assert "does not fit its own configuration" in message and said in message
