"""Training of one mapper: `clipnerf train-mapper`.

    frozen generator, discriminator, CLIP + text library -> RUN/mapper_WHICH.safetensors

The same command again resumes; every step draws from (seed, rank, step), so that four steps
equal two and two. Under torchrun every rank draws its share of a step's objects, and gradients are
averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipnerf.clip.prompts import load_library
from clipnerf.config.mapper import TrainMapperConfig
from clipnerf.errors import warn
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
from clipnerf.training.loop import Task, run_task
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
        task = MapperTraining(config, objective, _fresh_mapper(config, objective).to(device))
        models = f"{objective.generator.hash}+{objective.clip.hash}"
        run_task(task, config, "train-mapper", models, validate_every=config.preview_every)
    return mapper_path(config)


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


class MapperTraining(Task):
    """The state of a mapper's training, and its steps."""

    unit = "img"
    covered = ("generator", "clip")

    def __init__(self, config: TrainMapperConfig, objective: Objective, mapper: Mapper) -> None:
        self.config = config
        self.objective = objective
        self.mapper = mapper
        self.average = {name: value.clone() for name, value in mapper.state_dict().items()}
        self.optimizer = torch.optim.Adam(mapper.parameters(), lr=config.lr)
        self.name = f"train-mapper {config.which}"
        self.each = config.objects * config.edits * config.views
        self.advice = f"try an lr below {config.lr:g}"

    @property
    def stages(self) -> dict[str, int]:
        """One."""
        return {"train": self.config.steps}

    def start(self) -> None:
        """A first guess; the same on every rank."""
        if self.config.warm_start > 0:
            self.mapper.load_state_dict(distributed.from_main(self._first_guess))
            self.average = {n: value.clone() for n, value in self.mapper.state_dict().items()}

    def weights(self) -> dict[str, Tensor]:
        """The mapper's."""
        return self.mapper.state_dict()

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""
        self.step = step
        self.mapper.load_state_dict(state["mapper"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {
            name: value.to(self.objective.device) for name, value in state["average"].items()
        }

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """One optimizer step."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * 0.5 ** (number / config.halve_every)
        terms = self.find_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.mapper.parameters(), config.grad_clip)
        self.optimizer.step()
        self._follow(number + 1)
        return {**terms, "grad_norm": norm}

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

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """Matching, and the sheet, of the averaged mapper."""
        matching, sheet = measure(self.averaged(), self.objective)
        run.picture(self.step, self.config.which, sheet)
        if self.step == self.total:
            _warn_if_useless(matching)
        by_prompt = {f"match/{name}": share for name, share in matching.by_prompt.items()}
        return {"match": matching.share, **by_prompt}

    def export(self, folder: Path) -> list[Path]:
        """The averaged mapper."""
        return [self.averaged().save(folder / mapper_path(self.config).name)]

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
    def _follow(self, step: int) -> None:
        # Shorter at the beginning, so that the zeros of the start are forgotten soon.
        half_life = min(self.config.ema_half_life, step / 4)
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


def _warn_if_useless(matching: Matching) -> None:
    poor = sorted(matching.by_prompt.items(), key=lambda item: item[1])
    missed = [f"'{prompt}' {share:.0%}" for prompt, share in poor if share < 0.25]
    if missed:
        warn(
            f"the mapper rarely reaches {len(missed)} of {len(poor)} prompts (edited pictures "
            f"nearest to their own prompt): {', '.join(missed[:5])}; train longer, or see whether "
            "the generator can make them at all"
        )
