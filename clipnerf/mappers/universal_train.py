"""Training of the universal mapper: `clipnerf train-mapper --mapper.kind universal`.

    frozen generator, CLIP ── pictures ──► embeddings ──► distilled CLIP
    distilled CLIP ── pairs of pictures ──► text-free ── library ──► fine-tune ──► rendered
                                                                              ▼
                                                         RUN/mapper_universal.safetensors

One run, one counter over all stages. The same command again resumes, and every step draws from
(seed, step), so that four steps equal two and two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clipnerf.clip.prompts import load_library
from clipnerf.config.mapper import TrainMapperConfig, Which
from clipnerf.errors import UsageError, warn
from clipnerf.gan.codes import Codes
from clipnerf.mappers.distilled_clip import DistilledClip, GeneratedPictures
from clipnerf.mappers.loading import generator_path, load_objectives, mapper_path
from clipnerf.mappers.objective import Objective
from clipnerf.mappers.routing import Router
from clipnerf.mappers.universal import WHICH, Universal, UniversalMapper
from clipnerf.mappers.universal_objective import (
    DistilledObjective,
    EditGoal,
    measure_variation,
    rendered_terms,
)
from clipnerf.mappers.validation import measure
from clipnerf.training.loop import Task, run_task, single_process
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.schedule import one_cycle
from clipnerf.training.seeds import seed_for, seeded, torch_generator

HELD_OUT = 20
"""One part of the pictures in so many is kept from the distilled CLIP, to measure it by."""
POOR = 0.5
"""Explained variance of held-out pictures below which the mapper is trained on sand."""


def train_universal(config: TrainMapperConfig) -> Path:
    """Trains the mappers of both codes in one run, or resumes it; returns the file.

    Raises:
        UsageError: a value out of range, a file missing or foreign, another run in `out`, an
            entangled generator, or more than one process.
        ClipNerfError: the loss is no longer a number, or the disk failed.
    """
    config.validate()
    with single_process("mapper.kind universal", config.device) as device:
        objectives = load_objectives(config, device)
        one = objectives["shape"]
        if one.generator.field.entangled:
            raise UsageError(
                f"the generator '{generator_path(config)}' is entangled; a universal mapper "
                "changes one code at a time: use a disentangled one, or mapper.kind paper"
            )
        task = UniversalTraining(config, objectives, device)
        run_task(task, config, "train-mapper", f"{one.generator.hash}+{one.clip.hash}")
    return mapper_path(config)


def plan_universal(config: TrainMapperConfig) -> dict[str, str]:
    """What `train_universal` would do, in words; loads nothing but the library."""
    library, u = load_library(config.library), config.universal
    return {
        "data": f"{len(library.shape)} prompts of shape and {len(library.appearance)} of "
        f"appearance in {config.library}",
        "generator": str(generator_path(config)),
        "clip": config.clip,
        "model": f"mapper 'universal', direction and code -> {config.mapper.hidden} twice -> code",
        "pictures": f"{u.shapes} shapes x {u.appearances} appearances at {u.picture_size} pixels",
        "steps": f"distill {u.distill_steps}, text-free {u.text_free_steps}, fine-tune "
        f"{u.fine_tune_steps}, rendered {u.rendered_steps}",
        "out": str(mapper_path(config)),
    }


class UniversalTraining(Task):
    """The state of a training, and its stages.

    Args:
        objectives: of both codes, over the same frozen models.
    """

    name = "train-mapper universal"
    covered = ("generator", "clip")
    stages: dict[str, int] = {}

    def __init__(
        self, config: TrainMapperConfig, objectives: dict[Which, Objective], device: torch.device
    ) -> None:
        self.config = config
        self.objectives = objectives
        self.device = device
        u, one = config.universal, objectives["shape"]
        self.generator, self.clip = one.generator, one.clip
        self.pictures = GeneratedPictures(
            self.generator, self.clip, u.shapes, u.appearances, u.picture_size, config.seed
        )
        self.stages = {
            "pictures": self.pictures.parts,
            "distill": u.distill_steps,
            "text-free": u.text_free_steps,
            "fine-tune": u.fine_tune_steps,
            "rendered": u.rendered_steps,
        }
        self.advice = (
            f"try a universal.lr below {u.lr:g}, or a universal.rendered_rate"
            f" below {u.rendered_rate:g}"
        )
        self.embeddings: list[Tensor] = []
        with seeded(config.seed, "distilled weights"):
            self.distilled = DistilledClip(self.generator, self.clip.embed_dim, u.distill_width)
        self.distilled.to(device)
        self.universal: Universal | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._inputs: tuple[Codes, Tensor] | None = None

    def begin(self, stage: str) -> None:
        """Prepares a stage: its network and a fresh optimizer."""
        if stage == "pictures":
            return
        codes, cameras = self.inputs()
        if stage == "distill":
            if self.place()[1] == 0:
                seen = self._split[1]
                self.distilled.standardize(_rows(codes, seen), torch.cat(self.embeddings)[seen])
            self.distilled.train()
            weights: list[nn.Parameter] = list(self.distilled.layers.parameters())
            self.optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.3)
            return
        self.distilled.eval().requires_grad_(False)
        if self.universal is None:
            self.universal = self._fresh_mapper(cameras)
        weights = [p for p in self.universal.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01)

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """One step of a stage; its losses."""
        if self.optimizer is None or number == 0:
            self.begin(stage)
        if stage == "pictures":
            self.embeddings.append(self.pictures.embed(number))
            return {}
        assert self.optimizer is not None
        rng = torch_generator(self.config.seed, 0, self.step, "universal")
        # dropout, and what rendering draws without being given a generator
        torch.manual_seed(seed_for(self.config.seed, 0, self.step, "universal"))
        u = self.config.universal
        peak = u.rendered_rate if stage == "rendered" else u.lr
        for group in self.optimizer.param_groups:
            group["lr"] = peak * one_cycle(number, self.stages[stage])
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._distill_terms(rng) if stage == "distill" else self._edit_terms(stage, rng)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(weights, self.config.grad_clip)
        self.optimizer.step()
        return {name: term.detach() for name, term in {"loss": loss, **terms}.items()}

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """Measures what a stage has brought."""
        if stage == "pictures":
            return {}
        if stage == "distill":
            explained = self.explained()
            if explained < POOR:
                warn(
                    f"the distilled CLIP explains {explained:.2f} of the variance of held-out "
                    "pictures; the mapper will follow it into errors: raise universal.shapes or "
                    "universal.distill_steps"
                )
            return {"distilled/explained": explained}
        found = {}
        mapper = self.calibrated()
        for which in WHICH:
            matching, sheet = measure(mapper.of(which), self.objectives[which])
            run.picture(self.step, which, sheet)
            found[f"match/{which}"] = matching.share
        return found

    def export(self, folder: Path) -> list[Path]:
        """The mapper."""
        return [self.calibrated().save(folder / mapper_path(self.config).name)]

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "embeddings": torch.cat(self.embeddings),
            "distilled": self.distilled.state_dict(),
            "mapper": None if self.universal is None else self.universal.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
        }

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continues from what :meth:`state` returned after ``step`` steps."""
        self.step = step
        self.embeddings = [state["embeddings"].to(self.device)]
        self.distilled.load_state_dict(state["distilled"])
        if state["mapper"] is not None:
            self.distilled.eval().requires_grad_(False)
            self.universal = self._fresh_mapper(self.inputs()[1])
            self.universal.load_state_dict(state["mapper"])
        stage, number = self.place()
        if number > 0 and stage != "pictures":
            self.begin(stage)
            assert self.optimizer is not None
            self.optimizer.load_state_dict(state["optimizer"])

    @torch.no_grad()
    def explained(self) -> float:
        """Share of the variance of held-out pictures that the distilled CLIP explains."""
        self.distilled.eval()
        codes, cameras = self.inputs()
        held = self._split[0]
        true = torch.cat(self.embeddings)[held]
        error = true - self.distilled(_rows(codes, held), cameras[held])
        return float(1 - error.square().sum() / (true - true.mean(0)).square().sum())

    @torch.no_grad()
    def calibrated(self) -> Universal:
        """The mapper, frozen, with its router fitted to the library."""
        assert self.universal is not None
        prompts = {which: self.objectives[which].prompts for which in WHICH}
        limits = {}
        for which in WHICH:
            own, aim = prompts[which], self.universal.of(which).variation.aim
            named = torch.cat((own.own, own.combined)) - own.neutral
            other = prompts["appearance" if which == "shape" else "shape"].own - own.neutral
            limits[which] = aim(named).energy, aim(other).energy
        lengths = [(some.own - some.neutral).norm(dim=1) for some in prompts.values()]
        self.universal.router.calibrate(limits["shape"], limits["appearance"], torch.cat(lengths))
        return self.universal

    def inputs(self) -> tuple[Codes, Tensor]:
        """Codes and cameras of all pictures."""
        if self._inputs is None:
            self._inputs = self.pictures.inputs()
        return self._inputs

    def _distill_terms(self, rng: torch.Generator) -> dict[str, Tensor]:
        codes, cameras = self.inputs()
        taught = self._split[1]
        some = torch.randint(len(taught), (self.config.universal.distill_batch,), generator=rng)
        rows = taught[some.to(self.device)]
        error = self.distilled(_rows(codes, rows), cameras[rows]) - self._all()[rows]
        return {"distill": error.square().sum(1).mean()}

    def _edit_terms(self, stage: str, rng: torch.Generator) -> dict[str, Tensor]:
        assert self.universal is not None
        u, dim = self.config.universal, self.generator.config.field.code_dim
        terms: dict[str, Tensor] = {}
        for which in WHICH:
            objective = self.objectives[which]
            goal = EditGoal(u, self.universal.of(which), objective.prompts)
            if stage == "rendered":
                some = rendered_terms(goal, objective, self.distilled.mean, rng)
            else:
                through = DistilledObjective(u, self.distilled, self.inputs()[1], dim)
                some = through.terms(goal, stage == "fine-tune", rng)
            terms.update({f"{which}/{name}": term for name, term in some.items()})
        return terms

    def _fresh_mapper(self, cameras: Tensor) -> Universal:
        config, field = self.config, self.generator.field
        style_dim, code_dim = (
            self.generator.config.field.style_dim,
            self.generator.config.field.code_dim,
        )
        rng = torch_generator(config.seed, 0, 0, "variation")
        variation = measure_variation(self.distilled, cameras, code_dim, rng)
        halves = {}
        for which in WHICH:
            with seeded(config.seed, f"{which} mapper weights"):
                centre = self.objectives[which].prompts.neutral[0]
                half = UniversalMapper(
                    which, variation[which], centre, code_dim, style_dim, config.mapper
                )
            own = field.shape_mapping if which == "shape" else field.appearance_mapping
            half.object.load_state_dict(own.state_dict())
            halves[which] = half
        return Universal(
            halves["shape"],
            halves["appearance"],
            Router(),
            generator_hash=self.generator.hash,
            clip_hash=self.clip.hash,
        ).to(self.device)

    def _all(self) -> Tensor:
        if len(self.embeddings) > 1:
            self.embeddings = [torch.cat(self.embeddings)]
        return self.embeddings[0]

    @cached_property
    def _split(self) -> tuple[Tensor, Tensor]:
        """Rows of the pictures held out, and of those that the distilled CLIP is taught."""
        pictures = self.pictures.shapes * self.pictures.appearances
        part = torch.arange(pictures) // (self.pictures.PART * self.pictures.appearances)
        held = part % HELD_OUT == HELD_OUT - 1 if self.pictures.parts >= HELD_OUT else part == 0
        return held.nonzero()[:, 0].to(self.device), (~held).nonzero()[:, 0].to(self.device)


def _rows(codes: Codes, rows: Tensor) -> Codes:
    return Codes(codes.shape[rows], codes.appearance[rows])
