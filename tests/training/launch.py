"""Starts ranks for tests: two processes that find each other on this machine, on the CPU."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """Of a process that is no rank yet and sees no GPU."""
    left_out = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    here = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return {**kept, **here, **more}


def start_ranks(
    *arguments: str, places: Sequence[Path] = (ROOT, ROOT), **more: str
) -> list[subprocess.Popen]:
    """``python ARGUMENTS`` as one rank in each of ``places``; no torchrun looks after them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    group |= {"WORLD_SIZE": str(len(places)), **more}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=place,
            env=environment(**group, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, place in enumerate(places)
    ]


def finish(process: subprocess.Popen, timeout: float = 60) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a process that does not end in time is killed, and an error."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def torchrun(module: str, *arguments: str, **more: str) -> subprocess.Popen:
    """``torchrun --standalone --nproc-per-node 2 -m MODULE ARGUMENTS``."""
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [sys.executable, *run, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
