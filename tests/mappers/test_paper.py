"""Mappers: identity at the start, strength inside, bound to their generator and CLIP."""

import pytest
import torch

from clipnerf.config.mapper import MapperConfig
from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.mappers.paper import Mapper


def _mapper(which: str = "appearance", trained: bool = True) -> Mapper:
    torch.manual_seed(0)
    mapper = Mapper(
        which, 16, 8, MapperConfig(hidden=12), generator_hash="g" * 16, clip_hash="c" * 16
    )
    if trained:
        torch.nn.init.normal_(mapper.end.weight)
        torch.nn.init.normal_(mapper.end.bias)
    return mapper


def _inputs(batch: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(batch, 16), dim=1), torch.randn(batch, 8)


def test_it_is_two_layers_of_the_papers_width():
    mapper = Mapper("shape", 512, 128)
    shapes = {name: tuple(p.shape) for name, p in mapper.named_parameters()}
    assert shapes["hidden.weight"] == (256, 512) and shapes["end.weight"] == (128, 256)
    assert len(shapes) == 4


def test_starts_as_the_identity_and_still_learns():
    mapper = _mapper(trained=False)
    embedding, codes = _inputs()
    assert torch.equal(mapper(embedding, codes), torch.zeros(5, 8))
    mapper(embedding, codes).sum().backward()
    assert float(mapper.end.weight.grad.abs().sum()) > 0


def test_what_counts_is_the_direction_from_the_centre(tmp_path):
    embedding, codes = _inputs()
    plain = _mapper()
    torch.manual_seed(0)
    centered = Mapper("appearance", 16, 8, MapperConfig(hidden=12), centre=embedding[0])
    centered.load_state_dict({**plain.state_dict(), "centre": embedding[0]})
    moved = centered(embedding + embedding[0], codes)
    assert torch.allclose(moved, plain(embedding, codes), atol=1e-4)
    loaded = Mapper.load(centered.save(tmp_path / "m.safetensors"))
    assert torch.equal(loaded.centre, embedding[0])


def test_the_papers_mapper_does_not_see_the_codes():
    mapper = _mapper()
    embedding, codes = _inputs()
    assert torch.equal(mapper(embedding, codes), mapper(embedding, codes * 3 + 1))
    one = mapper(embedding[:1], codes)
    assert one.shape == codes.shape and torch.equal(one[0], one[4])


@torch.no_grad()
def test_strength_is_linear_and_zero_is_the_same_bits():
    mapper = _mapper()
    embedding, codes = _inputs()
    codes[0, 0] = -0.0
    assert mapper.apply_to(codes, embedding, 0.0) is codes
    full = mapper.apply_to(codes, embedding, 1.0) - codes
    assert float(full.abs().max()) > 0.1
    for strength in (0.5, 2.0, -1.0):
        change = mapper.apply_to(codes, embedding, strength) - codes
        assert torch.allclose(change, strength * full, atol=1e-5)
    assert torch.allclose(
        mapper.apply_to(codes, embedding[:1], 1.0)[3], codes[3] + full[0], atol=1e-6
    )


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf")])
def test_strength_has_to_be_finite(strength):
    embedding, codes = _inputs()
    with pytest.raises(UsageError, match="strength of appearance is"):
        _mapper().apply_to(codes, embedding, strength)


def test_round_trip(tmp_path):
    mapper = _mapper("shape")
    path = mapper.save(tmp_path / "mapper_shape.safetensors")
    loaded = Mapper.load(path, generator_hash="g" * 16, clip_hash="c" * 16)
    embedding, codes = _inputs()
    assert loaded.which == "shape" and loaded.config == mapper.config
    assert torch.equal(loaded(embedding, codes), mapper(embedding, codes))
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize(
    ("hashes", "name"),
    [({"generator_hash": "x" * 16}, "generator"), ({"clip_hash": "x" * 16}, "CLIP")],
)
def test_another_generator_or_clip_is_refused(tmp_path, hashes, name):
    path = _mapper().save(tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match=f"trained for {name} .{{16}}, not for x{{16}}") as caught:
        Mapper.load(path, **hashes)
    assert "\n" not in str(caught.value) and "train-mapper" in str(caught.value)


def test_broken_and_foreign_files(tmp_path):
    path = _mapper().save(tmp_path / "m.safetensors")
    half = tmp_path / "half.safetensors"
    half.write_bytes(path.read_bytes()[:-100])
    for bad in (half, tmp_path / "missing.safetensors"):
        with pytest.raises(ClipNerfError) as caught:
            Mapper.load(bad)
        assert "\n" not in str(caught.value) and bad.name in str(caught.value)


def test_values_out_of_range():
    with pytest.raises(UsageError, match="kind is 'universal'; allowed: paper"):
        Mapper("shape", 16, 8, MapperConfig(kind="universal"))
    with pytest.raises(UsageError, match="hidden is 0"):
        Mapper("shape", 16, 8, MapperConfig(hidden=0))
