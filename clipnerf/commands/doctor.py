"""``clipnerf doctor``: what this machine offers, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clipnerf.config.machine import DoctorConfig
from clipnerf.config.paths import bundle_path
from clipnerf.errors import ClipNerfError
from clipnerf.io.provenance import git_commit
from clipnerf.version import __version__

OK, OPTIONAL, MISSING = "ok", "--", "!!"
_FREE_GB = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    state: str
    """``ok``; ``--`` absent and not needed; ``!!`` absent and needed."""
    says: str
    advice: str = ""
    """What to do about it; empty where there is nothing to do."""

    def line(self) -> str:
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.state:<3}{self.name:<11}{self.says}{advice}"


@dataclass(frozen=True)
class DoctorReport:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that is needed is missing."""
        return all(finding.state != MISSING for finding in self.findings)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        verdict = "all that is needed is here" if self.ok else "what is marked !! is needed"
        return [*(finding.line() for finding in self.findings), verdict]


def doctor(config: DoctorConfig) -> DoctorReport:
    """Looks at Python, torch, devices, optional packages, disk and the bundle; changes nothing."""
    looks: tuple[Callable[[], Finding], ...] = (
        _python,
        _torch,
        _cpu,
        _threads,
        _memory,
        _cuda,
        _triton,
        _tinycudann,
        _field,
        lambda: _package("open_clip", "open_clip", "open_clip_torch"),
        lambda: _package("embreex", "embreex", "embreex"),
        _ffmpeg,
        _disk,
        lambda: _bundle(config.bundle),
    )
    return DoctorReport(tuple(look() for look in looks))


def _python() -> Finding:
    says = f"{platform.python_version()} on {platform.system()} {platform.machine()}, "
    says += f"clipnerf {__version__} (commit {git_commit()[:12]})"
    return Finding("python", OK, says)


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", MISSING, _reason(error), "pip install torch")
    return Finding("torch", OK, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _cpu() -> Finding:
    usable = _cores()
    try:
        import torch

        from clipnerf.training.precision import native_bfloat16

        kind = torch.backends.cpu.get_cpu_capability()
        bfloat16 = "in hardware" if native_bfloat16("cpu") else "emulated, so not used"
    except (ImportError, OSError) as error:
        return Finding("cpu", OK, f"{usable} cores ({_reason(error)})")
    return Finding("cpu", OK, f"{usable} cores, {kind}, bfloat16 {bfloat16}")


def _threads() -> Finding:
    """How threads wait for each other: those of OpenMP spin, which a busy machine pays dearly."""
    try:
        import torch

        threads = torch.get_num_threads()
    except (ImportError, OSError) as error:
        return Finding("threads", OPTIONAL, _reason(error))
    passive = os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive"
    says = f"{threads}, OMP_WAIT_POLICY {'passive' if passive else 'not passive'}"
    if threads == 1 or passive or not hasattr(os, "getloadavg"):
        return Finding("threads", OK, says)
    load, cores = os.getloadavg()[0], _cores()
    says += f", load {load:.1f} on {cores} cores"
    if load <= cores:
        return Finding("threads", OK, says)
    advice = "set OMP_WAIT_POLICY=passive, or train in processes of one thread "
    return Finding("threads", OPTIONAL, says, advice + "(docs/performance.md)")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Finding:
    """Whether freed memory is kept in this process; a command would do the same."""
    from clipnerf.training.allocator import SWITCH, allocator

    found = allocator()
    if found.keeps:
        return Finding("memory", OK, f"{found.why}; {SWITCH}=0 gives it back")
    return Finding("memory", OPTIONAL, f"freed memory is not kept: {found.why}")


def _cuda() -> Finding:
    try:
        import torch

        if not torch.cuda.is_available():
            built = torch.version.cuda
            says = f"no device (torch is built for {f'CUDA {built}' if built else 'CPU only'})"
            return Finding("cuda", OPTIONAL, says, "not needed; a GPU trains much faster")
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        major, minor = torch.cuda.get_device_capability()
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("cuda", OPTIONAL, _reason(error), "not needed; check the driver")
    return Finding("cuda", OK, f"{', '.join(names)}; compute capability {major}.{minor}")


def _triton() -> Finding:
    found = _version("triton")
    if found:
        return Finding("triton", OK, found)
    return Finding("triton", OPTIONAL, "not installed", "not needed without a GPU")


def _tinycudann() -> Finding:
    """Its import fails in several ways; each means that it is not available, and says why."""
    try:
        importlib.import_module("tinycudann")
    except ImportError as error:
        if getattr(error, "name", None) == "tinycudann":
            return Finding("tinycudann", OPTIONAL, "not installed", "not needed; README says how")
        advice = "its binding was built for another torch; build it again"
        return Finding("tinycudann", OPTIONAL, _reason(error), advice)
    except OSError as error:  # EnvironmentError: no GPU, or one that it was not built for
        advice = "not needed; with a GPU, build it for this GPU's compute capability"
        return Finding("tinycudann", OPTIONAL, _reason(error), advice)
    return Finding("tinycudann", OK, _version("tinycudann") or "installed")


def _field() -> Finding:
    """Which backend 'auto' means here."""
    try:
        import torch

        from clipnerf.fields.hash_grid import choose
        from clipnerf.fields.layout import GridLayout

        kind = "cuda" if torch.cuda.is_available() else "cpu"
        choice = choose("auto", torch.device(kind), GridLayout())
    except (ImportError, OSError) as error:
        return Finding("field", MISSING, _reason(error), "pip install torch")
    if kind == "cuda" and choice.name == "torch":
        advice = "the fused ones are for this; mend one of the two"
        return Finding("field", OPTIONAL, str(choice), advice)
    if kind == "cpu" and choice.name == "torch":
        advice = "install a C compiler, then clipnerf again: 2 to 3 times as fast"
        return Finding("field", OPTIONAL, str(choice), advice)
    return Finding("field", OK, str(choice))


def _package(name: str, module: str, distribution: str) -> Finding:
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return Finding(name, MISSING, _reason(error), f"pip install {distribution}")
    return Finding(name, OK, _version(distribution) or "installed")


def _ffmpeg() -> Finding:
    try:
        from clipnerf.io.video import video_problem

        what, _, advice = video_problem().partition("; ")
    except (ImportError, OSError) as error:
        what, advice = _reason(error), "pip install imageio-ffmpeg"
    if what:
        return Finding("ffmpeg", MISSING, what, advice)
    return Finding("ffmpeg", OK, f"imageio-ffmpeg {_version('imageio-ffmpeg')}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    says = f"{free:.1f} GB free here"
    if free < _FREE_GB:
        return Finding("disk", OPTIONAL, says, f"runs may need {_FREE_GB:g} GB; free some space")
    return Finding("disk", OK, says)


def _bundle(bundle: str) -> Finding:
    folder = bundle_path(bundle)
    advice = "give --bundle DIR, or make one as README says"
    if not folder.is_dir():
        return Finding("bundle", MISSING, f"{str(folder)!r} does not exist", advice)
    try:
        from clipnerf.editor import Editor

        editor = Editor.load(folder)
    except (ClipNerfError, ImportError, OSError) as error:
        return Finding("bundle", MISSING, _reason(error), advice)
    words = " and ".join(sorted(editor.mappers)) or "nothing"
    return Finding("bundle", OK, f"{str(folder)!r} edits {words} by words")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
