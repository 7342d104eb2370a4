import os
import socket
import subprocess
import sys

from clipnerf.runs import ddp


def test_a_plain_process_is_rank_0_of_1(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert ddp.init_from_env().type in ("cpu", "cuda")
    assert (ddp.rank(), ddp.world_size(), ddp.is_main()) == (0, 1, True)


def test_two_ranks_meet():
    code = (
        "import torch, torch.distributed as dist\n"
        "from clipnerf.runs import ddp\n"
        "device = ddp.init_from_env()\n"
        "ddp.init_from_env()\n"
        "total = torch.tensor([ddp.rank() + 1.0], device=device)\n"
        "dist.all_reduce(total)\n"
        "print(ddp.rank(), ddp.world_size(), ddp.is_main(), total.item())\n"
        "dist.destroy_process_group()\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    shared["CUDA_VISIBLE_DEVICES"] = ""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in ranks]
    assert said == [["0", "2", "True", "3.0"], ["1", "2", "False", "3.0"]]
