"""The backbone of CRIS: any CLIP's picture tower at three depths, and its words.

A CLIP ends in one vector a picture and one a text. Text to pixels needs what comes before: feature
maps F_v2, F_v3, F_v4 (stages of a ResNet; of a ViT, three of its blocks), the features of all words
F_t, and the sentence vector F_s.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.clip.model import Clip
from clipnerf.config.ranges import texts_of
from clipnerf.errors import UsageError

_TABLE = "token_embedding.weight"
_ROWS, _IDS = "token_rows", "token_ids"


@dataclass(frozen=True)
class Words:
    """What the text tower says of phrases.

    Attributes:
        features: F_t, of each token.
        padding: True where there is no token.
        sentence: F_s, of the whole phrase.
    """

    features: Float[Tensor, "texts tokens channels"]
    padding: Bool[Tensor, "texts tokens"]
    sentence: Float[Tensor, "texts embedding"]

    def rows(self, index: Tensor) -> Words:
        """A selection, or a repetition."""
        return Words(self.features[index], self.padding[index], self.sentence[index])


class Backbone(nn.Module):
    """A copy of a CLIP that gives features of pixels and words.

    Args:
        clip: is copied, so that fine-tuning leaves it as it was.
        levels: which three maps, see ``SegmenterConfig.levels``.
        input_size: side of what the picture tower is fed, pixels.
    Raises:
        UsageError: the CLIP has no such levels, or cannot read this size.
    """

    def __init__(self, clip: Clip, levels: Sequence[int], input_size: int) -> None:
        super().__init__()
        self.model: Any = copy.deepcopy(clip.model)
        self.clip_hash, self.levels = clip.hash, list(levels)
        self.resnet = hasattr(self.model.visual, "layer4")
        self.trunk = hasattr(self.model.visual, "trunk")
        # positions of a ViT are learned for its own size
        self.input_size = input_size if self.resnet or self.trunk else clip.preprocess.size[0]
        self._clip = [clip]  # in a list: no module of ours
        self.learned_tokens: frozenset[int] = frozenset()
        with torch.no_grad():
            try:
                maps = self.maps(torch.zeros(1, 3, self.input_size, self.input_size))
            except Exception as error:
                raise UsageError(
                    f"model.levels {self.levels} of {self.input_size} pixels cannot be read from "
                    f"the CLIP {clip.name!r} ({' '.join(str(error).split())[:120]}); choose others"
                ) from error
            try:
                words = self.words([clip.name or "a"])
                self._table_name()
            except Exception as error:
                raise UsageError(
                    f"the words of the CLIP {clip.name!r} cannot be read "
                    f"({' '.join(str(error).split())[:120] or type(error).__name__}); choose one "
                    "with a text tower of open_clip's own, not of Hugging Face's"
                ) from error
        self.channels = [each.shape[1] for each in maps]
        self.word_channels, self.embedding = words.features.shape[2], words.sentence.shape[1]

    def maps(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> list[Float[Tensor, "batch _c _h _w"]]:
        """Three feature maps, the finest first; pictures in [0, 1]."""
        size = self.input_size
        if pictures.shape[-2:] != (size, size):
            shrinks = pictures.shape[-1] > size
            pictures = functional.interpolate(
                pictures, size=(size, size), mode="bilinear", antialias=shrinks, align_corners=False
            )
        preprocess = self._clip[0].preprocess
        mean = pictures.new_tensor(preprocess.mean).view(1, 3, 1, 1)
        std = pictures.new_tensor(preprocess.std).view(1, 3, 1, 1)
        visual, x = self.model.visual, (pictures - mean) / std
        if self.trunk:
            stages = visual.maps(x)
            return [stages[level] for level in self.levels]
        if self.resnet:
            stages, found = [visual.stem, *(getattr(visual, f"layer{n}") for n in range(1, 5))], []
            if self.levels[-1] >= len(stages):
                raise IndexError("a ResNet has the levels 0 to 4")
            for number, stage in enumerate(stages[: self.levels[-1] + 1]):
                x = stage(x)
                if number in self.levels:
                    found.append(x)
            return found
        out = visual.forward_intermediates(
            x, indices=self.levels, stop_early=True, intermediates_only=True, output_fmt="NCHW"
        )
        return list(out["image_intermediates"])

    def words(self, texts: Sequence[str]) -> Words:
        """Features of phrases; short ones cost what they need, not the whole context.

        Raises:
            UsageError: no text, or an empty one.
        """
        texts = texts_of("text", texts)
        tokens = self._clip[0].tokens(texts).to(self.device)
        out = self.model.forward_intermediates(
            text=tokens, text_indices=1, normalize=False, normalize_intermediates=True
        )
        # a "!" within a word has the number 0, as padding has; padding is what no word follows
        padding = (tokens != 0).int().flip(1).cumsum(1).flip(1) == 0
        longest = int((~padding).sum(1).max())
        return Words(
            out["text_intermediates"][-1][:, :longest].float(),
            padding[:, :longest],
            out["text_features"].float(),
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> Backbone:
        """Stays in evaluation mode: a CLIP's batch statistics are not those of one small batch."""
        return super().train(False)

    def learn(self, texts: Sequence[str], generator: torch.Generator) -> None:
        """Make it trainable, and tell apart the words that a compact CLIP never saw.

        All of those share one embedding; each gets its own, a little off.
        """
        self.requires_grad_(True)
        clip = self._clip[0]
        ids = torch.unique(
            torch.cat(
                [clip.tokens(texts[i : i + 512]).flatten() for i in range(0, len(texts), 512)]
            )
        )
        self.learned_tokens = frozenset(ids.tolist())
        if clip.known_tokens is None:
            return
        new = [i for i in ids.tolist() if i not in clip.known_tokens]
        table = self._table()
        known = table[torch.tensor(sorted(clip.known_tokens))]
        with torch.no_grad():
            noise = torch.randn(len(new), table.shape[1], generator=generator)
            table[torch.tensor(new, dtype=torch.long)] += noise.to(table) * known.std()

    def unknown_words(self, text: str) -> list[str]:
        """Words that neither CLIP nor the segmenter saw in training."""
        clip = self._clip[0]
        return [
            word
            for word in clip.unknown_words(text)
            if not self.learned_tokens.issuperset(clip.tokens([word])[0].tolist())
        ]

    def _table(self) -> Tensor:
        return self.model.get_parameter(self._table_name())

    def _table_name(self) -> str:
        return next(name for name, _ in self.model.named_parameters() if name.endswith(_TABLE))

    def changes(self) -> dict[str, Tensor]:
        """Tensors that differ from the CLIP's; of the token table only the rows that do."""
        before = self._clip[0].model.state_dict()
        after = self.model.state_dict()
        table = self._table_name()
        changed = {
            name: value
            for name, value in after.items()
            if name != table and not torch.equal(value, before[name])
        }
        rows = (after[table] != before[table]).any(1).nonzero().squeeze(1)
        if len(rows):
            changed[_ROWS], changed[_IDS] = after[table][rows], rows.to(torch.int32)
        return changed

    def apply_changes(self, changed: Mapping[str, Tensor], learned: Sequence[int]) -> None:
        """Put back what :meth:`changes` gave."""
        changed = dict(changed)
        self.learned_tokens = frozenset(learned)
        if _ROWS in changed:
            with torch.no_grad():
                table = self._table()
                rows = changed.pop(_IDS).long()
                table[rows] = changed.pop(_ROWS).to(table)
        state = {name: value.to(self.device) for name, value in changed.items()}
        missing = self.model.load_state_dict(state, strict=False)
        if missing.unexpected_keys:
            raise UsageError(
                f"the segmenter changes {missing.unexpected_keys[0]!r}, which this CLIP has not; "
                "give the CLIP that it was trained on"
            )
