"""The differentiable preprocessing against open_clip's own transform."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms.functional import to_tensor

from clipnerf.clip.preprocess import Preprocess


def photo(width: int, height: int) -> Image.Image:
    """Structure at every scale, like a photograph, with grain and clipped lights."""
    rng = np.random.RandomState(0)
    picture = np.full((height, width, 3), 0.6)
    for cells in (2, 4, 8, 16, 32, 64):
        field = Image.fromarray(rng.randint(0, 256, (cells, cells, 3)).astype(np.uint8))
        picture += (np.asarray(field.resize((width, height), 3)) / 255 - 0.5) * 1.5 / cells**0.5
    picture += rng.randn(height, width, 3) * 0.02
    return Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))


def both(picture: Image.Image, **config) -> tuple[torch.Tensor, torch.Tensor]:
    """What open_clip makes of the PIL picture, and what we make of its tensor."""
    cfg = PreprocessCfg(**config)
    theirs = image_transform_v2(cfg, is_train=False)(picture)[None]
    return theirs, Preprocess.from_config(asdict(cfg))(to_tensor(picture)[None])


@pytest.mark.parametrize("size", [224, 64])
@pytest.mark.parametrize(
    "width, height", [(224, 224), (64, 64), (128, 128), (640, 480), (100, 57), (333, 511)]
)
def test_equals_open_clip_on_pil_pictures(width: int, height: int, size: int) -> None:
    theirs, ours = both(photo(width, height), size=size)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-3


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [96, (96, 128)])
def test_every_mode_equals_open_clip(size, resize_mode: str, interpolation: str) -> None:
    config = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation}
    theirs, ours = both(photo(320, 200), mean=(0.5,) * 3, std=(0.5,) * 3, fill_color=127, **config)
    assert (ours - theirs).abs().max() < 1e-3


def test_rounding_to_8_bits_is_what_makes_them_equal() -> None:
    """Without it the two differ by more than the tolerance on average: it cannot be left out."""
    picture = photo(320, 200)
    theirs, _ = both(picture, size=96)
    ours = Preprocess.from_config(asdict(PreprocessCfg(size=96)))(
        to_tensor(picture)[None], round_8bit=False
    )
    assert (ours - theirs).abs().mean() > 1e-3


def test_unrounded_equals_open_clip_on_tensors() -> None:
    """Bilinear, as open_clip's transform does not clamp the overshoot of bicubic on tensors."""
    cfg = PreprocessCfg(size=96, interpolation="bilinear")
    picture = to_tensor(photo(320, 200))
    theirs = image_transform_v2(cfg, is_train=False)(picture)[None]
    ours = Preprocess.from_config(asdict(cfg))(picture[None], round_8bit=False)
    assert (ours - theirs).abs().max() < 1e-4


def test_gradients_are_those_of_the_smooth_resize() -> None:
    preprocess = Preprocess(size=(8, 8), mean=(0.4,) * 3, std=(0.3,) * 3)
    picture = (0.3 + 0.4 * torch.rand(1, 3, 12, 12, dtype=torch.double)).requires_grad_()
    weights = torch.randn(1, 3, 8, 8, dtype=torch.double)
    gradients = [
        torch.autograd.grad((preprocess(picture, round_8bit) * weights).sum(), picture)[0]
        for round_8bit in (True, False)
    ]
    assert torch.allclose(*gradients, atol=1e-5)
    assert torch.autograd.gradcheck(lambda x: preprocess(x, False), picture)


def test_mean_std_and_size_come_from_the_configuration() -> None:
    preprocess = Preprocess.from_config({"size": 4, "mean": [0.1, 0.2, 0.3], "std": [0.5, 1, 2]})
    out = preprocess(torch.full((1, 3, 4, 4), 0.6))
    assert torch.allclose(out[0, :, 0, 0], torch.tensor([1.0, 0.4, 0.15]))


def test_black_and_white_stay_black_and_white() -> None:
    preprocess = Preprocess(size=(24, 24), mean=(0.0,) * 3, std=(1.0,) * 3)
    for level in (0.0, 1.0):
        out = preprocess(torch.full((1, 3, 10, 17), level))
        assert torch.allclose(out, torch.full_like(out, level))
