"""One rank of test_distributed: what ranks say to each other, each rank with its own part."""

import sys
import time

import torch

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training import distributed


def parameters(gradients: list[list[float] | None]) -> list[torch.nn.Parameter]:
    """Parameters with the given gradients."""
    found = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = None if gradient is None else torch.tensor(gradient)
        found.append(parameter)
    return found


def refused(function) -> str:
    """The class and the words of the error that the function ends with."""
    try:
        function()
    except ClipNerfError as error:
        return f"{type(error).__name__} {error.exit_code} {error}"
    raise AssertionError("no error")


def gradients_where_some_are_none() -> None:
    """None on one rank, None on both, None on the other."""
    own = [[[2.0, 4.0], None, None], [None, None, [1.0, 3.0]]][distributed.rank()]
    found = parameters(own)
    frozen = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
    distributed.average_gradients([found[0], frozen, *found[1:]])
    assert found[0].grad.tolist() == [1.0, 2.0] and found[1].grad is None and frozen.grad is None
    assert found[2].grad.tolist() == [0.5, 1.5]


def words_of_rank_0() -> None:
    """What only rank 0 knows, every rank has; what only rank 0 fails in, every rank fails in."""
    state = {"tensor": torch.arange(3), "list": [1, None, "two"], "nested": {"number": 0.5}}
    for found in (
        distributed.broadcast(state if distributed.is_main() else None),
        distributed.from_main(lambda: state if distributed.is_main() else 1 / 0),
    ):
        assert found["tensor"].tolist() == [0, 1, 2] and found["list"] == [1, None, "two"]

    def fail() -> None:
        raise UsageError("out is taken")

    kind = "UsageError" if distributed.is_main() else "SilentError"
    assert refused(lambda: distributed.from_main(fail)) == f"{kind} 2 out is taken"


def means_and_rows() -> None:
    """Numbers to log, and tensors that gradients flow through."""
    mine = float(distributed.rank() + 1)
    means = distributed.average_scalars({"a": mine, "b": torch.tensor(3 * mine)})
    assert means == {"a": 1.5, "b": 4.5}
    row = torch.tensor([[mine]], requires_grad=True)
    rows = distributed.gather(row)
    assert rows.tolist() == [[1.0], [2.0]]
    (rows.square().sum() * distributed.average(row).sum()).backward()
    # d/dx of (x² + y²)·(x + y)/2, counted by both ranks
    other = 3 - mine
    assert row.grad.item() == 2 * (2 * mine * 1.5 + (mine**2 + other**2) / 2)


def disagreements() -> None:
    """Named with the rank that differs; a batch is shared or refused."""
    distributed.check_same("weights", "abc")
    said = refused(lambda: distributed.check_same("weights", f"hash {distributed.rank()}"))
    assert "rank 1 of 2 has other weights than rank 0" in said
    assert distributed.share(6, "batch") == 3
    said = refused(lambda: distributed.share(7, "batch"))
    assert "batch is 7, which 2 ranks cannot share" in said


def main() -> None:
    """All of the above; then rank 1 falls silent."""
    with distributed.joined("cpu"):
        gradients_where_some_are_none()
        words_of_rank_0()
        means_and_rows()
        disagreements()
        print("agreed", flush=True)
        if distributed.rank() == 1:
            time.sleep(60)
        distributed.check_same("the end", "")


if __name__ == "__main__":
    try:
        main()
    except ClipNerfError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
