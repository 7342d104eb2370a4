"""The run folder: one place for what a training was asked, what it did, and where it stands.

    RUN/config.yaml      the whole configuration; ``--config RUN/config.yaml`` repeats the run
    RUN/manifest.json    arguments, versions, git commit, seed, fingerprint of the data set
    RUN/stats.jsonl      one JSON object a logged step
    RUN/tensorboard/     the same, and the pictures
    RUN/previews/        the pictures as PNG
    RUN/checkpoints/     state.pt and the one before it

The same command again resumes; another configuration in the same folder is refused.
"""

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from clipnerf.errors import UsageError
from clipnerf.io.atomic import atomic_write, cannot_write, sweep_temporaries, writable_dir
from clipnerf.training import checkpoints, manifest

try:
    import fcntl
except ImportError:  # Windows: not to train twice in one folder is then the person's care.
    fcntl = None  # type: ignore[assignment]

_OWN_NAMES = frozenset(
    "config.yaml manifest.json stats.jsonl tensorboard previews checkpoints .lock".split()
)


class RunFolder:
    """An open run folder: made by :meth:`open`, let go by :meth:`close` or by ``with``."""

    def __init__(
        self,
        path: Path,
        lock: IO[str],
        config: Any,
        found: dict[str, Any],
        fresh: Sequence[Path],
    ) -> None:
        self.path = path
        self._lock = lock
        self._config, self._manifest, self._fresh = config, found, fresh
        self._claimed = False
        self._exports: Mapping[str, str] | None = None
        self._stats: IO[str] | None = None
        self._board: SummaryWriter | None = None
        self._resumed_step = -1

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        command: str,
        config: Any,
        seed: int,
        dataset_fingerprint: str = "",
        covered: Collection[str] = (),
        claim: bool = True,
    ) -> "RunFolder":
        """Makes the folder, or opens the run that it holds in order to resume it.

        Args:
            command: the verb, e.g. ``pretrain``; a folder holds one kind of run.
            config: the verb's dataclass; compared key by key with the run in the folder, but for
                MAY_CHANGE (how long, how often, where).
            covered: keys that name what the fingerprint stands for; they may be spelt anew.
            claim: write at once that the folder is this run's; else :meth:`claim` does, and a
                folder that is closed before it is left as it was found.

        Raises:
            UsageError: the folder holds another run (the first key that differs is named) or
                something else, cannot be written, or another process is training in it.
        """
        path = Path(path)
        fresh = [folder for folder in (path, *path.parents) if not folder.exists()]
        writable_dir(path)
        _refuse_devices(path)
        lock = _lock(path)
        run = cls(path, lock, manifest.plain(asdict(config)), {}, fresh)
        try:
            asked = {"command": command, "seed": seed, "dataset_fingerprint": dataset_fingerprint}
            if (path / "manifest.json").exists():
                run._manifest = manifest.read_manifest(path)
                manifest.refuse_another_run(path, run._manifest, asked, config, covered)
                run._claimed = True
            else:
                _refuse_other_things(path)
                run._manifest = {**asked, "starts": []}
            run._manifest["starts"].append(manifest.this_start())
            if claim:
                run.claim()
        except BaseException:
            run.close()
            raise
        return run

    def claim(self) -> None:
        """Writes what was asked; from here on the folder is this run's.

        Raises:
            ClipNerfError: the disk is full or the folder is gone.
        """
        for folder in (self.path, self.path / "checkpoints", self.path / "previews"):
            folder.mkdir(exist_ok=True)
            sweep_temporaries(folder)
        _write_text(self.path / "config.yaml", manifest.config_text(self._config))
        _write_text(self.path / "manifest.json", manifest.manifest_text(self._manifest))
        self._claimed = True

    def save_state(self, step: int, state: Mapping[str, Any], files: Sequence[Path] = ()) -> None:
        """Saves ``state`` (tensors, numbers, strings, lists, dicts) as of ``step`` steps done.

        Args:
            files: in this folder, that were exported of this state; see :meth:`stale`.
        Raises:
            ClipNerfError: the disk is full or the folder is gone; the last state is still there.
        """
        exports = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        checkpoints.save_state(self.path / "checkpoints", step, state, exports)

    def load_state(self) -> tuple[int, dict[str, Any]] | None:
        """The steps done and the state to resume from, tensors on the CPU; None for a fresh run.

        Lines of stats.jsonl after that step are dropped, since they will be logged again.

        Raises:
            ClipNerfError: there are checkpoints, and none of them can be read.
        """
        loaded = checkpoints.load_state(self.path / "checkpoints")
        self._resumed_step = loaded[0] if loaded else -1
        self._drop_stats_after(self._resumed_step)
        if loaded is None:
            return None
        step, state, self._exports = loaded
        return step, state

    def stale(self) -> bool:
        """Whether what was exported of the loaded state is missing, of another one, or unknown."""
        return not self._exports or any(
            not (self.path / name).is_file()
            or hashlib.sha256((self.path / name).read_bytes()).hexdigest() != digest
            for name, digest in self._exports.items()
        )

    def log(self, step: int, **scalars: float | int | str) -> None:
        """Appends one line to stats.jsonl, and the numbers to TensorBoard; ``step`` steps are done.

        Raises:
            ClipNerfError: the disk is full or the folder is gone.
        """
        try:
            if self._stats is None:
                self._stats = (self.path / "stats.jsonl").open("a", encoding="utf-8")
            self._stats.write(json.dumps({"step": int(step), **scalars}) + "\n")
            self._stats.flush()
            for name, value in scalars.items():
                if not isinstance(value, str):
                    self._writer().add_scalar(name, value, step)
        except OSError as error:
            raise cannot_write(self.path / "stats.jsonl", error) from error

    def picture(self, step: int, name: str, picture: UInt8[np.ndarray, "height width 3"]) -> Path:
        """Writes ``picture`` to previews/NAME-STEP.png and to TensorBoard; returns the path.

        Raises:
            ClipNerfError: the disk is full or the folder is gone.
        """
        path = self.path / "previews" / f"{name}-{step:07d}.png"
        with atomic_write(path) as temporary:
            Image.fromarray(picture).save(temporary)
        try:
            self._writer().add_image(name, picture, step, dataformats="HWC")
        except OSError as error:
            raise cannot_write(self.path / "tensorboard", error) from error
        return path

    def close(self) -> None:
        """Flushes the logs and lets the folder go; may be called twice. One that was never claimed
        is left as it was found."""
        stats, board, self._stats, self._board = self._stats, self._board, None, None
        try:
            if stats is not None:
                stats.close()
            if board is not None:
                board.close()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        finally:
            self._lock.close()
            if not self._claimed:
                self._leave()

    def _leave(self) -> None:
        with suppress(OSError):
            (self.path / ".lock").unlink()
            for folder in self._fresh:
                folder.rmdir()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _writer(self) -> SummaryWriter:
        if self._board is None:
            folder = str(self.path / "tensorboard")
            # What a killed run logged after its last checkpoint is to disappear there too.
            self._board = SummaryWriter(folder, purge_step=self._resumed_step + 1 or None)
        return self._board

    def _drop_stats_after(self, step: int) -> None:
        path = self.path / "stats.jsonl"
        if not path.exists():
            return
        if self._stats is not None:
            self._stats.close()
            self._stats = None
        try:
            found = path.read_bytes()
        except OSError as error:
            raise cannot_write(path, error) from error
        kept = b"".join(line + b"\n" for line in found.splitlines() if _is_up_to(line, step))
        if kept != found:
            with atomic_write(path) as temporary:
                temporary.write_bytes(kept)


def _is_up_to(line: bytes, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    # half the line of a killed process, or a damaged one
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _refuse_devices(path: Path) -> None:
    """UsageError for pipes and devices in the place of files, which would never end."""
    folders = [path / "checkpoints", path / "previews"]
    for folder in folders:
        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"'{folder}' is no folder; remove it, or give another --out")
    for folder in filter(Path.exists, (path, *folders)):
        for file in folder.iterdir():
            if file.exists() and not (file.is_file() or file.is_dir()):
                raise UsageError(f"'{file}' is no file but a pipe or a device; remove it")


def _lock(path: Path) -> IO[str]:
    """Holds the folder for this process; a kill lets go of it like any other end."""
    try:
        lock = (path / ".lock").open("a", encoding="utf-8")
    except OSError as error:
        raise UsageError(str(cannot_write(path / ".lock", error))) from error
    if fcntl is not None:
        try:
            # lockf, not flock: data-loading workers that outlive a kill must not inherit it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            lock.close()
            raise UsageError(
                f"another process is training in {str(path)!r}; wait for it, or give another --out"
            ) from error
        except OSError:  # a file system without locks
            pass
    return lock


def _refuse_other_things(path: Path) -> None:
    foreign = sorted(
        entry.name
        for entry in path.iterdir()
        if entry.name not in _OWN_NAMES and ".tmp" not in entry.name
    )
    if foreign:
        raise UsageError(
            f"{str(path)!r} is not a run folder and not empty (it holds {foreign[0]!r}); "
            "give another --out"
        )


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
