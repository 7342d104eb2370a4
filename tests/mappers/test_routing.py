"""Routing: whose prompt it is, read from where its direction lies."""

import torch

from clipnerf.mappers.routing import Router


def _router() -> Router:
    router = Router()
    router.calibrate(
        (torch.tensor([4.0, 9.0]), torch.tensor([0.5, 1.0])),
        (torch.tensor([40.0, 90.0]), torch.tensor([5.0, 10.0])),
        torch.tensor([0.3, 1.0]),
    )
    return router


def _route(router, shape, appearance, length=1.0):
    return router(torch.tensor([shape]), torch.tensor([appearance]), torch.tensor([length]))


def test_the_librarys_own_prompts_follow_in_full_and_leave_the_other_code_alone():
    router = _router()
    for shape in (4.0, 9.0):
        for appearance in (5.0, 10.0):
            route = _route(router, shape, appearance)
            assert (float(route.shape), float(route.appearance)) == (1, 0)
    for shape in (0.5, 1.0):
        route = _route(router, shape, 40.0)
        assert (float(route.shape), float(route.appearance)) == (0, 1)
        assert not bool(route.foreign) and not bool(route.faint)


def test_both_and_part_of_one():
    router = _router()
    assert _route(router, 5.0, 50.0).shape == 1 and _route(router, 5.0, 50.0).appearance == 1
    part = float(_route(router, 1.5, 50.0).shape)
    assert 0 < part < 1
    assert part < float(_route(router, 1.8, 50.0).shape)


def test_outside_of_what_the_model_can_do():
    router = _router()
    foreign = _route(router, 0.1, 0.1)
    assert bool(foreign.foreign) and not bool(foreign.faint)
    faint = _route(router, 9.0, 90.0, length=0.1)
    assert bool(faint.faint) and not bool(faint.foreign)
    assert float(faint.shape) == float(faint.appearance) == 0


def test_groups_that_overlap_still_give_a_strength_between_0_and_1():
    router = Router()
    router.calibrate(
        (torch.tensor([1.0]), torch.tensor([2.0])),
        (torch.tensor([1.0]), torch.tensor([3.0])),
        torch.tensor([1.0]),
    )
    for energy in (0.0, 0.5, 1.0, 2.0, 9.0):
        route = _route(router, energy, energy)
        assert 0 <= float(route.shape) <= 1 and 0 <= float(route.appearance) <= 1
