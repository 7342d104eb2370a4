"""The patch discriminator."""

import pytest
import torch

from clipnerf.config.generator import DiscriminatorConfig
from clipnerf.errors import UsageError
from clipnerf.gan.discriminator import OPPONENT, Discriminator
from clipnerf.gan.patches import Patches


def make(patch: int = 16) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(patch=patch, width=8, max_width=16))


@pytest.mark.parametrize("patch", [8, 16, 32, 64])
def test_one_logit_a_patch(patch):
    logits = make(patch)(torch.rand(3, 3, patch, patch), Patches.whole(3))
    assert logits.shape == (3,) and logits.dtype == torch.float32
    assert bool(logits.isfinite().all()) and float(logits.detach().std()) > 0


def test_it_knows_the_patchs_scale_and_offset():
    discriminator, picture = make(), torch.rand(1, 3, 16, 16)

    def logit(scale: float, x: float, y: float) -> float:
        return discriminator(
            picture, Patches(torch.tensor([scale]), torch.tensor([[x, y]], dtype=torch.float32))
        ).item()

    logits = [logit(1.0, 0, 0), logit(0.5, 0, 0), logit(0.5, 0.5, 0), logit(0.5, 0, 0.5)]
    assert len({round(value, 5) for value in logits}) == 4


def test_pictures_of_a_batch_do_not_see_each_other():
    discriminator, pictures = make(), torch.rand(3, 3, 16, 16)
    together = discriminator(pictures, Patches.whole(3))
    alone = torch.cat([discriminator(p[None], Patches.whole(1)) for p in pictures])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_file_gives_the_same_discriminator_frozen(tmp_path):
    discriminator, pictures = make(), torch.rand(2, 3, 16, 16)
    discriminator.save(tmp_path / "d.safetensors")
    loaded = Discriminator.load(tmp_path / "d.safetensors")
    assert torch.equal(
        loaded(pictures, Patches.whole(2)), discriminator(pictures, Patches.whole(2))
    )
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded.config == discriminator.config


@pytest.mark.parametrize("patch", [4, 24])
def test_a_patch_that_cannot_be_halved_down_is_named(patch):
    with pytest.raises(UsageError, match=f"discriminator.patch is {patch}"):
        make(patch)


def test_one_of_another_generator_is_refused(make_generator, pretrain_config, tmp_path):
    """By what its file says; where that says nothing, by the generator beside it."""
    own, other = make_generator(), make_generator(stir=0.3)
    path = tmp_path / "discriminator.safetensors"
    discriminator = Discriminator(pretrain_config().discriminator)
    discriminator.save(path, {OPPONENT: own.hash})
    Discriminator.load(path)
    Discriminator.load(path, own.hash)
    with pytest.raises(UsageError, match=f"generator {own.hash}, and this one is {other.hash}"):
        Discriminator.load(path, other.hash)
    discriminator.save(path)
    Discriminator.load(path, other.hash)
    own.save(tmp_path / "generator.safetensors")
    Discriminator.load(path, own.hash)
    with pytest.raises(UsageError, match="trained with the generator"):
        Discriminator.load(path, other.hash)
