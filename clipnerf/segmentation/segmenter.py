"""The segmenter: a picture and a phrase in, the probability of every pixel out (CRIS).

    segmenter = Segmenter.load("data/pretrained/chairs")
    chance = segmenter.segment(pictures, ["the seat"] * len(pictures))

Wang et al., CRIS: CLIP-Driven Referring Image Segmentation, CVPR 2022. The file holds the head and
what fine-tuning changed in the CLIP; it is bound to that CLIP.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.clip.model import Clip
from clipnerf.config.documents import parse_json
from clipnerf.config.ranges import check, texts_of
from clipnerf.config.segmentation import SegmenterConfig
from clipnerf.errors import UsageError
from clipnerf.io.weights import load_weights, rebuilding, save_weights, weights_hash
from clipnerf.segmentation.backbone import Backbone, Words
from clipnerf.segmentation.decoder import Decoder
from clipnerf.segmentation.facing import CHANNELS, Facing, placed
from clipnerf.segmentation.neck import Neck
from clipnerf.segmentation.projector import MaskHead, TextToPixel, Upsampling

FILE_NAME = "segmenter.safetensors"
KIND = "segmenter"
_BACKBONE = "backbone.model."
_AT_ONCE = 64
"""Pictures that are segmented at a time."""


class Segmenter(nn.Module):
    """Backbone, neck, decoder and head.

    Args:
        config: sizes and switches.
        clip: the backbone; copied.
    """

    def __init__(self, config: SegmenterConfig, clip: Clip) -> None:
        super().__init__()
        config.validate("model.")
        self.config = config
        self.backbone = Backbone(clip, config.levels, config.input_size)
        self.backbone.requires_grad_(False)
        channels, embedding = self.backbone.channels, self.backbone.embedding
        self.facing = Facing(channels[2], config.width) if config.facing else None
        self.neck = Neck(channels, embedding, config.width, CHANNELS * config.facing)
        self.decoder = None
        if config.decoder_layers:
            self.decoder = Decoder(
                config.decoder_layers,
                config.width,
                self.backbone.word_channels,
                config.heads,
                config.feedforward,
                config.dropout,
            )
        self.upsampling = Upsampling(config.width, channels[0] * config.skip, config.sharp)
        of_pixels = config.width // 4
        self.head = TextToPixel(of_pixels, embedding) if config.contrastive else MaskHead(of_pixels)
        self._sentences: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.device

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over all weights: what a region field is bound to."""
        return weights_hash(dict(self.state_dict()))

    def forward(
        self,
        pictures: Float[Tensor, "pictures 3 height width"],
        words: Words,
        of: Tensor,
    ) -> Float[Tensor, "phrases 1 h w"]:
        """Logits at a resolution of its own.

        Args:
            pictures: in [0, 1].
            words: of N phrases.
            of: [N], the picture that each phrase speaks of.
        """
        return self.of_maps(pictures, self.backbone.maps(pictures), words, of)

    def of_maps(
        self,
        pictures: Float[Tensor, "pictures 3 height width"],
        maps: Sequence[Float[Tensor, "pictures _c _h _w"]],
        words: Words,
        of: Tensor,
        facing: Float[Tensor, "pictures 2"] | None = None,
    ) -> Float[Tensor, "phrases 1 h w"]:
        """The same from the backbone's maps, and f where it has been read already."""
        if self.facing is not None and facing is None:
            facing = self.facing(maps[2])
        features = self.neck(maps, words.sentence, of, self._told(facing, of))
        if self.decoder is not None:
            features = self.decoder(features, words.features, words.padding)
        pixels = self.upsampling(features, maps[0], pictures, of)
        return self.head(pixels, words.sentence)

    def _told(self, facing: Tensor | None, of: Tensor) -> Callable[[Tensor], Tensor] | None:
        if facing is None:
            return None
        return lambda like: placed(facing[of], like)

    @torch.no_grad()
    def segment(
        self, pictures: Float[Tensor, "batch 3 height width"], texts: Sequence[str]
    ) -> Float[Tensor, "phrases 1 height width"]:
        """Probability that a pixel belongs to what the phrase names; one phrase a picture.

        One picture may be given with several phrases: a mask for each.

        Raises:
            UsageError: an empty phrase, or other numbers of pictures and phrases.
        """
        texts = texts_of("text", texts)
        if len(pictures) not in (1, len(texts)):
            raise UsageError(
                f"{len(texts)} phrases for {len(pictures)} pictures; give one for each"
            )
        of = [0] * len(texts) if len(pictures) == 1 else list(range(len(texts)))
        return self.segment_many(pictures, texts, of)

    @torch.no_grad()
    def segment_many(
        self,
        pictures: Float[Tensor, "pictures 3 height width"],
        texts: Sequence[str],
        of: Sequence[int],
    ) -> Float[Tensor, "phrases 1 height width"]:
        """The same for any number of phrases a picture; ``of`` says which each speaks of."""
        distinct = list(dict.fromkeys(texts))
        words = self.backbone.words(distinct)
        number = {text: row for row, text in enumerate(distinct)}
        place = torch.tensor([number[text] for text in texts])
        owners, found = torch.tensor(list(of)), []
        for some in torch.arange(len(texts)).split(_AT_ONCE):
            rows, own = torch.unique(owners[some], return_inverse=True)
            logits = self(
                pictures[rows].to(self.device),
                words.rows(place[some].to(self.device)),
                own.to(self.device),
            )
            found.append(as_large(logits, pictures.shape[-2:]).sigmoid())
        return torch.cat(found)

    @torch.no_grad()
    def sentence(self, texts: Sequence[str]) -> Float[Tensor, "texts embedding"]:
        """F_s of phrases, of unit length; each is encoded once and remembered."""
        texts = texts_of("text", texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._sentences]
        if new:
            found = functional.normalize(self.backbone.words(new).sentence, dim=1)
            self._sentences.update(zip(new, found, strict=True))
        return torch.stack([self._sentences[text] for text in texts])

    def unknown_words(self, text: str) -> list[str]:
        """Words that training never met; a phrase of nothing else means little to the segmenter."""
        return self.backbone.unknown_words(text)

    def save(self, path: str | Path, extra: dict[str, str] | None = None) -> Path:
        """Writes the head, and what differs from the CLIP, in half precision."""
        tensors = {
            name: value.half() if value.is_floating_point() else value
            for name, value in self.state_dict().items()
            if not name.startswith(_BACKBONE)
        }
        for name, value in self.backbone.changes().items():
            tensors[_BACKBONE + name] = value.half() if value.is_floating_point() else value
        tokens = json.dumps(sorted(self.backbone.learned_tokens))
        return save_weights(
            path,
            tensors,
            kind=KIND,
            config=dataclasses.asdict(self.config),
            extra={"clip_hash": self.backbone.clip_hash, "tokens": tokens, **(extra or {})},
        )

    @staticmethod
    def load(path: str | Path, clip: Clip | None = None) -> Segmenter:
        """Reads a segmenter, frozen.

        Args:
            path: the file, or a folder that holds segmenter.safetensors (and its CLIP).
            clip: the CLIP that it was trained on; the one beside the file where None.
        Raises:
            UsageError: missing, broken or foreign file, or another CLIP.
        """
        check("segmenter", path, str)
        path = Path(path)
        file = path / FILE_NAME if path.is_dir() else path
        weights = load_weights(file, KIND)
        clip = Clip.load(file.parent) if clip is None else clip
        if clip.hash != weights.metadata.get("clip_hash"):
            raise UsageError(
                f"the segmenter {str(file)!r} belongs to the CLIP "
                f"{weights.metadata.get('clip_hash')}, this one is {clip.hash} ({clip.name}); give "
                "its own CLIP"
            )
        with rebuilding(file):
            # files from before there was a switch have it off
            before = {"sharp": False, "facing": False}
            segmenter = Segmenter(SegmenterConfig(**before | weights.config), clip)
            tensors = {name: _whole(value) for name, value in weights.tensors.items()}
            changed = {
                n.removeprefix(_BACKBONE): v for n, v in tensors.items() if n.startswith(_BACKBONE)
            }
            segmenter.backbone.apply_changes(changed, parse_json(weights.metadata["tokens"]))
            own = {n: v for n, v in tensors.items() if not n.startswith(_BACKBONE)}
            result = segmenter.load_state_dict(own, strict=False)
            missing = [n for n in result.missing_keys if not n.startswith(_BACKBONE)]
            if missing or result.unexpected_keys:
                raise RuntimeError(f"{(missing + result.unexpected_keys)[0]} does not fit")
        return segmenter.requires_grad_(False).eval()


def as_large(logits: Float[Tensor, "batch 1 h w"], size: Sequence[int]) -> Tensor:
    """Logits at the size of the picture."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def _whole(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
