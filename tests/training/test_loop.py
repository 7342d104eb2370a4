"""Trainings that one process does."""

import pytest
import torch

from clipnerf.errors import UsageError
from clipnerf.training import loop as module
from clipnerf.training.loop import single_process


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(module.distributed, "world_size", lambda: 3)
    with pytest.raises(UsageError, match="train-region under 3 processes"):
        with single_process("train-region", "cpu"):
            raise AssertionError("must not be entered")


def test_threads_are_set(monkeypatch):
    before = torch.get_num_threads()
    try:
        with single_process("train-region", "cpu", threads=1) as device:
            assert device.type == "cpu" and torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
