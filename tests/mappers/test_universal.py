"""The universal mapper: turns on the sphere, strength inside, one file, bound to its models."""

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.mappers.universal import Universal, rotate_codes
from tests.tiny_bundle import CODE_DIM, tiny_universal


def _inputs(batch: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    embedding = torch.nn.functional.normalize(torch.randn(batch, 16, generator=rng), dim=1)
    return embedding, torch.randn(batch, CODE_DIM, generator=rng)


@pytest.fixture
def universal() -> Universal:
    return tiny_universal(generator_hash="g" * 16, clip_hash="c" * 16).requires_grad_(False)


@pytest.mark.parametrize("which", ["shape", "appearance"])
def test_a_change_is_a_turn_by_strength_times_the_angle(universal, which):
    mapper = universal.of(which)
    embedding, codes = _inputs()
    angles = []
    for strength in (-1.0, 0.5, 1.0):
        moved = mapper.apply_to(codes, embedding, strength)
        assert torch.allclose(moved.norm(dim=1), codes.norm(dim=1), rtol=1e-5)
        angles.append(torch.nn.functional.cosine_similarity(moved, codes).acos())
    assert float(angles[2].min()) > 1e-3
    assert torch.allclose(angles[0], angles[2], atol=1e-3)
    assert torch.allclose(2 * angles[1], angles[2], atol=1e-3)
    assert torch.allclose(codes + mapper(embedding, codes), mapper.apply_to(codes, embedding))


def test_strength_0_gives_the_very_same_codes(universal):
    embedding, codes = _inputs()
    assert universal.shape.apply_to(codes, embedding, 0) is codes
    assert universal.shape.apply_to(codes, embedding, torch.zeros(6)) is codes
    some = universal.shape.apply_to(codes, embedding, torch.tensor([0.0, 1, 0, 1, 0, 1]))
    assert torch.equal(some[::2], codes[::2])
    assert not torch.equal(some[1], codes[1])


def test_it_sees_the_code(universal):
    embedding, codes = _inputs()
    one = embedding[:1]
    ways = universal.shape(one, codes)
    assert float((ways[0] - ways[1]).norm()) > 1e-3


def test_only_the_direction_counts_not_its_length(universal):
    embedding, codes = _inputs()
    mapper = universal.shape
    far = mapper.centre + 3 * (embedding - mapper.centre)
    assert torch.allclose(mapper(embedding, codes), mapper(far, codes), atol=1e-5)


def test_a_turn_has_a_gradient_where_it_starts():
    codes = torch.randn(3, 8)
    way = torch.zeros(3, 8, requires_grad=True)
    rotate_codes(codes, way, 1.0).sum().backward()
    assert way.grad is not None and bool(torch.isfinite(way.grad).all())
    assert float(way.grad.abs().sum()) > 0


def test_what_is_saved_is_what_is_loaded(universal, tmp_path):
    path = universal.save(tmp_path / "m.safetensors")
    loaded = Universal.load(path, generator_hash="g" * 16, clip_hash="c" * 16)
    embedding, codes = _inputs()
    for which in ("shape", "appearance"):
        kept = universal.of(which).apply_to(codes, embedding)
        assert torch.allclose(loaded.of(which).apply_to(codes, embedding), kept, atol=0.02)
    assert torch.allclose(loaded.route(embedding).shape, universal.route(embedding).shape, atol=0.1)
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("what", ["generator", "clip"])
def test_another_generator_or_clip_is_refused(universal, tmp_path, what):
    path = universal.save(tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="was trained for (generator|CLIP) .* not for other"):
        Universal.load(path, **{f"{what}_hash": "other"})


def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError) as caught:
        Universal.load(tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_no_number_is_refused(universal, strength):
    embedding, codes = _inputs()
    with pytest.raises(UsageError, match="finite"):
        universal.shape.apply_to(codes, embedding, strength)
