"""Training of one mapper: `clipnerf train-mapper`.

    frozen generator, discriminator, CLIP + text library -> RUN/mapper_WHICH.safetensors

The same command again resumes; every step draws from (seed, rank, step), so that four steps
equal two and two. Under torchrun every rank draws its share of a step's objects, and gradients are
averaged.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipnerf.clip.prompts import load_library
from clipnerf.config.mapper import TrainMapperConfig
from clipnerf.errors import ClipNerfError
from clipnerf.io.weights import weights_hash
from clipnerf.mappers.loading import (
    discriminator_path,
    generator_path,
    load_objective,
    mapper_path,
)
from clipnerf.mappers.objective import Objective
from clipnerf.mappers.paper import Mapper
from clipnerf.mappers.universal_train import plan_universal, train_universal
from clipnerf.mappers.validation import Matching, measure
from clipnerf.mappers.warm_start import warm_start
from clipnerf.training import distributed
from clipnerf.training.loop import opened_on_main
from clipnerf.training.progress import Progress
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.seeds import seed_for, torch_generator


def train_mapper(config: TrainMapperConfig) -> Path:
    """Trains a mapper, or resumes it; returns the path of its weights.

    Raises:
        UsageError: a value out of range, a file missing or foreign, another run in `out`.
        ClipNerfError: the loss is no longer a number, the disk failed, or another rank is lost.
    """
    if config.mapper.kind == "universal":
        return train_universal(config)
    with distributed.joined(config.device) as device:
        config.validate()
        objective = load_objective(config, device)
        trainer = _Trainer(config, objective, _fresh_mapper(config, objective).to(device))
        models = f"{objective.generator.hash}+{objective.clip.hash}"
        with opened_on_main(
            config.out,
            command="train-mapper",
            config=config,
            seed=config.seed,
            dataset_fingerprint=models,
        ) as (run, found):
            distributed.check_same("generator or CLIP", models)
            trainer.begin(found)
            return trainer.run(run)


def plan(config: TrainMapperConfig) -> dict[str, str]:
    """What `train_mapper` would do, in words; loads nothing but the library."""
    config.validate()
    if config.mapper.kind == "universal":
        return plan_universal(config)
    library = load_library(config.library)
    prompts = library.shape if config.which == "shape" else library.appearance
    pictures = distributed.share(config.objects, "objects") * config.edits * config.views
    # A sample of a ray leaves about 1 kB behind for the gradient.
    memory = pictures * config.size**2 * (config.samples or 16) * 1000 / 2**30
    return {
        "data": f"{len(prompts)} prompts of the group '{config.which}' in {config.library}",
        "generator": str(generator_path(config)),
        "discriminator": str(discriminator_path(config) or "none"),
        "clip": config.clip,
        "model": f"mapper '{config.mapper.kind}', embedding -> {config.mapper.hidden} -> code",
        "steps": f"{config.steps} steps of {config.objects} objects x {config.edits} edits x "
        f"{config.views} views at {config.size} pixels, shared by {distributed.world_size()} "
        "process(es)",
        "memory": f"about {memory + 0.5:.1f} GB a process",
        "out": str(mapper_path(config)),
    }


class _Trainer:
    """The state of a training and the loop over it."""

    def __init__(self, config: TrainMapperConfig, objective: Objective, mapper: Mapper) -> None:
        self.config = config
        self.objective = objective
        self.mapper = mapper
        self.average = {name: value.clone() for name, value in mapper.state_dict().items()}
        self.optimizer = torch.optim.Adam(mapper.parameters(), lr=config.lr)
        self.step = 0

    def begin(self, found: tuple[int, dict[str, Any]] | None) -> None:
        """Takes up a checkpoint, or gives a fresh mapper its first guess; the same on every rank.

        Raises ClipNerfError if ranks hold different weights all the same.
        """
        if found is not None:
            self.load(*found)
        elif self.config.warm_start > 0:
            self.mapper.load_state_dict(distributed.from_main(self._first_guess))
            self.average = {n: value.clone() for n, value in self.mapper.state_dict().items()}
        distributed.check_same("weights of the mapper", weights_hash(self.mapper.state_dict()))

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""
        self.step = step
        self.mapper.load_state_dict(state["mapper"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {
            name: value.to(self.objective.device) for name, value in state["average"].items()
        }

    def run(self, run: RunFolder | None) -> Path:
        """Steps until the last one; writes the averaged mapper."""
        config = self.config
        pictures = config.objects * config.edits * config.views
        matching: Matching | None = None
        with Progress(
            config.steps * pictures,
            initial=min(self.step, config.steps) * pictures,
            desc=f"train-mapper {config.which}",
            unit="img",
        ) as progress:
            while self.step < config.steps:
                scalars = self.one_step()
                progress.update(pictures, loss=scalars["loss"], clip=scalars["clip"])
                if run is None:
                    continue
                last = self.step == config.steps
                if self.step % config.log_every == 0 or last:
                    run.log(self.step, **scalars)
                if self.step % config.preview_every == 0 or last:
                    matching = self.measure(run)
                if self.step % config.checkpoint_every == 0 or last:
                    run.save_state(self.step, self.state())
        path = mapper_path(config)
        if run is not None:
            self.averaged().save(path)
            _warn_if_useless(matching)
        return path

    def one_step(self) -> dict[str, float]:
        """One optimiser step; its scalars, means over the ranks.

        Raises ClipNerfError on every rank when the loss is no number on one.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * 0.5 ** (self.step / config.halve_every)
        scalars = distributed.average_scalars(self.find_gradients())
        norm = torch.nn.utils.clip_grad_norm_(self.mapper.parameters(), config.grad_clip).item()
        if not (math.isfinite(scalars["loss"]) and math.isfinite(norm)):
            bad = [name for name in scalars if name != "loss" and not math.isfinite(scalars[name])]
            raise ClipNerfError(
                f"step {self.step}: the loss is {scalars['loss']:g}, its gradient {norm:g} "
                f"(terms not finite: {', '.join(bad) or 'none'}); the last checkpoint is kept; "
                f"try an lr below {config.lr:g}"
            )
        self.optimizer.step()
        self.step += 1
        self._follow()
        return {**scalars, "grad_norm": norm}

    def find_gradients(self) -> dict[str, Tensor]:
        """The mapper's gradients in this step, means over the ranks; this rank's loss and terms."""
        seed = self.config.seed
        # Perspective and prompts draw on the CPU, so that every device sees the same numbers.
        rng = torch_generator(seed, distributed.rank(), self.step, "mapper")
        # What rendering draws without being given a generator is tied to the step as well.
        torch.manual_seed(seed_for(seed, distributed.rank(), self.step, "render"))
        self.mapper.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, terms = self.objective.loss(self.mapper, rng)
        loss.backward()
        distributed.average_gradients(self.mapper.parameters())
        return {name: value.detach() for name, value in {"loss": loss, **terms}.items()}

    def averaged(self) -> Mapper:
        """The mapper with averaged weights."""
        mapper = _fresh_mapper(self.config, self.objective).to(self.objective.device)
        mapper.load_state_dict(self.average)
        return mapper.eval().requires_grad_(False)

    def measure(self, run: RunFolder) -> Matching:
        """Logs the matching and writes the sheet of the averaged mapper."""
        matching, sheet = measure(self.averaged(), self.objective)
        by_prompt = {f"match/{name}": share for name, share in matching.by_prompt.items()}
        run.log(self.step, match=matching.share, **by_prompt)
        run.picture(self.step, self.config.which, sheet)
        return matching

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "mapper": self.mapper.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def _first_guess(self) -> dict[str, Tensor]:
        warm_start(self.mapper, self.objective, self.config.warm_start, self.config.seed)
        return self.mapper.state_dict()

    @torch.no_grad()
    def _follow(self) -> None:
        # Shorter at the beginning, so that the zeros of the start are forgotten soon.
        half_life = min(self.config.ema_half_life, self.step / 4)
        keep = 0.5 ** (1 / half_life) if half_life > 0 else 0.0
        for name, value in self.mapper.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)


def _fresh_mapper(config: TrainMapperConfig, objective: Objective) -> Mapper:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.seed, 0, 0, "mapper weights"))
        return Mapper(
            config.which,
            objective.clip.embed_dim,
            objective.generator.config.field.code_dim,
            config.mapper,
            centre=objective.prompts.neutral[0],
            generator_hash=objective.generator.hash,
            clip_hash=objective.clip.hash,
        )


def _warn_if_useless(matching: Matching | None) -> None:
    if matching is None:
        return
    poor = sorted(matching.by_prompt.items(), key=lambda item: item[1])
    missed = [f"'{prompt}' {share:.0%}" for prompt, share in poor if share < 0.25]
    if missed:
        warnings.warn(
            f"the mapper rarely reaches {len(missed)} of {len(poor)} prompts (edited pictures "
            f"nearest to their own prompt): {', '.join(missed[:5])}; train longer, or see whether "
            "the generator can make them at all",
            UserWarning,
            stacklevel=3,
        )
