"""Recorded steps, with a recording that calls again in the place of CUDA's; and CUDA's on a GPU."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from clipnerf.gan.graphs import EAGER_FIRST, StepGraphs, copy, tensors
from clipnerf.gan.step_inputs import StepInputs
from clipnerf.gan.trainer import Trainer

CPU = torch.device("cpu")


class Recorder:
    """Records a call without its effects, as CUDA does; replays by calling again.

    ``undo`` is called before the recording and returns what takes its effects back.
    """

    def __init__(self, undo=lambda: lambda: None) -> None:
        self.recorded = self.replayed = 0
        self._undo = undo

    def __call__(self, call):
        restore = self._undo()
        outputs = call()
        restore()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            for name, value in call().items():
                outputs[name].copy_(value)

        return replay, outputs


def test_a_copy_of_a_draw_has_tensors_of_its_own(pretrain_config):
    drawn = Trainer(pretrain_config(), CPU).draw(3)
    other = copy(drawn)
    assert isinstance(other, StepInputs) and other.kept == drawn.kept
    assert len(tensors(drawn)) == 11
    for one, two in zip(tensors(drawn), tensors(other), strict=True):
        assert torch.equal(one, two) and one.data_ptr() != two.data_ptr()


def test_each_shape_runs_as_usual_at_first_and_is_then_recorded_once(pretrain_config):
    trainer = Trainer(pretrain_config(), CPU)
    recorder, calls = Recorder(), []

    def body(real, drawn):
        calls.append(drawn.kept)
        return {"sum": real.sum() + drawn.codes.shape.sum() + drawn.jitter.mean()}

    graphs = StepGraphs(body, recorder)
    for step in range(12):
        trainer.step = step
        real, drawn = torch.rand(2, 3, 4, 4), replace(trainer.draw(2), kept=8 + step % 2)
        kind = "with R1" if step % 2 == 0 else "without R1"
        found = graphs(real, drawn, kind=kind)["sum"]
        expected = real.sum() + drawn.codes.shape.sum() + drawn.jitter.mean()
        torch.testing.assert_close(found, expected)
        assert len(graphs) == max(0, min(2, step - 2 * EAGER_FIRST + 1))
    assert recorder.recorded == 2 and recorder.replayed == 12 - 2 * EAGER_FIRST
    graphs(torch.rand(3, 3, 4, 4), trainer.draw(3), kind="with R1")
    assert len(graphs) == 2  # another size is another shape, and begins as usual


def test_a_training_through_recordings_is_the_training_without_bit_for_bit(pretrain_config):
    config = pretrain_config()
    real = torch.rand(4, 3, 16, 16)
    losses, states = [], []
    for graphed in (False, True):
        trainer = Trainer(config, CPU)
        trainer.step = 2000  # the blur is gone; the penalty comes every fourth step

        def undo(trainer=trainer):
            step, before = trainer.step, deepcopy(trainer.state())
            return lambda: trainer.load(step, before)

        recorder = Recorder(undo)
        if graphed:
            trainer.graphs = StepGraphs(trainer._both_players, recorder)
        losses.append([float(trainer.train_step(real)["loss_g"]) for _ in range(20)])
        states.append(trainer.state())
        assert (recorder.recorded, recorder.replayed) == ((2, 14) if graphed else (0, 0))
    assert losses[0] == losses[1] and len(set(losses[0])) == 20
    for model in ("generator", "discriminator", "average"):
        for name, value in states[0][model].items():
            assert torch.equal(value, states[1][model][name]), name
    rates = [[float(g["lr"]) for g in state["optimizer_g"]["param_groups"]] for state in states]
    assert rates[0] == pytest.approx(rates[1])


@pytest.mark.gpu
def test_cuda_graphs_train_as_the_eager_step_does(pretrain_config):
    config = pretrain_config()
    config.generator.precision = "float32"
    real = torch.rand(4, 3, 16, 16, device="cuda")
    found = []
    for graphs in (False, True):
        trainer = Trainer(replace(config, cuda_graphs=graphs), torch.device("cuda"))
        trainer.step = 2000
        losses = [float(trainer.train_step(real)["loss_g"]) for _ in range(40)]
        found.append((losses, trainer.average.field.grid.table.cpu()))
        if graphs:
            assert trainer.graphs is not None and len(trainer.graphs) >= 2
    # atomics add in any order, so trainings drift apart slowly
    assert found[0][0][:12] == pytest.approx(found[1][0][:12], rel=1e-2)
    assert found[0][0] == pytest.approx(found[1][0], rel=0.1, abs=0.05)
