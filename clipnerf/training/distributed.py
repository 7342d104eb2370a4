"""The little of torch.distributed that is used: under torchrun many ranks, else rank 0 of 1.

A verb that trains is written once, for any number of ranks:

    with distributed.joined(config.device) as device:  # joins; whatever fails becomes one line
        mine = distributed.share(config.batch, "batch")          # of each step
        ...
        distributed.check_same("weights", weights_hash(model.state_dict()))
        ...
            loss.backward()
            distributed.average_gradients(model.parameters())
            optimizer.step()

In a plain process every function here returns what it was given. docs/distributed.md is for those
who run it.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training.failures import SilentError, lost_rank
from clipnerf.training.launch import init_from_env as init_from_env
from clipnerf.training.launch import is_main, rank, timeout_s, who, world_size
from clipnerf.training.launch import joined as joined

T = TypeVar("T")


def share(total: int, key: str) -> int:
    """This rank's part of the ``total`` objects of one step over all ranks.

    Rank r takes rows r·share … (r + 1)·share − 1 of what one process would have taken.

    Raises:
        UsageError: ``total``, the value of the configuration's ``key``, does not divide.
    """
    ranks = world_size()
    if total % ranks:
        near = -(-total // ranks) * ranks
        raise _of_all(
            UsageError(
                f"{key} is {total}, which {ranks} ranks cannot share evenly; allowed: a multiple "
                f"of {ranks}, such as {near}, or another number of ranks (--nproc-per-node)"
            )
        )
    return total // ranks


@torch.no_grad()
def average_gradients(parameters: Iterable[torch.nn.Parameter], *, complete: bool = False) -> None:
    """Replaces every gradient by its mean over the ranks, in one message; nothing for one rank.

    A gradient that is None on some ranks counts as zero there; None on all of them stays None, so
    that an optimizer passes it over as it does in one process.

    Args:
        parameters: the same ones on every rank; those that ask for no gradient are passed over.
        complete: every rank has every gradient; nothing is then asked of the device.

    Raises:
        ClipNerfError: another rank is lost.
    """
    asking = [p for p in parameters if p.requires_grad]
    if world_size() == 1 or not asking:
        return
    if complete:
        _average_all([p.grad for p in asking if p.grad is not None])
        return
    # Zeros for None and a count of who has one: the message is of one length on every rank.
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in asking]
    counts = gradients[0].new_tensor([float(p.grad is not None) for p in asking])
    flat = torch.cat([counts, *(gradient.flatten() for gradient in gradients)])
    with _talking():
        dist.all_reduce(flat)
    present, flat = flat[: len(asking)].tolist(), flat[len(asking) :] / world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    for parameter, gradient, part, count in zip(asking, gradients, parts, present, strict=True):
        if count:
            parameter.grad = gradient.copy_(part.view_as(gradient))


def _average_all(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with _talking():
        dist.all_reduce(flat)
    parts = (flat / world_size()).split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])


@torch.no_grad()
def average_scalars(scalars: Mapping[str, float | Tensor]) -> dict[str, float]:
    """Numbers to log, each as its mean over the ranks; the same names on every rank.

    Raises:
        ClipNerfError: another rank is lost.
    """
    numbers = [torch.as_tensor(value, dtype=torch.float64) for value in scalars.values()]
    if world_size() == 1 or not numbers:
        return {name: number.item() for name, number in zip(scalars, numbers, strict=True)}
    device = _message_device()
    total = torch.stack([number.to(device).reshape(()) for number in numbers])
    with _talking():
        dist.all_reduce(total)
    return dict(zip(scalars, (total / world_size()).tolist(), strict=True))


def average(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The mean of a tensor over the ranks; differentiable. With :func:`average_gradients` after it,
    gradients are those of one process that computes the mean itself."""
    return tensor if world_size() == 1 else _Average.apply(tensor)


def gather(tensor: Float[Tensor, " rows *shape"]) -> Float[Tensor, " all *shape"]:
    """The rows of every rank, those of rank 0 first; differentiable, as :func:`average` is."""
    return tensor if world_size() == 1 else _Gather.apply(tensor)


def broadcast(value: T) -> T:
    """What rank 0 gives, on every rank; what others give is ignored.

    Args:
        value: None, numbers, strings, tensors, or tuples, lists and dicts of them. Tensors arrive
            on the CPU. Nothing is unpickled.

    Raises:
        ClipNerfError: another rank is lost.
    """
    if world_size() == 1:
        return value
    device = _message_device()
    message = torch.empty(0, dtype=torch.uint8)
    if is_main():
        buffer = io.BytesIO()
        torch.save(value, buffer)
        message = torch.frombuffer(bytearray(buffer.getbuffer()), dtype=torch.uint8)
    length = torch.tensor([len(message)], device=device)
    with _talking():
        dist.broadcast(length, 0)
        message = message.to(device) if is_main() else message.new_empty(int(length), device=device)
        dist.broadcast(message, 0)
    if is_main():
        return value
    received = io.BytesIO(message.cpu().numpy().tobytes())
    return torch.load(received, map_location="cpu", weights_only=True)


def from_main(function: Callable[[], T]) -> T:
    """What ``function`` returns, called on rank 0 only; on every rank, as :func:`broadcast` says.

    When it fails, it fails on every rank: none is left waiting for rank 0.

    Raises:
        Exception: on rank 0 the function's own; on the others a ClipNerfError of the same words.
    """
    if world_size() == 1:
        return function()
    if not is_main():
        words, code, value = broadcast(("", 0, None))
        if words:
            raise SilentError(words, code)
        return value  # type: ignore[return-value]
    try:
        result = function()
    except BaseException as error:
        # KeyboardInterrupt too: the others would wait for the whole timeout.
        broadcast((str(error) or type(error).__name__, getattr(error, "exit_code", 1), None))
        raise
    broadcast(("", 0, result))
    return result


def check_same(what: str, value: str) -> None:
    """Makes sure that a string, such as a hash of weights, is the same on every rank.

    Raises:
        ClipNerfError: it is not; names ``what`` and the first rank that differs from rank 0.
    """
    if world_size() == 1:
        return
    digest = hashlib.blake2b(value.encode(), digest_size=8).digest()
    own = torch.tensor([int.from_bytes(digest, "big") >> 1], device=_message_device())
    all_of_them = [torch.empty_like(own) for _ in range(world_size())]
    with _talking():
        dist.all_gather(all_of_them, own)
    for other, theirs in enumerate(all_of_them):
        if int(theirs) != int(all_of_them[0]):
            raise _of_all(
                ClipNerfError(
                    f"rank {other} of {world_size()} has other {what} than rank 0; run the same "
                    "command on every machine, with the same files and the same versions of "
                    "clipnerf and torch"
                )
            )


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _sum(tensor) / world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every rank's loss depends on this rank's tensor.
        return _sum(gradient) / world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(world_size())]
        with _talking():
            dist.all_gather(parts, tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient).chunk(world_size())[rank()]


def _sum(tensor: Tensor) -> Tensor:
    total = tensor.clone(memory_format=torch.contiguous_format)
    with _talking():
        dist.all_reduce(total)
    return total


def _of_all(error: ClipNerfError) -> ClipNerfError:
    """An error that every rank raises: rank 0 says it."""
    return error if is_main() else SilentError(str(error), error.exit_code)


def _message_device() -> torch.device:
    """Where messages that are no gradients have to be for the backend in use."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise lost_rank(who(), timeout_s(), error) from error
