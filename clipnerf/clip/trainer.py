"""One step of fitting a compact CLIP, and the file that comes out."""

import contextlib
import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clipnerf.clip import captions as words
from clipnerf.clip import compact
from clipnerf.clip.augment import augment
from clipnerf.clip.batch_norm import normalize_over_ranks
from clipnerf.clip.initialize import centre
from clipnerf.clip.loss import CaptionLoss
from clipnerf.clip.model import Clip, build, tokenizer_for
from clipnerf.clip.preprocess import Preprocess
from clipnerf.clip.prompts import TEMPLATES
from clipnerf.clip.trunk import TrunkTower
from clipnerf.clip.zero_shot import Answer, ask, load_questions, questions_from_captions
from clipnerf.config.clip import TrainClipConfig
from clipnerf.data.dataset import PictureDataset
from clipnerf.data.records import Record, first_few
from clipnerf.errors import UsageError, warn
from clipnerf.training import distributed
from clipnerf.training.loop import Task
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.seeds import seed_for, torch_generator

_LARGEST_SCALE = 100.0
_BATCH_AT_TEST = 64


class Trainer(Task):
    """The model, its optimizer and the data, and one step of training.

    Everything random in step k is seeded by (seed, rank, k): a resumed run equals an
    uninterrupted one. Which pictures and captions a step has does not depend on the rank: each
    takes its share of them, and the loss is that of the whole batch.
    """

    name, unit, early = "train-clip", "img", True
    covered = ("data",)

    def __init__(self, config: TrainClipConfig, data: PictureDataset, device: torch.device) -> None:
        """Raises UsageError for missing captions, too few objects, a bad zero_shot file, or a batch
        that the ranks cannot share."""
        self.config, self.data, self.device = config, data, device
        self.each, self.advice = config.batch, f"lower lr ({config.lr}), in a new --out"
        self.share = distributed.share(config.batch, "batch")
        usable = _with_captions(config, data)
        records = [data.records[i] for i in usable]
        learned, held = words.held_out(records, config.held_out, config.seed)
        self.learned = [usable[i] for i in learned]
        self.held_out = [usable[i] for i in held]
        self.captions = [data.records[i].texts for i in self.learned]
        self.contrasts = [data.records[i].contrasts for i in self.learned]
        # More sets than a picture has captions would only say the same again.
        self.sets = min(config.captions, max(map(len, self.captions)))
        self.chooser = words.Chooser(self.captions)
        self.questions = (
            load_questions(config.zero_shot)
            if config.zero_shot
            else questions_from_captions([data.records[i] for i in self.learned])
        )
        self.whole_cfg = config.model.model_cfg(compact.VOCABULARY)
        self.tokenizer = tokenizer_for(self.whole_cfg)
        said = [*self.captions, *(pair for pairs in self.contrasts for pair in pairs)]
        texts = sorted({text for some in said for text in some})
        self.vocabulary = words.Vocabulary(self.tokenizer([*texts, " ".join(TEMPLATES)]))
        torch.manual_seed(seed_for(config.seed, 0, 0, "weights"))
        cfg = config.model.model_cfg(len(self.vocabulary))
        self.preprocess_cfg = config.model.preprocess_cfg()
        self.model: Any = build(cfg, self.preprocess_cfg)
        visual = self.model.visual
        if isinstance(visual, TrunkTower):
            visual.fill(config.model.trunk_weights)
            self.preprocess_cfg |= visual.statistics
        self.model.to(device).train()
        self.preprocess = Preprocess.from_config(self.preprocess_cfg)
        self._centre(texts)
        self.model = normalize_over_ranks(self.model, device)
        self.loss = CaptionLoss()
        self.optimizer = _optimizer(self.model, config)
        self.bf16 = config.precision == "bfloat16" or (
            config.precision == "auto" and _has_bf16(device)
        )

    @property
    def stages(self) -> dict[str, int]:
        """One."""
        return {"train": self.config.steps}

    def start(self) -> None:
        """Fresh weights are fitted to some pictures, in which cards of other kinds may differ: all
        ranks begin with rank 0's."""
        if distributed.world_size() > 1:
            self.load(0, distributed.broadcast(self.state()))

    def weights(self) -> dict[str, Tensor]:
        """The model's."""
        return self.model.state_dict()

    def advance(self, stage: str, number: int) -> dict[str, float | Tensor]:
        """One step; returns what there is to log."""
        config = self.config
        share = _rate_at(self.step, config)
        for group in self.optimizer.param_groups:
            if group["of_text"]:
                group["lr"] = config.lr_text * share * _text_share_at(self.step, config)
            else:
                group["lr"] = config.lr * share
        loss = self.find_gradients()
        scale = self.model.logit_scale.detach().exp()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(_LARGEST_SCALE))
        return {"loss": loss, "logit_scale": scale, "lr": config.lr * share}

    def find_gradients(self) -> Float[Tensor, ""]:
        """The model's gradients in this step; returns the loss. Both of the whole batch."""
        config, seed = self.config, self.config.seed
        indices = words.order_of(len(self.learned), config.batch, self.step, seed)
        sets = self._captions_of(indices)
        own = slice(distributed.rank() * self.share, (distributed.rank() + 1) * self.share)
        pictures = self.data.batch([self.learned[i] for i in indices[own]]).to(self.device)
        noise = torch_generator(seed, distributed.rank(), self.step, "augment", self.device)
        pictures = augment(pictures, config.augment, noise)
        with self._autocast():
            features = self.model.encode_image(
                self.preprocess(pictures).contiguous(memory_format=torch.channels_last)
            )
        features = distributed.gather(F.normalize(features.float(), dim=-1))
        pairs = self._contrasts_of(indices)
        rows = [*sets, *pairs]
        texts = self._texts(
            *([text for row in some for text in row[own]] for some in (sets, pairs))
        )
        # Gathering joins along the first axis, which has to be that of the pictures.
        texts = distributed.gather(texts.unflatten(0, (len(rows), self.share)).transpose(0, 1))
        scale = self.model.logit_scale.exp()
        losses = [
            self.loss(features, of_row, scale, _numbers(row).to(self.device))
            for of_row, row in zip(texts[:, : len(sets)].unbind(1), sets, strict=True)
        ]
        loss = torch.stack(losses).mean()
        if pairs:
            likeness = torch.einsum("be,bre->br", features, texts[:, len(sets) :])
            wrong = likeness[:, 1::2] - likeness[:, 0::2]
            loss = loss + config.contrast_weight * F.softplus(scale * wrong).mean()
        self.optimizer.zero_grad()
        loss.backward()
        distributed.average_gradients(self.model.parameters())
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = step

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """Zero-shot accuracies on held-out objects."""
        answers = self.answers(run.path / compact.FILE_NAME)
        if answers:
            mean = sum(answer.accuracy for answer in answers) / len(answers)
            say(f"step {self.step}: zero-shot accuracy {mean:.1%} on average")
        return {f"zero_shot/{answer.name}": answer.accuracy for answer in answers}

    def export(self, folder: Path) -> list[Path]:
        """Writes the compact model as it is now."""
        path = folder / compact.FILE_NAME
        table = self.model.text.token_embedding.weight.detach().cpu()
        compact.save(
            path,
            self.model.state_dict(),
            token_ids=self.vocabulary.ids,
            rows=table[self.vocabulary.table_rows()],
            unknown=table[words.UNKNOWN],
            model_cfg=self.whole_cfg,
            preprocess_cfg=self.preprocess_cfg,
            extra={"steps": str(self.step), "dataset_fingerprint": self.data.fingerprint},
        )
        return [path]

    def answers(self, path: Path) -> list[Answer]:
        """Zero-shot accuracies of the model in ``path`` on the held-out pictures."""
        clip = Clip.load(path).to(self.device)
        with torch.no_grad():
            batches = [
                clip.encode_image(self.data.batch(some).to(self.device)).cpu()
                for some in _chunks(self.held_out, _BATCH_AT_TEST)
            ]
        records: list[Record] = [self.data.records[i] for i in self.held_out]
        return ask(clip.to("cpu"), torch.cat(batches), records, self.questions)

    def _centre(self, texts: Sequence[str]) -> None:
        """Makes embeddings differ from the start; the same on every rank."""
        some = words.order_of(len(self.learned), 256, 0, self.config.seed)
        pictures = self.data.batch([self.learned[i] for i in some]).to(self.device)
        sample = [texts[i] for i in words.order_of(len(texts), 1024, 0, self.config.seed)]
        tokens = self.vocabulary.compress(self.tokenizer(sample)).to(self.device)
        centre(self.model, self.preprocess(pictures), tokens)

    def _captions_of(self, indices: Sequence[int]) -> list[list[str]]:
        """Several sets of one caption for each picture of the batch, the themed sets last.

        The same on every rank: captions are chosen to differ within the batch, and share a theme.
        """
        config = self.config
        own = [self.captions[i] for i in indices]
        themed = min(config.themed_captions, self.sets - 1)
        seed = seed_for(config.seed, 0, self.step, "captions")
        sets = words.choose(own, self.sets - themed, seed)
        for number in range(themed):
            seed = seed_for(config.seed, 0, self.step, f"theme {number}")
            sets.append(self.chooser.themed(own, seed))
        return sets

    def _contrasts_of(self, indices: Sequence[int]) -> list[list[str]]:
        """Rows of a true caption for each picture, each followed by a row of their false twins.

        Which of its pairs stand for a picture is drawn anew in each step. Where a picture has none,
        an empty text is its own twin, from which nothing is learned.
        """
        if not self.config.contrast_weight or not any(self.contrasts):
            return []
        own = [self.contrasts[i] or (("", ""),) for i in indices]
        rng = np.random.RandomState(seed_for(self.config.seed, 0, self.step, "contrasts") % 2**32)
        drawn = [[pairs[i] for i in rng.permutation(len(pairs))] for pairs in own]
        rows: list[list[str]] = []
        for number in range(min(self.config.contrasts, max(map(len, own)))):
            chosen = [pairs[number % len(pairs)] for pairs in drawn]
            rows += [[true for true, _ in chosen], [false for _, false in chosen]]
        return rows

    def _texts(
        self, texts: Sequence[str], pairs: Sequence[str]
    ) -> Float[Tensor, "texts embedding"]:
        """Unit embeddings of captions, some in templates, some tokens hidden; then of contrasts,
        which differ in nothing but what they are about."""
        config, rank = self.config, distributed.rank()
        seed = seed_for(config.seed, rank, self.step, "templates")
        texts = words.into_templates(texts, config.template_share, seed)
        tokens = self.vocabulary.compress(self.tokenizer([*texts, *pairs]))
        # Hidden are words, never the padding or the two marks, which have the largest numbers.
        word = (tokens > words.UNKNOWN) & (tokens < len(self.vocabulary) - 2)
        dice = torch.rand(
            tokens.shape, generator=torch_generator(config.seed, rank, self.step, "hide")
        )
        word[len(texts) :] = False
        tokens = torch.where(word & (dice < config.unknown_share), words.UNKNOWN, tokens)
        distinct, place = torch.unique(tokens, dim=0, return_inverse=True)
        with self._autocast():
            embeddings = words.encode_short(self.model, distinct.to(self.device))
        return F.normalize(embeddings.float(), dim=-1)[place.to(self.device)]

    def _autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _with_captions(config: TrainClipConfig, data: PictureDataset) -> list[int]:
    """Indices of the pictures that have a caption."""
    usable = [i for i, record in enumerate(data.records) if record.texts]
    without = [record.file_name for record in data.records if not record.texts]
    if not without:
        return usable
    what = f"{len(without)} of {len(data)} pictures in {config.data} have no caption: "
    if config.missing_captions == "stop" or not usable:
        raise UsageError(
            f"{what}{first_few(without)}; give each a line with 'text' in metadata.jsonl, or leave "
            "them out with missing_captions=skip"
        )
    warn(f"{what}{first_few(without)}; they are left out")
    return usable


def _optimizer(model: torch.nn.Module, config: TrainClipConfig) -> torch.optim.Optimizer:
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and "embedding" not in name
        groups.setdefault((name.startswith("text."), decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": config.weight_decay * decays,
                "of_text": of_text,
            }
            for (of_text, decays), parameters in groups.items()
        ],
        lr=config.lr,
        betas=(0.9, 0.98),
        eps=1e-6,
    )


def _rate_at(step: int, config: TrainClipConfig) -> float:
    """Share of the full learning rate: a linear rise, then a cosine down to a hundredth."""
    rise = min(1.0, (step + 1) / max(1, config.warmup_steps))
    done = min(1.0, step / (config.decay_steps or config.steps))
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _text_share_at(step: int, config: TrainClipConfig) -> float:
    """Texts stand still for text_delay_steps, then take as many to come to their full rate."""
    delay = config.text_delay_steps
    return min(1.0, max(0.0, (step - delay) / delay)) if delay else 1.0


def _numbers(texts: Sequence[str]) -> Int[Tensor, " texts"]:
    """A number for each caption that is the same on every rank."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    return torch.tensor([int.from_bytes(digest, "big") >> 1 for digest in digests])


def _has_bf16(device: torch.device) -> bool:
    """Whether matrix products in bf16 are done by the hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def _chunks(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
