"""What ranks say to each other, and a rank that does not answer. Real ranks, gloo."""

import signal
import time

import pytest
import torch

from clipnerf.errors import ClipNerfError, UsageError
from clipnerf.training import distributed
from clipnerf.training.failures import RESUMES, LostRank, SilentError, one_voice
from tests.training.launch import finish, start_ranks


@pytest.fixture
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "CLIPNERF_TIMEOUT_S"):
        monkeypatch.delenv(name, raising=False)


def test_a_plain_process_is_rank_0_of_1(alone):
    with distributed.joined() as device:
        assert device.type in ("cpu", "cuda")
    assert distributed.init_from_env("cpu") == torch.device("cpu")
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    parameter = torch.nn.Parameter(torch.zeros(2))
    distributed.average_gradients([parameter])
    assert parameter.grad is None and distributed.share(7, "batch") == 7
    assert distributed.from_main(lambda: "said") == distributed.broadcast("said") == "said"
    assert distributed.average_scalars({"loss": torch.tensor(0.5)}) == {"loss": 0.5}


def test_ranks_talk_until_one_does_not_answer():
    """The scene is in rank_talk; at its end rank 1 sleeps, and rank 0 waits for two seconds."""
    first, second = start_ranks("-m", "tests.training.rank_talk", CLIPNERF_TIMEOUT_S="2")
    began = time.monotonic()
    code, out, err = finish(first)
    assert time.monotonic() - began < 50  # rank 1 would sleep for 60
    second.kill()
    _, other_out, other_err = finish(second)
    assert out == other_out == "agreed\n", err + other_err
    assert code == 1 and err.count("\n") == 1, err
    assert "rank 0 of 2: another rank has not answered for 2 s (CLIPNERF_TIMEOUT_S)" in err
    assert RESUMES in err


def test_ranks_that_never_come(alone, monkeypatch):
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "CLIPNERF_TIMEOUT_S": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "9",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ClipNerfError, match=r"rank 1 of 2 could not join the others within 1 s"):
        distributed.init_from_env("cpu")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_that_is_none(alone, monkeypatch, value):
    monkeypatch.setenv("CLIPNERF_TIMEOUT_S", value)
    with pytest.raises(UsageError, match=f"CLIPNERF_TIMEOUT_S is '{value}'; allowed: seconds"):
        distributed.timeout_s()


def test_a_timeout_is_fifteen_minutes_or_what_is_asked(alone, monkeypatch):
    assert distributed.timeout_s() == 900
    monkeypatch.setenv("CLIPNERF_TIMEOUT_S", "12.5")
    assert distributed.timeout_s() == 12.5


@pytest.mark.parametrize("device", ["gpu", "cuda:x"])
def test_a_device_that_is_none(alone, device):
    with pytest.raises(UsageError, match=f"device is '{device}'; allowed: auto, cpu, cuda"):
        distributed.init_from_env(device)


def test_more_ranks_than_gpus(alone, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"process 2 .* torch sees 2; lower --nproc-per-node"):
        distributed.init_from_env()


class Store:
    """Counts, as the one that ranks share."""

    def __init__(self) -> None:
        self.count = 0

    def set_timeout(self, timeout) -> None:
        pass

    def add(self, key: str, amount: int) -> int:
        self.count += amount
        return self.count


def ending(error: BaseException, store: Store | None, aloud: bool = False) -> BaseException:
    """What comes of an error inside ``one_voice``."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with one_voice("rank 1 of 2", store, 900.0, aloud):
            raise error
    except BaseException as ended:
        return ended
    finally:
        signal.signal(signal.SIGTERM, before)  # one_voice expects the process to end


def test_one_rank_says_what_happened_and_the_others_leave():
    store = Store()
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:5")
    first, second = ending(lost, store), ending(lost, store)
    assert isinstance(first, LostRank) and first.exit_code == 1
    assert str(first).startswith("rank 1 of 2: another rank has ended") and RESUMES in str(first)
    assert isinstance(second, SystemExit) and second.code == 1


def test_errors_of_its_own_say_the_rank_and_keep_their_exit_code():
    error = ending(UsageError("data is 'x'"), Store())
    assert isinstance(error, UsageError) and str(error) == "rank 1 of 2: data is 'x'"
    assert str(ending(UsageError("data is 'x'"), Store(), aloud=True)) == "data is 'x'"
    store = Store()
    store.count = 1
    assert ending(UsageError("data is 'x'"), store).code == 2  # type: ignore[attr-defined]
    assert ending(KeyboardInterrupt(), store).code == 130  # type: ignore[attr-defined]
    assert ending(SilentError("said", 2), None).code == 2  # type: ignore[attr-defined]


def test_a_fault_of_ours_stays_what_it_is():
    fault = RuntimeError("shapes do not fit")
    assert ending(fault, Store()) is fault
