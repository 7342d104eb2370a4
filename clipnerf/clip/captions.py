"""Captions for training: the words in use, which caption stands for a picture, held-out objects,
and their embeddings, quickly."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clipnerf.clip.prompts import TEMPLATES
from clipnerf.data.records import Record
from clipnerf.errors import UsageError

PADDING, UNKNOWN = 0, 1
_BUCKETS = 3


class Vocabulary:
    """The tokens in use, numbered from 2 in their old order; 0 pads, 1 is any other token.

    A model trained on these numbers needs a table of a hundred rows rather than 49,408, and its
    rows are exactly what the compact file stores. The end mark stays the largest number, by which
    open_clip finds the end of a text.

    Attributes:
        ids: the tokens' numbers in the tokenizer, ascending, the padding first.
    """

    def __init__(self, ids: Int[Tensor, "*shape"]) -> None:
        self.ids = torch.unique(torch.cat([ids.flatten(), ids.new_zeros(1)]))

    def __len__(self) -> int:
        return len(self.ids) + 1

    def compress(self, tokens: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The tokenizer's numbers to ours."""
        place = torch.searchsorted(self.ids, tokens).clamp(max=len(self.ids) - 1)
        known = self.ids[place] == tokens
        return torch.where(known, place + (place > 0), UNKNOWN)

    def table_rows(self) -> Int[Tensor, " known"]:
        """Rows of the small table that belong to ``ids``."""
        place = torch.arange(len(self.ids))
        return place + (place > 0)


def held_out(records: Sequence[Record], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of the pictures to learn from, and of those of held-out objects.

    A picture without an object_id is an object of its own.

    Raises:
        UsageError: there are too few objects to hold one out.
    """
    objects = [record.object_id or f"file {record.file_name}" for record in records]
    names = sorted(set(objects))
    count = max(1, round(share * len(names)))
    if len(names) < 2 or count >= len(names):
        raise UsageError(
            f"held_out is {share} of {len(names)} objects, which leaves none to learn from or none "
            "to test; add pictures of other objects (object_id in metadata.jsonl)"
        )
    order = np.random.RandomState(seed).permutation(len(names))
    out = {names[i] for i in order[:count]}
    split: tuple[list[int], list[int]] = ([], [])
    for index, name in enumerate(objects):
        split[name in out].append(index)
    return split


def order_of(total: int, batch: int, step: int, seed: int) -> list[int]:
    """The ``batch`` pictures of a step: consecutive pieces of an endless row of permutations."""
    positions = range(step * batch, (step + 1) * batch)
    permutations = {
        epoch: np.random.RandomState([seed, epoch]).permutation(total)
        for epoch in {position // total for position in positions}
    }
    return [int(permutations[position // total][position % total]) for position in positions]


class Chooser:
    """Which of its captions stands for each picture of a step.

    A caption of one domain says little, and what it says of a picture's color drowns what another
    says of its arms. So some sets of captions have a theme: a caption drawn at random, to which
    each picture gives its most similar one. In a set about arms, arms are what tells the pictures
    apart. On chairs the words for parts were learned several times faster so.
    """

    def __init__(self, captions: Sequence[Sequence[str]]) -> None:
        """``captions``: of all pictures to learn from; they say which words are rare."""
        texts = {text for some in captions for text in some}
        counts = Counter(word for text in texts for word in set(text.split()))
        self._rarity = {word: math.log(len(texts) / n) for word, n in counts.items()}
        self._vectors: dict[str, dict[str, float]] = {}

    def themed(self, captions: Sequence[Sequence[str]], seed: int) -> list[str]:
        """The caption of each picture that is most similar to one caption of all, drawn by seed."""
        rng = np.random.RandomState(seed % 2**32)
        some = captions[rng.randint(len(captions))]
        # Of three the shortest, which is about one thing more often than not.
        drawn = [some[i] for i in rng.randint(len(some), size=3)]
        theme = self._vector(min(drawn, key=lambda text: len(text.split())))
        chosen = []
        for texts in captions:
            likeness = [self._likeness(theme, text) for text in texts]
            # Among equals a random one: else the first would be learned from more often.
            best = [i for i, value in enumerate(likeness) if value >= max(likeness) - 1e-6]
            chosen.append(texts[best[rng.randint(len(best))]])
        return chosen

    def _likeness(self, theme: dict[str, float], text: str) -> float:
        vector = self._vector(text)
        return sum(weight * vector.get(word, 0.0) for word, weight in theme.items())

    def _vector(self, text: str) -> dict[str, float]:
        if text not in self._vectors:
            weights = {word: self._rarity.get(word, 0.0) for word in text.split()}
            length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            self._vectors[text] = {word: weight / length for word, weight in weights.items()}
        return self._vectors[text]


def choose(captions: Sequence[Sequence[str]], sets: int, seed: int) -> list[list[str]]:
    """``sets`` times a caption for each picture, different within a set where that is possible.

    Equal captions of different pictures would be each other's wrong answers; see CaptionLoss for
    what becomes of those that cannot be avoided. A picture's captions differ from set to set.
    """
    rng = np.random.RandomState(seed % 2**32)
    shuffled = [[texts[i] for i in rng.permutation(len(texts))] for texts in captions]
    chosen = []
    for number in range(sets):
        taken: set[str] = set()
        row = []
        for texts in shuffled:
            start = number % len(texts)
            turned = texts[start:] + texts[:start]
            text = next((each for each in turned if each not in taken), turned[0])
            taken.add(text)
            row.append(text)
        chosen.append(row)
    return chosen


def into_templates(texts: Sequence[str], share: float, seed: int) -> list[str]:
    """Puts ``share`` of the texts into a template, so that the templates' words are learned."""
    rng = np.random.RandomState(seed % 2**32)
    put = rng.random_sample(len(texts)) < share
    which = rng.randint(1, len(TEMPLATES), len(texts))
    return [
        TEMPLATES[number].replace("{}", text) if change else text
        for text, change, number in zip(texts, put, which, strict=True)
    ]


def encode_short(
    model: Any, tokens: Int[Tensor, "texts context"]
) -> Float[Tensor, "texts embedding"]:
    """The text tower's embeddings, without computing the padding behind the texts.

    Attention looks backwards only, so what follows the end mark changes nothing. Captions fill a
    third of the context: sorted into a few buckets by length they cost half as much.
    """
    lengths = (tokens != PADDING).sum(1)
    order = lengths.argsort(stable=True)
    mask = model.text.attn_mask
    embeddings = []
    try:
        for bucket in order.chunk(_BUCKETS):
            length = int(lengths[bucket].max())
            model.text.attn_mask = mask[:length, :length]
            embeddings.append(model.encode_text(tokens[bucket, :length]))
    finally:
        model.text.attn_mask = mask
    return torch.cat(embeddings)[order.argsort()]
