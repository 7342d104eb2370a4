"""Training of the encoder: `clipnerf train-encoder`.

    frozen generator ── pictures, codes, poses ──► learn ── pictures of yours ──► render back
                                                                   ▼
                                                       RUN/encoder.safetensors

Generated pictures are free and their labels exact, but they are not photographs. Pictures without
labels teach the rest: the encoder's answer is rendered, and what differs is its loss. One run, one
counter over all stages; the same command again resumes, and four steps equal two and two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from clipnerf.config.inversion import TrainEncoderConfig
from clipnerf.config.paths import bundle_path
from clipnerf.data.dataset import PictureDataset
from clipnerf.errors import UsageError
from clipnerf.gan.codes import Codes
from clipnerf.gan.generator import Generator
from clipnerf.gan.patches import Patches
from clipnerf.inversion.encoder import FILE_NAME, Encoder, Guess
from clipnerf.inversion.field_difference import field_difference
from clipnerf.inversion.pose import Pose, pose_error_deg
from clipnerf.inversion.rendered_data import KnownPictures, as_a_photo
from clipnerf.training.loop import Task, run_task, single_process
from clipnerf.training.run_folder import RunFolder
from clipnerf.training.schedule import one_cycle
from clipnerf.training.seeds import seeded, torch_generator

POINTS = 192
"""Of each object, at which the guess is compared with the truth."""
HELD_OUT_PARTS = 4
"""Parts of the generated pictures, at the end, that are not learned from; a fifth of few."""


def train_encoder(config: TrainEncoderConfig) -> Path:
    """Trains, or resumes; returns the encoder's file.

    Raises:
        UsageError: a value out of range, a file missing or foreign, an entangled generator, data
            that cannot be read, another run in `out`, or more than one process.
        ClipNerfError: the loss is no longer a number, or the disk failed.
    """
    config.validate()
    with single_process("train-encoder", config.device, config.threads) as device:
        generator = load_generator(config.generator).to(device)
        data = None
        if config.data and config.data_steps:
            data = PictureDataset(config.data, config.encoder.size)
            data.to(device)
        fingerprint = generator.hash + (f"+{data.fingerprint}" if data else "")
        run_task(EncoderTraining(config, generator, data), config, "train-encoder", fingerprint)
    return Path(config.out) / FILE_NAME


def load_generator(path: str) -> Generator:
    """The generator of a bundle, or in a file; UsageError where it is entangled."""
    folder = bundle_path(path)
    file = folder / "generator.safetensors" if folder.is_dir() else folder
    generator = Generator.load(file)
    if generator.field.entangled:
        raise UsageError(
            f"the generator '{file}' is entangled, so that a shape is not to be found without its "
            "colors; use a disentangled one"
        )
    return generator


def plan(config: TrainEncoderConfig) -> dict[str, str]:
    """What ``--dry-run`` prints; the data is opened, nothing is trained."""
    generator = load_generator(config.generator)
    encoder = Encoder(config.encoder, generator.config.field.code_dim)
    pictures, size = config.shapes * config.appearances, config.encoder.size
    data = "none: learns from generated pictures alone"
    if config.data and config.data_steps:
        known = PictureDataset(config.data, size)
        data = f"{config.data}: {len(known)} pictures, {config.data_steps} of {config.data_batch}"
    return {
        "generator": config.generator,
        "pictures": f"{config.shapes} shapes x {config.appearances} appearances at {size} pixels",
        "model": f"{sum(p.numel() for p in encoder.parameters()):,} parameters",
        "steps": f"{config.steps} of {config.batch}",
        "data": data,
        "memory": f"about {0.8 + 2 * pictures * 3 * size * size / 1e9:.1f} GB",
        "out": str(Path(config.out) / FILE_NAME),
    }


class EncoderTraining(Task):
    """The state of a training, and its steps.

    Args:
        generator: frozen.
        data: pictures without labels; None: the last stage is left out.
    """

    name = "train-encoder"
    covered = ("generator", "data")
    stages: dict[str, int] = {}

    def __init__(
        self, config: TrainEncoderConfig, generator: Generator, data: PictureDataset | None
    ) -> None:
        self.config, self.generator, self.data = config, generator, data
        self.device = generator.device
        self.known = KnownPictures(config, generator, Path(config.out) / "pictures")
        self.stages = {
            "pictures": self.known.parts,
            "generated": config.steps,
            "data": config.data_steps if data else 0,
        }
        with seeded(config.seed, "encoder weights"):
            encoder = Encoder(config.encoder, generator.config.field.code_dim, generator.hash)
        self.encoder = encoder.to(self.device).train()
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(), lr=1.0, weight_decay=1e-2, fused=True
        )
        self.advice = f"try an lr below {config.lr:g}, in a new --out"
        self._pictures: list[Tensor] = []
        self._labels: tuple[Codes, Pose] | None = None
        self._spread = self._style_spread()

    def advance(self, stage: str, number: int) -> dict[str, Tensor]:
        """A step of a stage; returns its losses."""
        config = self.config
        if stage == "pictures":
            self.known.render(number)
            return {}
        peak = config.lr if stage == "generated" else config.data_rate
        for group in self.optimizer.param_groups:
            group["lr"] = peak * one_cycle(number, self.stages[stage], rise=0.1)
        noise = torch_generator(config.seed, 0, number, f"encoder {stage}", self.device)
        if stage == "generated":
            terms = self._generated_terms(noise)
        else:
            terms = self._data_terms(number, noise)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimizer.step()
        return {"loss": loss.detach()} | {name: term.detach() for name, term in terms.items()}

    def _generated_terms(self, noise: torch.Generator) -> dict[str, Tensor]:
        pictures, rows = self._some(self.config.batch, noise)
        return self._label_terms(self.encoder(as_a_photo(pictures, noise)), rows, noise)

    def _data_terms(self, number: int, noise: torch.Generator) -> dict[str, Tensor]:
        """Pictures of both kinds in one batch, as the encoder's normalization is to know both."""
        config = self.config
        assert self.data is not None
        real = self.data.batch(next(self.data.plan(config.data_batch, config.seed, number)))
        pictures, rows = self._some(config.batch, noise)
        both = torch.cat((real, as_a_photo(pictures, noise)))
        guess, known = _split(self.encoder(both), len(real))
        terms = self._label_terms(known, rows, noise)
        return terms | self._render_back(real, guess)

    def _render_back(self, real: Tensor, guess: Guess) -> dict[str, Tensor]:
        """The better of two poses is rendered, and its direction is what was right."""
        generator, size = self.generator, self.config.encoder.size
        whole = Patches.whole(len(real), self.device)
        ways = guess.logits.topk(2, dim=1).indices.unbind(1)

        def difference(way: Tensor, pixels: int) -> Tensor:
            camera = guess.pose(way).camera(generator.config.camera, size)
            view = generator.render_patch(guess.codes, camera, whole, pixels)
            target = functional.interpolate(real, size=(pixels, pixels), mode="area")
            return (view.rgb - target).square().mean((1, 2, 3))

        with torch.no_grad():
            differences = torch.stack([difference(way, size // 4) for way in ways])
        best = torch.stack(ways).gather(0, differences.argmin(0)[None])[0]
        return {
            "rendered": 50 * difference(best, size // 2).mean(),
            "direction of data": 0.1 * functional.cross_entropy(guess.logits, best),
        }

    def _label_terms(self, guess: Guess, rows: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        codes, pose = self._known_labels()
        codes, pose = codes[rows], pose[rows]
        bins = self.config.encoder.bins
        azimuth, elevation, roll = pose.angles().unbind(1)
        place = torch.remainder(azimuth / (2 * torch.pi), 1.0) * bins
        direction = place.long().clamp(max=bins - 1)
        # neighbors are nearly as right: the offset reaches them
        middle = torch.arange(bins, device=self.device) + 0.5
        away = torch.remainder(middle - place[:, None] + bins / 2, bins) - bins / 2
        target = (-(away.square()) / 0.5).softmax(1)
        within = place - direction - 0.5
        offset = guess.offset.gather(1, direction[:, None]).squeeze(1)
        terms = {
            "direction": functional.cross_entropy(guess.logits, target),
            "azimuth": 4 * functional.smooth_l1_loss(offset, within),
            "elevation": 4 * functional.smooth_l1_loss(guess.elevation * 3, elevation * 3),
            "roll": functional.smooth_l1_loss(guess.roll * 10, roll * 10),
            "distance": functional.smooth_l1_loss(guess.distance * 10, pose.distance * 10),
            "shift": functional.smooth_l1_loss(guess.shift * 20, pose.shift * 20),
        }
        found, true = self._styles(guess.codes), self._styles(codes)
        for name, a, b, spread in zip(
            ("shape", "appearance"), found, true, self._spread, strict=True
        ):
            terms[name] = 0.2 * ((a - b) / spread).square().mean()
        points = torch.rand(len(rows), POINTS, 3, generator=noise, device=self.device) * 2 - 1
        of_shape, of_color = field_difference(self.generator, guess.codes, codes, points)
        return terms | {"opacity": 30 * of_shape, "color": 20 * of_color}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Of held-out generated pictures: median pose error, explained share of the styles."""
        self._pictures_all()
        held = self._held_out()
        rows = torch.arange(len(self._pictures[0]) - held, len(self._pictures[0]))
        self.encoder.eval()
        codes, pose = self._known_labels()
        codes, pose = codes[rows.to(self.device)], pose[rows.to(self.device)]
        guess = self.encoder(self._pictures[0][rows.to(self._pictures[0].device)].float() / 255)
        self.encoder.train()
        error = pose_error_deg(guess.poses(1)[0], pose)
        found = {"held-out pose error": float(error.median())}
        for name, a, b in zip(
            ("shape", "appearance"), self._styles(guess.codes), self._styles(codes), strict=True
        ):
            left = (a - b).square().sum() / (b - b.mean(0)).square().sum()
            found[f"held-out {name} explained"] = 1 - float(left)
        return found

    def validate(self, stage: str, run: RunFolder, say: Callable[[str], None]) -> dict[str, float]:
        """What the encoder reads from held-out pictures, at the end of a stage of learning."""
        return {} if stage == "pictures" else self.measure()

    def export(self, folder: Path) -> list[Path]:
        """The encoder."""
        file = self.encoder.eval().save(folder / FILE_NAME)
        self.encoder.train()
        return [file]

    def finish(self) -> None:
        """Removes the rendered pictures."""
        self.known.forget()

    def state(self) -> dict:
        """What a checkpoint holds; rendered pictures lie beside it."""
        return {"encoder": self.encoder.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, step: int, state: dict) -> None:
        """Take up a checkpoint."""
        self.step = step
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _some(self, count: int, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random pictures that are not held out, in [0, 1], and their rows."""
        pictures = self._pictures_all()
        taught = len(pictures) - self._held_out()
        rows = torch.randint(taught, (count,), generator=noise, device=self.device)
        return pictures[rows].float() / 255, rows

    def _held_out(self) -> int:
        parts = min(HELD_OUT_PARTS, max(self.known.parts // 5, 1))
        pictures = self.config.shapes * self.config.appearances
        rest = parts * self.known.PART * self.config.appearances
        return rest if rest < pictures else pictures // 5

    def _pictures_all(self) -> Tensor:
        if not self._pictures:
            parts = [self.known.render(part) for part in range(self.known.parts)]
            self._pictures = [torch.cat(parts).to(self.device)]
        return self._pictures[0]

    def _known_labels(self) -> tuple[Codes, Pose]:
        if self._labels is None:
            drawn = [self.known.draw(part) for part in range(self.known.parts)]
            codes = Codes.cat([codes for codes, _ in drawn]).to(self.device)
            pose = Pose.cat([pose for _, pose in drawn])
            self._labels = (
                codes,
                Pose(*(t.to(self.device) for t in (pose.rotation, pose.distance, pose.shift))),
            )
        return self._labels

    def _styles(self, codes: Codes) -> tuple[Tensor, Tensor]:
        field = self.generator.field
        return field.shape_mapping(codes.shape), field.appearance_mapping(codes.appearance)

    @torch.no_grad()
    def _style_spread(self) -> tuple[Tensor, Tensor]:
        """Standard deviations of the styles of random codes."""
        rng = torch_generator(self.config.seed, 0, 0, "encoder styles")
        codes = Codes.sample(4096, self.generator.config.field.code_dim, rng).to(self.device)
        shape, appearance = self._styles(codes)
        return shape.std(0).clamp(min=1e-4), appearance.std(0).clamp(min=1e-4)


def _split(guess: Guess, first: int) -> tuple[Guess, Guess]:
    def rows(piece: slice) -> Guess:
        return Guess(
            guess.logits[piece],
            guess.offset[piece],
            guess.elevation[piece],
            guess.roll[piece],
            guess.distance[piece],
            guess.shift[piece],
            guess.codes[piece],
        )

    return rows(slice(0, first)), rows(slice(first, None))
