"""Training of a compact CLIP: learns, resumes bit for bit, and writes a small whole file."""

import json
from pathlib import Path

import open_clip
import pytest
import torch

from clipnerf.clip.captions import encode_short
from clipnerf.clip.compact import FILE_NAME, VOCABULARY, load
from clipnerf.clip.model import Clip, build
from clipnerf.clip.train import plan, train_clip
from clipnerf.clip.trainer import Trainer
from clipnerf.config.clip import CompactClipConfig, TrainClipConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.training.checkpoints import load_state


def state(run: Path) -> dict:
    step, kept, _ = load_state(run / "checkpoints")
    return {"step": step, "state": kept}


def test_learns_colors_and_shapes(trained: Path, capsys: pytest.CaptureFixture) -> None:
    last = [json.loads(line) for line in (trained / "stats.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in last if "loss" in line]
    assert losses[-1] < losses[0] - 0.3
    accuracies = {k: v for line in last for k, v in line.items() if k.startswith("zero_shot/")}
    assert accuracies["zero_shot/color"] > 0.6


def test_file_is_small_and_an_ordinary_open_clip_model(trained: Path) -> None:
    path = trained / FILE_NAME
    loaded = load(path)
    # The whole table would be 49,408 x 32 x 2 bytes = 3 MB.
    assert path.stat().st_size < 1_000_000
    table = loaded.state_dict["text.token_embedding.weight"]
    assert table.shape == (VOCABULARY, 32)
    never, neither = (open_clip.SimpleTokenizer().encode(w)[0] for w in ("zebra", "volcano"))
    assert torch.equal(table[never], table[neither])
    clip = Clip.load(trained)
    assert isinstance(clip.model, open_clip.CustomTextCLIP)
    assert clip.preprocess.size == (32, 32) and clip.preprocess.mean == pytest.approx((0.75,) * 3)
    assert clip.hash == Clip.load(path).hash


def test_unknown_words(trained: Path) -> None:
    clip = Clip.load(trained)
    assert clip.unknown_words("A photo of a red disc.") == []
    assert clip.unknown_words("a red Zebra, a disc") == ["zebra"]
    assert clip.unknown_words("!?! ...") == ["!?!", "..."]
    # Words never seen mean the same little.
    zebra, volcano = clip.encode_text(["a red zebra", "a red volcano"])
    assert torch.allclose(zebra, volcano)


def test_four_steps_are_two_and_two(tiny, pictures: Path, tmp_path: Path) -> None:
    whole = train_clip(tiny(pictures, tmp_path / "whole", steps=4))
    halves = tmp_path / "halves"
    train_clip(tiny(pictures, halves, steps=2))
    train_clip(tiny(pictures, halves, steps=4))
    expected, found = state(whole), state(halves)
    assert expected["step"] == found["step"] == 4
    for part in ("model", "optimizer"):
        flat_expected, flat_found = flat(expected["state"][part]), flat(found["state"][part])
        assert flat_expected.keys() == flat_found.keys()
        for name, value in flat_expected.items():
            same = (
                torch.equal(value, flat_found[name])
                if torch.is_tensor(value)
                else (value == flat_found[name])
            )
            assert same, name


def flat(value: object, prefix: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {
            k: v for key, item in value.items() for k, v in flat(item, f"{prefix}/{key}").items()
        }
    if isinstance(value, list):
        return flat(dict(enumerate(value)), prefix)
    return {prefix: value}


def test_texts_without_their_padding_are_encoded_alike() -> None:
    torch.manual_seed(0)
    model = build(CompactClipConfig().model_cfg(VOCABULARY), CompactClipConfig().preprocess_cfg())
    tokens = open_clip.SimpleTokenizer(context_length=32)(
        ["a chair", "a chair with a tall ladder back", "a red and a blue chair", "legs"]
    )
    with torch.no_grad():
        assert torch.allclose(encode_short(model, tokens), model.encode_text(tokens), atol=1e-5)
        assert model.text.attn_mask.shape == (32, 32)


def test_plan_says_what_would_be_done(tiny, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "never"
    found = plan(tiny(pictures, out, steps=7))
    assert "48 pictures" in found["data"] and "7 of 16" in found["steps"]
    assert found["out"] == str(out) and not out.exists()


def test_missing_captions(tiny, pictures: Path, tmp_path: Path) -> None:
    lines = (pictures / "metadata.jsonl").read_text().splitlines()
    some = tmp_path / "some"
    some.mkdir()
    for index, line in enumerate(lines):
        entry = json.loads(line)
        (some / entry["file_name"]).write_bytes((pictures / entry["file_name"]).read_bytes())
        if index in (3, 5):
            del entry["texts"]
        lines[index] = json.dumps(entry)
    (some / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(UsageError, match="2 of 48 .* 003.png, 005.png") as caught:
        train_clip(tiny(some, tmp_path / "out", steps=1))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    # Opened before: threads decode, and Python records warnings for one thread only.
    data = PictureDataset(some, 32)
    config = tiny(some, tmp_path / "out", steps=1, missing_captions="skip")
    with pytest.warns(UserWarning, match="2 of 48"):
        trainer = Trainer(config, data, torch.device("cpu"))
    assert not {3, 5} & {*trainer.learned, *trainer.held_out}
    assert len(trainer.learned) + len(trainer.held_out) == 46


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"lr": 0.0}, "lr"),
        ({"held_out": 1.5}, "held_out"),
        ({"batch": 1}, "batch"),
        ({"captions": 0}, "captions"),
        ({"model": CompactClipConfig(image_size=50)}, "model.image_size is 50"),
        ({"zero_shot": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_values_out_of_range(pictures: Path, tmp_path: Path, changes: dict, named: str) -> None:
    changes = {"model": CompactClipConfig(image_size=32), **changes}
    config = TrainClipConfig(data=str(pictures), out=str(tmp_path / "out"), **changes)
    with pytest.raises(UsageError, match=named):
        train_clip(config)
    assert not (tmp_path / "out").exists()


def test_another_configuration_does_not_resume(tiny, trained: Path, pictures: Path) -> None:
    with pytest.raises(UsageError, match="seed"):
        train_clip(tiny(pictures, trained, steps=40, checkpoint_every=40, lr=5e-3, seed=1))


def test_contrasts_bind_words(tiny, pictures: Path, tmp_path: Path) -> None:
    """The false twin of a caption is learned to lie farther; where no picture has one, nothing
    changes."""
    lines = [json.loads(line) for line in (pictures / "metadata.jsonl").read_text().splitlines()]
    some = tmp_path / "contrasts"
    some.mkdir()
    for index, line in enumerate(lines):
        (some / line["file_name"]).write_bytes((pictures / line["file_name"]).read_bytes())
        line["texts"] = ["a thing"]  # without the pairs there is nothing to learn from
        color = line["attributes"]["color"]
        others = [c for c in ("red", "green", "blue") if c != color]
        if index % 4:  # some have none
            line["contrasts"] = [[f"a {color} thing", f"a {c} thing"] for c in others]
    (some / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    questions = tmp_path / "zero_shot.yaml"
    questions.write_text("color: {red: a red thing, green: a green thing, blue: a blue thing}\n")
    config = tiny(some, tmp_path / "out", steps=40, zero_shot=str(questions), checkpoint_every=40)
    stats = (train_clip(config) / "stats.jsonl").read_text().splitlines()
    accuracies = [json.loads(line).get("zero_shot/color") for line in stats]
    assert [a for a in accuracies if a is not None][-1] > 0.9
    data = PictureDataset(some, 32)
    trainer = Trainer(config, data, torch.device("cpu"))
    rows = trainer._contrasts_of([0, 1, 2, 3])
    assert len(rows) == 4  # two pairs
    for true, false, index in zip(rows[0], rows[1], range(4), strict=True):
        pairs = trainer.contrasts[index]
        assert (true, false) in pairs if pairs else true == false
    config.contrast_weight = 0.0
    assert trainer._contrasts_of([0, 1, 2, 3]) == []
