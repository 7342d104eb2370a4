"""The model: equations, invariances, and its file."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional

from clipnerf.config.segmentation import SegmenterConfig
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_weights, save_weights
from clipnerf.segmentation.decoder import DecoderLayer, pixel_positions, sine_positions
from clipnerf.segmentation.losses import dice, text_to_pixel
from clipnerf.segmentation.neck import Neck, coordinates
from clipnerf.segmentation.projector import TextToPixel
from clipnerf.segmentation.segmenter import Segmenter
from tests.segmentation.conftest import TINY


@pytest.fixture(scope="module")
def segmenter(resnet) -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Segmenter(TINY, resnet).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_one_phrase_a_picture_or_many(segmenter, pictures):
    texts = ["the disc", "the square", "the left disc"]
    chance = segmenter.segment(pictures, texts)
    assert chance.shape == (3, 1, 32, 32) and 0 < float(chance.min()) < float(chance.max()) < 1
    alone = torch.cat([segmenter.segment(pictures[i : i + 1], [t]) for i, t in enumerate(texts)])
    torch.testing.assert_close(chance, alone)
    several = segmenter.segment(pictures[:1], texts)
    torch.testing.assert_close(several[:1], chance[:1])
    assert not torch.allclose(several[1], several[0])


def test_words_behind_the_phrase_change_nothing(segmenter, pictures):
    """A longer neighbor in the batch brings padding, which the decoder must not read."""
    short = segmenter.segment(pictures[:1], ["the disc"])
    beside = segmenter.segment(pictures[:1], ["the disc", "the left disc a the right square a"])
    torch.testing.assert_close(beside[:1], short)


def test_an_exclamation_mark_is_a_word_and_no_padding(segmenter):
    assert segmenter.backbone._clip[0].tokens(["the disc!~ left"])[0, 3] == 0
    words = segmenter.backbone.words(["the disc!~ left", "disc"])
    assert (~words.padding).sum(1).tolist() == [7, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"contrastive": False},
        {"decoder_layers": 0},
        {"decoder_layers": 3},
        {"skip": False},
        {"sharp": False},
        {"facing": False},
    ],
)
def test_every_switch_of_the_ablation_learns(resnet, pictures, changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Segmenter(dataclasses.replace(TINY, **changes), resnet).train()
    words = model.backbone.words(["the disc", "the square"])
    logits = model(pictures, words, torch.tensor([0, 2]))
    assert logits.shape == (2, 1, 16, 16)
    text_to_pixel(logits, torch.ones_like(logits)).backward()
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle


def test_a_vit_is_a_backbone_as_well(vit, pictures):
    config = dataclasses.replace(TINY, levels=[0, 1, 2])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Segmenter(config, vit).eval()
    assert model.segment(pictures, ["the disc"] * 3).shape == (3, 1, 32, 32)
    assert [m.shape[-1] for m in model.backbone.maps(pictures)] == [4, 4, 4]


def test_levels_that_a_clip_has_not(resnet):
    with pytest.raises(UsageError, match=r"model.levels \[2, 3, 9\]"):
        Segmenter(dataclasses.replace(TINY, levels=[2, 3, 9]), resnet)


def test_a_clip_whose_words_cannot_be_read(resnet, monkeypatch):
    """As of Hugging Face's text towers, which give no features of single words here."""

    def no_text(self, image=None, text=None, **how):
        raise AttributeError("'HFTextEncoder' object has no attribute 'forward_intermediates'")

    monkeypatch.setattr(type(resnet.model), "forward_intermediates", no_text)
    with pytest.raises(UsageError, match="words of the CLIP .* cannot be read .*HFTextEncoder"):
        Segmenter(TINY, resnet)


def test_decoder_layer_is_the_papers_equations():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = DecoderLayer(8, 2, 16, 0.0).eval()
        x, words = torch.randn(2, 9, 8), torch.randn(2, 4, 8)
    at_pixels, at_words = pixel_positions(3, 3, 8, x.device), torch.randn(1, 4, 8)
    padding = torch.tensor([[False, False, False, True], [False, False, True, True]])

    def attention(module, q, k, v, hidden=None):
        w, b = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
        q, k, v = (functional.linear(a, m, n) for a, m, n in zip((q, k, v), w, b, strict=True))
        q, k, v = (a.unflatten(2, (2, 4)).transpose(1, 2) for a in (q, k, v))
        score = q @ k.mT / math.sqrt(4)
        if hidden is not None:
            score = score.masked_fill(hidden[:, None, None], -torch.inf)
        return module.out_proj((score.softmax(-1) @ v).transpose(1, 2).flatten(2))

    with torch.no_grad():
        a = layer.norm_pixels(x)
        f_v = attention(layer.look_around, a + at_pixels, a + at_pixels, a) + x
        b = layer.norm_cross(f_v)
        f_c = attention(layer.read, b + at_pixels, words + at_words, words, padding) + f_v
        wanted = layer.mlp(layer.norm_mlp(f_c)) + f_c
        found = layer(x, words, padding, at_pixels, at_words)
    torch.testing.assert_close(found, wanted)


def test_positions_tell_every_pixel_apart():
    places = pixel_positions(6, 5, 16, torch.device("cpu"))[0]
    assert float(torch.pdist(places).min()) > 0.1
    torch.testing.assert_close(sine_positions(torch.tensor([0.0]), 4), torch.tensor([[0.0, 1] * 2]))


def test_coordinates_run_from_corner_to_corner():
    grid = coordinates(torch.zeros(2, 1, 3, 5))
    assert grid.shape == (2, 2, 3, 5)
    assert grid[0, :, 0, 0].tolist() == [-1, -1] and grid[1, :, -1, -1].tolist() == [1, 1]
    assert grid[0, :, 0, -1].tolist() == [1, -1]


def test_the_sentence_gates_the_deepest_map():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        neck = Neck([4, 4, 4], 6, 8).eval()
        maps = [torch.randn(1, 4, s, s) for s in (8, 4, 2)]
        sentences = torch.randn(2, 6)
    out = neck(maps, sentences, torch.tensor([0, 0]))
    assert out.shape == (2, 8, 4, 4) and not torch.allclose(out[0], out[1])
    with torch.no_grad():  # a gate that is shut lets nothing of the deepest map through
        neck.sentence[0].weight.zero_()
        neck.sentence[0].bias.fill_(-1.0)
    shut = neck(maps, sentences, torch.tensor([0, 0]))
    other = neck([*maps[:2], maps[2] + 1], sentences, torch.tensor([0, 0]))
    assert torch.equal(shut, other)
    torch.testing.assert_close(shut[0], shut[1])


def test_projector_lays_each_phrases_kernel_over_its_own_pixels():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head, pixels, sentence = TextToPixel(3, 5), torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    found = head(pixels, sentence)
    for row in range(2):
        z_t = head.text(sentence[row])
        alone = functional.conv2d(
            pixels[row : row + 1], z_t[:-1].view(1, 3, 3, 3), z_t[-1:], padding=1
        )
        torch.testing.assert_close(found[row : row + 1], alone)


def test_contrastive_loss_is_the_papers_sum():
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 0.0]]]])
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    s = 1 / (1 + torch.exp(-logits))
    wanted = -(s[mask == 1].log().sum() + (1 - s[mask == 0]).log().sum()) / 4
    torch.testing.assert_close(text_to_pixel(logits, mask), wanted)


def test_dice_asks_nothing_of_phrases_that_name_nothing():
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, 0, :2] = 1
    right = torch.where(mask > 0, 20.0, -20.0)
    assert float(dice(right, mask)) < 1e-4
    wrong = right.clone()
    wrong[1] = 20.0
    assert float(dice(wrong, mask)) < 1e-4
    assert float(dice(-right, mask)) > 0.9


def test_file_holds_what_changed_and_gives_the_same_masks(segmenter, resnet, pictures, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Segmenter(TINY, resnet)
    model.backbone.learn(["the front wheel"], torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.backbone.model.visual.layer1[0].conv1.weight.add_(0.5)
    model.eval()
    path = model.save(tmp_path / "segmenter.safetensors")
    again = Segmenter.load(path, resnet)
    texts = ["the front wheel", "the disc", "the square"]
    torch.testing.assert_close(
        again.segment(pictures, texts), model.segment(pictures, texts), atol=2e-2, rtol=0
    )
    assert again.unknown_words("the front banana") == ["banana"]
    assert resnet.unknown_words("the front banana") == ["front", "banana"]
    assert again.hash == Segmenter.load(path, resnet).hash != segmenter.hash
    names = set(model.backbone.changes())
    assert names == {"visual.layer1.0.conv1.weight", "token_rows", "token_ids"}
    assert path.stat().st_size < 200_000


def test_files_from_before_the_sharp_way_are_read(resnet, pictures, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Segmenter(dataclasses.replace(TINY, sharp=False), resnet).eval()
    path = model.save(tmp_path / "segmenter.safetensors")
    weights = load_weights(path, "segmenter")
    config = {key: value for key, value in weights.config.items() if key != "sharp"}
    old = save_weights(
        tmp_path / "old.safetensors",
        weights.tensors,
        kind="segmenter",
        config=config,
        extra={key: weights.metadata[key] for key in ("clip_hash", "tokens")},
    )
    again = Segmenter.load(old, resnet)
    assert not again.config.sharp
    texts = ["the disc"] * 3
    torch.testing.assert_close(
        again.segment(pictures, texts), model.segment(pictures, texts), atol=2e-2, rtol=0
    )


def test_another_clip_is_refused(resnet, vit, tmp_path):
    path = Segmenter(TINY, resnet).save(tmp_path / "segmenter.safetensors")
    with pytest.raises(UsageError, match="belongs to the CLIP"):
        Segmenter.load(path, vit)


def test_fine_tuning_leaves_the_clip_alone(resnet, pictures):
    before = resnet.hash
    model = Segmenter(TINY, resnet)
    model.backbone.learn(["the wheel"], torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    del resnet.__dict__["hash"]
    assert resnet.hash == before


@pytest.mark.parametrize("texts", [[], ["  "], ["the disc", "", "a"]])
def test_empty_phrases(segmenter, pictures, texts):
    with pytest.raises(UsageError, match="is empty|phrases for"):
        segmenter.segment(pictures, texts)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("levels", [1, 2]),
        ("levels", [3, 2, 1]),
        ("input_size", 50),
        ("heads", 7),
        ("width", 18),
        ("decoder_layers", 13),
        ("dropout", 1.0),
    ],
)
def test_values_out_of_range(key, value):
    with pytest.raises(UsageError, match=rf"^{key} is "):
        SegmenterConfig(**{key: value}).validate()
