"""The little of torch.distributed that is used: under torchrun many ranks, else rank 0 of 1."""

import atexit
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist


def init_from_env() -> torch.device:
    """Joins the group that torchrun describes in the environment; returns this rank's device.

    A plain process joins nothing. NCCL with CUDA, gloo without. May be called again.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(_leave)
    return torch.device("cuda", local) if cuda else torch.device("cpu")


def rank() -> int:
    """This process's number, 0 … world_size − 1."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def barrier() -> None:
    """Waits for all ranks; nothing in a plain process."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the ranks, in one message; nothing for one rank."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
