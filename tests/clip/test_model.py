"""Loading of every kind of source, and guidance by a model of full size with random weights."""

import json
import warnings
from pathlib import Path

import open_clip
import pytest
import torch

from clipnerf.clip import model as clip_model
from clipnerf.clip.compact import FILE_NAME
from clipnerf.clip.loss import CaptionLoss
from clipnerf.clip.model import Clip, build
from clipnerf.errors import ClipNerfError, UsageError

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 10, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"size": 32, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "resize_mode": "squash"}


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a ViT-B-32, as a file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vit") / "vit_b_32.pt"
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def vit(vit_file: Path) -> Clip:
    return Clip.load(f"ViT-B-32:{vit_file}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model in open_clip's folder format."""
    config = {"model_cfg": SMALL, "preprocess_cfg": PREPROCESS}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(build(SMALL, PREPROCESS).state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    return tmp_path


def refusal(source: object, kind: type[ClipNerfError] = UsageError) -> str:
    with pytest.raises(kind) as caught:
        Clip.load(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layers", [10**30, 0, [1, 10**9, 1, 1], None])
def test_a_model_of_countless_layers_is_not_begun(layers):
    tower = {"image_size": 32, "width": 8, "layers": layers}
    with pytest.raises(UsageError, match="vision_cfg.layers"):
        build({"embed_dim": 8, "vision_cfg": tower, "text_cfg": {}}, {})


def test_vit_b_32_from_a_file_guides(vit: Clip) -> None:
    """The way the big weights will go: a few steps on the pixels raise the similarity."""
    torch.manual_seed(1)
    text = vit.encode_text(["a red chair"])
    pictures = torch.rand(2, 3, 64, 64).requires_grad_()
    before = None
    for _ in range(3):
        similarity = (vit.encode_image(pictures) @ text.T).mean()
        before = similarity.item() if before is None else before
        (gradient,) = torch.autograd.grad(similarity, pictures)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
        with torch.no_grad():
            pictures += 0.03 * gradient.sign()
            pictures.clamp_(0, 1)
    assert (vit.encode_image(pictures) @ text.T).mean().item() > before + 0.01


def test_vit_b_32_reads_open_clips_own_preprocessing(vit: Clip) -> None:
    assert vit.preprocess.size == (224, 224)
    assert vit.preprocess.mean == open_clip.constants.OPENAI_DATASET_MEAN
    assert vit.embed_dim == 512
    assert not any(p.requires_grad for p in vit.model.parameters()) and not vit.model.training


def test_embeddings_are_of_unit_length_and_texts_are_remembered(vit: Clip) -> None:
    texts = ["a chair", "a red chair", "a chair"]
    embeddings = vit.encode_text(texts)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.equal(embeddings[0], embeddings[2])
    assert vit.encode_text(["a red chair"])[0].data_ptr() != 0
    assert torch.equal(vit.encode_text(["a red chair"])[0], embeddings[1])


def test_a_long_text_says_what_was_cut(vit: Clip) -> None:
    text = " ".join(["red"] * 75 + ["the", "last", "words"])
    with pytest.warns(UserWarning, match="'the last words' was cut"):
        vit.encode_text([text])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vit.encode_text([" ".join(["red"] * 75)])


def test_ten_thousand_characters_are_one_short_warning(vit: Clip, monkeypatch) -> None:
    text = ("a red chair with a high back " * 400)[:10_000]
    read: list[int] = []
    tokenizer = vit._tokenizer

    def counting(texts, *arguments):
        read.extend(map(len, texts))
        return tokenizer(texts, *arguments)

    counting.encode = tokenizer.encode  # type: ignore[attr-defined]
    monkeypatch.setattr(vit, "_tokenizer", counting)
    with pytest.warns(UserWarning, match="was cut.*1 other text") as caught:
        vit.encode_text([text, f"a photo of {text}"])
    assert len(caught) == 1 and len(str(caught[0].message)) < 600
    # word by word from the end it would be 20 million, and a minute
    assert sum(read) < 100_000


def test_a_word_that_is_too_long_is_cut_with_a_warning(vit: Clip) -> None:
    with pytest.warns(UserWarning, match="the end of 'qzqz.*qzqz' was cut"):
        vit.encode_text(["qz" * 250])


@pytest.mark.parametrize("texts", [[""], ["a chair", "  "], []])
def test_empty_text_is_refused(vit: Clip, texts: list[str]) -> None:
    with pytest.raises(UsageError, match="empty"):
        vit.encode_text(texts)


def test_truncated_file(vit_file: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.pt"
    short.write_bytes(vit_file.read_bytes()[:100_000])
    assert "truncated" in refusal(f"RN50:{short}") and "RN50" in refusal(f"RN50:{short}")


def test_weights_of_another_architecture(folder: Path) -> None:
    assert "another architecture" in refusal(f"RN50:{folder / 'open_clip_pytorch_model.bin'}")


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    assert "tensors alone" in refusal(f"RN50:{tmp_path / 'evil.pt'}")
    assert not (tmp_path / "ran").exists()


def test_local_folder(folder: Path) -> None:
    clip = Clip.load(folder)
    assert clip.preprocess.mean == (0.1, 0.2, 0.3) and clip.preprocess.resize_mode == "squash"
    assert clip.encode_image(torch.rand(2, 3, 40, 20)).shape == (2, 16)
    assert clip.encode_text(["a chair"]).shape == (1, 16)
    assert clip.unknown_words("a zyzzyva") == []


def test_folder_without_weights_or_model(tmp_path: Path) -> None:
    assert FILE_NAME in refusal(tmp_path)
    config = {"model_cfg": SMALL, "preprocess_cfg": PREPROCESS}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert str(tmp_path) in refusal(tmp_path)


def test_failed_download_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(clip_model, "download_pretrained", fail)
    with pytest.raises(ClipNerfError) as caught:
        Clip.load("ViT-B-32:laion2b_s34b_b79k")
    line = str(caught.value)
    assert caught.value.exit_code == 1 and "\n" not in line
    assert "no route to host" in line
    assert "ViT-B-32:/path" in line and "open_clip_config.json" in line and "train-clip" in line


@pytest.mark.parametrize(
    "source, named",
    [
        ("ViT-B-33:laion2b", "ViT-B-32"),
        ("vit-b-32:openai", "ViT-B-32"),
        ("ViT-B-32:laion2b_s34b", "laion2b_s34b_b79k"),
        ("ViT-B-32", "openai"),
        ("ViT-B-32:/no/such/file.pt", "/no/such/file.pt"),
        ("/no/such/folder", "/no/such/folder"),
    ],
)
def test_unknown_source_names_what_is_near(source: str, named: str) -> None:
    assert named in refusal(source)


def test_foreign_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model at all, but more than eight bytes of text")
    assert "notes.txt" in refusal(tmp_path / "notes.txt")


def test_loss_is_open_clips_unless_captions_repeat() -> None:
    torch.manual_seed(0)
    pictures, texts = (torch.nn.functional.normalize(torch.randn(6, 8), dim=1) for _ in range(2))
    scale = torch.tensor(10.0)
    ours, theirs = CaptionLoss(), open_clip.ClipLoss()
    assert torch.equal(
        ours(pictures, texts, scale, torch.arange(6)), theirs(pictures, texts, scale)
    )
    # Two pictures of one caption: the best that can be had is to give each half.
    texts = pictures[[0, 0, 2, 3, 4, 5]]
    pictures = pictures[[0, 0, 2, 3, 4, 5]]
    repeated = ours(pictures, texts, torch.tensor(100.0), torch.tensor([7, 7, 2, 3, 4, 5]))
    assert repeated.item() == pytest.approx(2 * 0.693147 / 6, abs=1e-2)
