"""Any open_clip model, frozen, behind one small face; the place of open_clip (with clip/loss.py).

    clip = Clip.load("ViT-B-32:laion2b_s34b_b79k")     # a published model, downloaded
    clip = Clip.load("ViT-B-32:/models/vit_b_32.pt")   # a local file of a known architecture
    clip = Clip.load("/models/some-open-clip-folder")  # open_clip_config.json and weights
    clip = Clip.load("data/pretrained/chairs")         # a compact model (clip.safetensors)
    similarity = clip.encode_image(pictures) @ clip.encode_text(["a red chair"]).T

Every way ends in open_clip's own construction of the model and a strict load_state_dict. Weights
are read as safetensors or with weights_only=True: nothing is unpickled.
"""

import bisect
import difflib
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import open_clip
import torch
from jaxtyping import Float, Int
from open_clip.model import get_model_preprocess_cfg
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from torch import Tensor, nn

from clipnerf.clip import compact
from clipnerf.clip.download import quick_failure
from clipnerf.clip.preprocess import Preprocess
from clipnerf.clip.trunk import TrunkTower
from clipnerf.config.ranges import Caption, Range, check, texts_of
from clipnerf.errors import ClipNerfError, UsageError, warn
from clipnerf.io.weights import rebuilding, rebuilt, weights_hash

WAYS = (
    "give 'ARCH:TAG' (downloaded), 'ARCH:/path/to/weights' (a file), a folder with "
    "open_clip_config.json and weights, or a compact model made by 'clipnerf train-clip'"
)


class Clip:
    """A frozen CLIP: unit embeddings of pictures (differentiable) and of texts (cached).

    Attributes:
        name: the source it was loaded from.
        model: the open_clip module, in evaluation mode, no parameter requires a gradient.
        preprocess: pictures [batch 3 height width] in [0, 1] to what the model is fed.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[..., Tensor],
        name: str,
        known_tokens: frozenset[int] | None = None,
    ) -> None:
        """Wraps and freezes ``model``; ``known_tokens``: those it was trained on, None for all."""
        self.name = name
        self.model: Any = model.eval().requires_grad_(False)
        self.preprocess = Preprocess.from_config(get_model_preprocess_cfg(model))
        self._tokenizer = tokenizer
        self._known_tokens = known_tokens
        self._texts: dict[str, Tensor] = {}

    @classmethod
    def load(cls, source: str | Path) -> "Clip":
        """Loads a model from a download tag, a file, a folder or a compact model; see above.

        Raises:
            UsageError: unknown architecture or tag, missing, truncated or foreign file.
            ClipNerfError: the weights cannot be downloaded. One line each.
        """
        check("clip", source, str)
        source, path = str(source), Path(source)
        if path.is_dir():
            if (path / compact.FILE_NAME).is_file():
                return cls._load_compact(path / compact.FILE_NAME)
            return cls._load_folder(path)
        if path.is_file():
            return cls._load_compact(path)
        arch, colon, weights = source.partition(":")
        if not colon or not weights or arch not in open_clip.list_models():
            raise _unknown(source, arch, bool(colon))
        tag = get_pretrained_cfg(arch, weights)
        if tag:
            _download(source, tag)
        elif not Path(weights).is_file():
            raise _no_weights(arch, weights)
        with _one_line(source):
            model = open_clip.create_model(arch, pretrained=weights)
            if not tag:
                _adopt_preprocess(model, arch)
            return cls(model, open_clip.get_tokenizer(arch), source)

    @classmethod
    def _load_folder(cls, folder: Path) -> "Clip":
        if not (folder / "open_clip_config.json").is_file():
            raise UsageError(
                f"the folder {str(folder)!r} holds neither {compact.FILE_NAME} nor "
                f"open_clip_config.json; {WAYS}"
            )
        with _one_line(str(folder)):
            name = f"local-dir:{folder}"
            model = open_clip.create_model(name, require_pretrained=True)
            return cls(model, open_clip.get_tokenizer(name), str(folder))

    @classmethod
    def _load_compact(cls, file: Path) -> "Clip":
        loaded = compact.load(file)
        with _one_line(str(file)), rebuilding(file):
            model = rebuilt(
                lambda: build(loaded.model_cfg, loaded.preprocess_cfg), loaded.state_dict
            )
            return cls(model, tokenizer_for(loaded.model_cfg), str(file), loaded.known_tokens)

    def encode_image(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embedding"]:
        """Unit embeddings of pictures in [0, 1], of any size; gradients flow to the pictures."""
        return self.model.encode_image(self.preprocess(pictures), normalize=True).float()

    @torch.no_grad()
    def encode_text(self, texts: str | Iterable[str]) -> Float[Tensor, "texts embedding"]:
        """Unit embeddings of texts; each text is encoded once and remembered.

        Warns when a text is longer than the model reads, and says what was cut.

        Raises:
            UsageError: no text, an empty one, or one of thousands of letters.
        """
        texts = texts_of("text", texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        cut = [said for said in map(self._cut, new) if said]
        if cut:
            # templates around one prompt are cut alike
            more = f" (and so were {len(cut) - 1} other texts)" if len(cut) > 1 else ""
            warn(cut[0] + more)
        for start in range(0, len(new), 256):
            some = new[start : start + 256]
            tokens = self._tokenizer(some).to(self.device)
            embeddings = self.model.encode_text(tokens, normalize=True).float()
            self._texts.update(zip(some, embeddings, strict=True))
        return torch.stack([self._texts[text] for text in texts])

    def unknown_words(self, text: str) -> list[str]:
        """Words of ``text`` that a compact model never saw in training; empty for other models."""
        check("text", text, Caption)
        known = self._known_tokens
        if known is None:
            return []
        words = [word.strip(".,;:!?\"'()") for word in text.lower().split()]
        if not any(words):
            words = text.split()  # nothing but marks
        encode = self._tokenizer.encode  # type: ignore[attr-defined]
        return [word for word in words if word and not known.issuperset(encode(word))]

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "texts context"]:
        """Numbers of the tokens, marks included, padded with 0."""
        return self._tokenizer(list(texts))

    @property
    def known_tokens(self) -> frozenset[int] | None:
        """Tokens that a compact model saw in training; None for a model that knows all."""
        return self._known_tokens

    @cached_property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        return self.encode_text(["a"]).shape[-1]

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the weights; the same for the same model however it was loaded."""
        return weights_hash(self.model.state_dict())

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def to(self, device: torch.device | str) -> "Clip":
        """Moves the model, and forgets the texts; returns itself."""
        self.model.to(device)
        self._texts.clear()
        return self

    def _cut(self, text: str) -> str:
        """Says what of a text is longer than the model reads; empty where all of it is read."""
        words = text.split()
        whole = self._tokenizer([text])[0]

        def enough(count: int) -> bool:
            # The rows are equal when nothing of what follows was read: true of every tokenizer.
            return torch.equal(self._tokenizer([" ".join(words[:count])])[0], whole)

        # As a rule no more words than tokens are read, and short beginnings are quick to try.
        most = min(len(words), len(whole))
        most = most if enough(most) else len(words)
        kept = bisect.bisect_left(range(1, most), True, key=enough) + 1
        if kept < len(words):
            what = repr(_shortened(" ".join(words[kept:])))
        elif len(words[-1]) > 1 and torch.equal(
            self._tokenizer([" ".join([*words[:-1], words[-1][:-1]])])[0], whole
        ):
            what = f"the end of {_shortened(words[-1])!r}"
        else:
            return ""
        return (
            f"text has {len(words)} words, but {self.name} reads {len(whole)} tokens: {what} was "
            "cut; shorten it"
        )


def _shortened(text: str, most: int = 200) -> str:
    """The text; of a long one both ends, as the last word says best where it goes to."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half].rstrip()} … {text[-half:].lstrip()}"


_Layers = Annotated[int, Range(1, 1000)]
_Side = Annotated[int, Range(32, 512, step=32)]


def build(model_cfg: Mapping[str, Any], preprocess_cfg: Mapping[str, Any]) -> nn.Module:
    """A model with random weights from an open_clip configuration, made by open_clip itself.

    Raises:
        UsageError: it asks for thousands of layers, which would take hours to be made.
    """
    for tower in ("vision_cfg", "text_cfg"):
        found = model_cfg[tower].get("layers", 1)
        for count in found if isinstance(found, list) else [found]:
            check(f"{tower}.layers", count, _Layers)
    model_cfg, vision = dict(model_cfg), model_cfg["vision_cfg"]
    if "trunk" in vision:  # which open_clip does not know: a tower in whose place ours comes
        check("vision_cfg.trunk", vision["trunk"], str)
        check("vision_cfg.image_size", vision["image_size"], _Side)
        model_cfg["vision_cfg"] = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 32}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        config = {"model_cfg": model_cfg, "preprocess_cfg": dict(preprocess_cfg)}
        Path(folder, "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
        device = torch.get_default_device()  # "meta" where only shapes are asked for
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, device=device)
    if "trunk" in vision:
        model.visual = TrunkTower(vision["trunk"], vision["image_size"], model_cfg["embed_dim"])
        open_clip.model.set_model_preprocess_cfg(model, dict(preprocess_cfg))
    return model


def tokenizer_for(model_cfg: Mapping[str, Any]) -> open_clip.SimpleTokenizer:
    """open_clip's byte-pair tokenizer with the context length of a compact model."""
    return open_clip.SimpleTokenizer(context_length=model_cfg["text_cfg"]["context_length"])


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs to the root logger what we say in our own words, or need not say."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _one_line(source: str) -> Iterator[None]:
    """Whatever goes wrong while weights are read (torch raises many kinds) becomes one line."""
    try:
        with _quiet():
            yield
    except ClipNerfError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        if "eights only load failed" in reason:  # torch goes on to advise loading it regardless
            reason = "not a file of tensors alone"
        raise UsageError(
            f"no CLIP model can be read from {source!r}: the weights are truncated, foreign or of "
            f"another architecture ({reason}); copy them again, or {WAYS}"
        ) from error


def _download(source: str, tag: dict[str, Any]) -> None:
    try:
        with _quiet(), quick_failure():
            download_pretrained(tag)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ClipNerfError(
            f"the weights of {source!r} cannot be downloaded ({reason}); without a network give "
            f"'{source.partition(':')[0]}:/path/to/weights' (a file), a folder with "
            "open_clip_config.json and weights, or a compact model made by 'clipnerf train-clip'"
        ) from error


def _adopt_preprocess(model: nn.Module, arch: str) -> None:
    """A bare file says nothing of mean and std: take those of the architecture's published tags.

    open_clip itself would fall back to OpenAI's, which is wrong for SigLIP and its kin.
    """
    published = [get_pretrained_cfg(arch, tag) for tag in _tags(arch)]
    config = dict(get_model_preprocess_cfg(model))
    for key in ("mean", "std", "interpolation", "resize_mode"):
        values = [tag.get(key) for tag in published]
        if values and values[0] and all(value == values[0] for value in values):
            config[key] = values[0]
    open_clip.model.set_model_preprocess_cfg(model, config)


def _tags(arch: str) -> list[str]:
    return open_clip.list_pretrained_tags_by_model(arch)


def _unknown(source: str, arch: str, colon: bool) -> UsageError:
    known = open_clip.list_models()
    if arch in known:
        return UsageError(
            f"{source!r} names an architecture without weights; give '{arch}:TAG' with a tag of "
            f"{_some(_tags(arch))}, or '{arch}:/path/to/weights'"
        )
    if not colon or len(Path(arch).parts) > 1:
        near = _nearest(arch, known)
        return UsageError(f"there is no CLIP model at {source!r}{near}; {WAYS}")
    return UsageError(f"{arch!r} is no architecture of open_clip{_nearest(arch, known)}; {WAYS}")


def _no_weights(arch: str, weights: str) -> UsageError:
    if "/" in weights or "\\" in weights or Path(weights).suffix:
        return UsageError(f"the weights {weights!r} do not exist; give a file, or a tag of {arch}")
    return UsageError(
        f"{weights!r} is no tag of {arch}{_nearest(weights, _tags(arch))}; "
        f"its tags: {_some(_tags(arch))}"
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"; nearest: {', '.join(by_lower[each] for each in near)}" if near else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "") if names else "(none)"
